"""Files that are written whole or not at all, and locks by which processes keep apart."""
