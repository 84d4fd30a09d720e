"""Runs that start from the weights of another run."""
