"""Datasets: named ones, array files, folders, TFRecords, and arrays passed in Python."""
