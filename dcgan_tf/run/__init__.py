"""A run on disk: its directory, checkpoints and schedule; the signals that stop it."""
