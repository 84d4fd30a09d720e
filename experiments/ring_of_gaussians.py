"""Mode collapse on a ring of eight Gaussians, with and without unrolling.

    python -m experiments.ring_of_gaussians [STEPS [PICTURE]]

The distribution and settings are from Metz et al., 2017, section 3.1 and appendix A. A plain GAN
covers one mode after the other, never all at once. A mode counts as covered if at least 1% of the
samples lie within three standard deviations of it. Prints a table and draws a picture.
"""

import argparse
import functools
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from matplotlib.figure import Figure

from benchmarks.timing import print_setup
from dcgan_tf.commands import program
from dcgan_tf.distributed.step_random import StepRandom
from dcgan_tf.gan import Gan
from dcgan_tf.reporting.plots import save_figure
from dcgan_tf.steps.unrolled import unrolled_step
from dcgan_tf.train_step import train_step

NUM_SNAPSHOTS = 5
UNROLL_STEPS = 10
BATCH_SIZE = 256
NOISE_DIM = 256
DEVIATION = 0.02
ANGLES = np.arange(8) * np.pi / 4
MODES = 2 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1).astype(np.float32)


def make_gan(seed: int) -> Gan:
    """A generator with two hidden layers of 128 units, and a discriminator with one."""

    def dense(units: int, activation: str | None = "relu") -> layers.Dense:
        weights = keras.initializers.Orthogonal(0.8)
        return layers.Dense(units, activation, kernel_initializer=weights)

    keras.utils.set_random_seed(seed)
    generator = [layers.Input((NOISE_DIM,)), dense(128), dense(128), dense(2, None)]
    discriminator = [layers.Input((2,)), layers.Rescaling(0.25), dense(128), dense(1, None)]
    return Gan(
        keras.Sequential(generator),
        keras.Sequential(discriminator),
        keras.optimizers.Adam(1e-4, beta_1=0.5, epsilon=1e-8),
        keras.optimizers.Adam(1e-4, beta_1=0.5, epsilon=1e-8),
        StepRandom(seed, BATCH_SIZE, NOISE_DIM),
    )


def train(unroll_steps: int, steps: int, seed: int = 0) -> list[np.ndarray]:
    """Trains on the ring, with the tutorial's step if `unroll_steps` is 0.

    Returns:
        Samples, float32 [2500, 2], at NUM_SNAPSHOTS evenly spaced steps, including the last.
    """
    gan = make_gan(seed)
    unrolled = functools.partial(unrolled_step, unroll_steps=unroll_steps)
    step = unrolled if unroll_steps else train_step

    @tf.function
    def train_steps(count: tf.Tensor) -> None:
        for _ in tf.range(count):
            modes = tf.random.stateless_uniform([BATCH_SIZE], [seed + 1, gan.step], 0, 8, tf.int32)
            spread = DEVIATION * tf.random.stateless_normal([BATCH_SIZE, 2], [seed + 2, gan.step])
            step(gan, tf.gather(MODES, modes) + spread)

    samples = []
    for _ in range(NUM_SNAPSHOTS):
        train_steps(tf.constant(steps // NUM_SNAPSHOTS))
        noise = tf.random.stateless_normal([2500, NOISE_DIM], [seed, gan.step])
        samples.append(gan.generator(noise).numpy())
    return samples


def covered(samples: np.ndarray) -> tuple[int, float]:
    """The number of covered modes, and the fraction of samples that lie in a mode."""
    distances = np.linalg.norm(samples[:, None] - MODES, axis=2)
    nearest = distances.argmin(axis=1)[distances.min(axis=1) < 3 * DEVIATION]
    fractions = np.bincount(nearest, minlength=8) / len(samples)
    return int((fractions >= 0.01).sum()), float(fractions.sum())


def main() -> None:
    """Trains without and with unrolling, and prints and draws the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("steps", type=int, nargs="?", default=20_000, metavar="STEPS")
    parser.add_argument("picture", type=Path, nargs="?", default="ring.png", metavar="PICTURE")
    flags = parser.parse_args()
    steps = flags.steps
    print_setup()
    print(f"{'':<20} {'modes':>6} {'in a mode':>10} {'seconds':>8}   after {steps} steps")
    figure = Figure(figsize=(2 * NUM_SNAPSHOTS, 4.4), layout="constrained")
    for row, unroll_steps in zip(figure.subplots(2, NUM_SNAPSHOTS), (0, UNROLL_STEPS)):
        began = time.perf_counter()
        samples = train(unroll_steps, steps)
        modes, fraction = covered(samples[-1])
        name = f"unrolled by {unroll_steps}" if unroll_steps else "plain"
        print(f"{name:<20} {modes:>4}/8 {fraction:>10.0%} {time.perf_counter() - began:>8.0f}")
        for i, (axes, points) in enumerate(zip(row, samples), 1):
            axes.plot(*MODES.T, "o", color="tab:orange", markersize=9, alpha=0.35)
            axes.plot(*points.T, ".", color="tab:blue", markersize=1)
            axes.set(xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[], aspect="equal")
            axes.set_title(f"{name}, {steps * i // NUM_SNAPSHOTS}", fontsize=9)
    save_figure(flags.picture, figure, dpi=80)
    print(f"samples (blue) and modes (orange) over the steps: {flags.picture}")


if __name__ == "__main__":
    program.run(main)
