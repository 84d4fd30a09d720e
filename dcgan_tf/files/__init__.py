"""Files written atomically, and locks between processes."""
