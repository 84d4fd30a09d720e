"""Answers questions about training, once. The package comes first: it has a say in TensorFlow."""

import os

import dcgan_tf  # noqa: F401
from dcgan_tf.commands.program import quiet_tensorflow

ENVIRONMENT = dict(os.environ)  # for commands, which keep TensorFlow quiet themselves

with quiet_tensorflow():
    import tensorflow  # noqa: F401
