"""Run directories that contain only a generator, which come with the project."""
