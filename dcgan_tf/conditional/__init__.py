"""Conditional models, and their labels: given, or found by clustering."""
