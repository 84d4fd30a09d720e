"""Measures speed, beside others. The package comes first: it has a say in TensorFlow."""

import dcgan_tf  # noqa: F401
