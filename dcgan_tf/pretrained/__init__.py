"""Generators that come with the project: run directories with all but the generator left out."""
