"""One-time experiments about training, with the same kernels as commands."""

import os

from dcgan_tf.commands.program import quiet_tensorflow, set_environment

set_environment()
ENVIRONMENT = dict(os.environ)  # for commands, which silence TensorFlow themselves

with quiet_tensorflow():
    import tensorflow  # noqa: F401
