"""Draws images from a run: `python sample.py --run_dir RUN`; the same as `dcgan sample`."""

from dcgan_tf.commands.program import run
from dcgan_tf.commands.sample import main

if __name__ == "__main__":
    run(main)
