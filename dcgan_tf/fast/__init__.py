"""The same layers by faster operations, and what is measured at a run's start."""
