"""Starts or resumes a run, and measures what `auto` stands for."""
