"""Measures speed, beside others, with the kernels that commands take."""

from dcgan_tf.commands.program import set_environment

set_environment()
