"""The same layers by faster operations."""
