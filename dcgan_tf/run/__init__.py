"""What a run keeps on disk: its directory and checkpoints; and the signals that stop it."""
