"""Mode collapse on a ring of eight Gaussians, with and without unrolling: a table and a picture.

    python -m benchmarks.ring [STEPS [PICTURE]]

The case and the settings are those of Metz et al., 2017, section 3.1 and appendix A: an easy
distribution in the plane, of which a plain GAN gets one mode after the other, and not
all at once. A mode is counted as covered if at least 1 % of the samples lie within three standard
deviations of it.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from matplotlib.figure import Figure

from benchmarks.timing import print_setup
from dcgan_tf.losses import discriminator_loss, generator_loss
from dcgan_tf.reporting.plots import save_figure
from dcgan_tf.steps.unrolled import unrolled_step

STEPS = 20_000
SHOWN = 5
UNROLL_STEPS = 10
BATCH_SIZE = 256
NOISE_DIM = 256
DEVIATION = 0.02
ANGLES = np.arange(8) * np.pi / 4
MODES = 2 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1).astype(np.float32)


def make_models(seed: int) -> tuple[keras.Sequential, keras.Sequential]:
    """A generator with two hidden layers of 128 units, and a discriminator with one."""

    def dense(units: int, activation: str | None = "relu") -> layers.Dense:
        weights = keras.initializers.Orthogonal(0.8)
        return layers.Dense(units, activation, kernel_initializer=weights)

    keras.utils.set_random_seed(seed)
    generator = [layers.Input((NOISE_DIM,)), dense(128), dense(128), dense(2, None)]
    discriminator = [layers.Input((2,)), layers.Rescaling(0.25), dense(128), dense(1, None)]
    return keras.Sequential(generator), keras.Sequential(discriminator)


def train(unroll_steps: int, steps: int, seed: int = 0) -> list[np.ndarray]:
    """Trains on the ring.

    Returns:
        Samples, float32 [2500, 2], at SHOWN moments of the training, the last at its end.
    """
    generator, discriminator = make_models(seed)
    step = tf.Variable(0, dtype=tf.int64)

    def noise(count: int = BATCH_SIZE) -> tf.Tensor:
        return tf.random.stateless_normal([count, NOISE_DIM], [seed, step])

    def discriminate(
        real: tf.Tensor, fake: tf.Tensor, model: Callable = discriminator
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return model(real, training=True), model(fake, training=True)

    gan = SimpleNamespace(
        config=SimpleNamespace(unroll_steps=unroll_steps, loss="bce"),
        generator=generator,
        discriminator=discriminator,
        generator_optimizer=keras.optimizers.Adam(1e-4, beta_1=0.5, epsilon=1e-8),
        discriminator_optimizer=keras.optimizers.Adam(1e-4, beta_1=0.5, epsilon=1e-8),
        generator_loss=generator_loss,
        discriminator_loss=discriminator_loss,
        discriminate=discriminate,
        noise=noise,
        end_step=lambda: step.assign_add(1),
    )
    gan.generator_optimizer.build(generator.trainable_variables)
    gan.discriminator_optimizer.build(discriminator.trainable_variables)

    @tf.function
    def train_steps(count: tf.Tensor) -> None:
        for _ in tf.range(count):
            modes = tf.random.stateless_uniform([BATCH_SIZE], [seed + 1, step], 0, 8, tf.int32)
            spread = DEVIATION * tf.random.stateless_normal([BATCH_SIZE, 2], [seed + 2, step])
            unrolled_step(gan, tf.gather(MODES, modes) + spread)

    samples = []
    for _ in range(SHOWN):
        train_steps(tf.constant(steps // SHOWN))
        samples.append(generator(noise(2500)).numpy())
    return samples


def covered(samples: np.ndarray) -> tuple[int, float]:
    """How many of the eight modes are covered, and which share of the samples lies in a mode."""
    distances = np.linalg.norm(samples[:, None] - MODES, axis=2)
    nearest = distances.argmin(axis=1)[distances.min(axis=1) < 3 * DEVIATION]
    shares = np.bincount(nearest, minlength=8) / len(samples)
    return int((shares >= 0.01).sum()), float(shares.sum())


def main() -> None:
    """Trains twice, and prints and draws what came of it."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else STEPS
    picture = Path(sys.argv[2] if len(sys.argv) > 2 else "ring.png")
    print_setup()
    print(f"{'':<20} {'modes':>6} {'in a mode':>10} {'seconds':>8}   after {steps} steps")
    figure = Figure(figsize=(2 * SHOWN, 4.4), layout="constrained")
    for row, unroll_steps in zip(figure.subplots(2, SHOWN), (0, UNROLL_STEPS)):
        began = time.perf_counter()
        samples = train(unroll_steps, steps)
        modes, share = covered(samples[-1])
        name = f"unrolled by {unroll_steps}" if unroll_steps else "plain"
        print(f"{name:<20} {modes:>4}/8 {share:>10.0%} {time.perf_counter() - began:>8.0f}")
        for i, (axes, points) in enumerate(zip(row, samples), 1):
            axes.plot(*MODES.T, "o", color="tab:orange", markersize=9, alpha=0.35)
            axes.plot(*points.T, ".", color="tab:blue", markersize=1)
            axes.set(xlim=(-3, 3), ylim=(-3, 3), xticks=[], yticks=[], aspect="equal")
            axes.set_title(f"{name}, {steps * i // SHOWN}", fontsize=9)
    save_figure(picture, figure, dpi=80)
    print(f"samples (blue) and modes (orange) over the steps: {picture}")


if __name__ == "__main__":
    main()
