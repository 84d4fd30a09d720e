"""Run directories of trained models alone, which come with the project."""
