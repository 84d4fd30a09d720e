"""Keras layers with faster kernels."""
