"""Trains a DCGAN: `python train.py --dataset mnist --epochs 50`; the same as `dcgan train`."""

from dcgan_tf.commands.program import run
from dcgan_tf.commands.train import main

if __name__ == "__main__":
    run(main)
