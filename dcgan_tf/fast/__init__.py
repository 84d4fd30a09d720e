"""Keras's layers by faster kernels."""
