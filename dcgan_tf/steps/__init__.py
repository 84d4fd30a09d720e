"""Other training algorithms, complete steps like the tutorial's, and the choice among them."""
