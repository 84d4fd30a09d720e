"""Answers questions about training, once, with the kernels that commands take."""

import os

from dcgan_tf.commands.program import quiet_tensorflow, set_environment

set_environment()
ENVIRONMENT = dict(os.environ)  # for commands, which keep TensorFlow quiet themselves

with quiet_tensorflow():
    import tensorflow  # noqa: F401
