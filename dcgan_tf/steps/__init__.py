"""Other training algorithms, the choice among them, and steps as graphs."""
