"""Benchmarks, in the environment of the commands."""

from dcgan_tf.commands.program import set_environment

set_environment()
