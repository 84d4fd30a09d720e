"""Projection: the latent vector whose image comes closest to a given one."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

STEPS = 300
LEARNING_RATE = 0.05


def project(
    generator: keras.Sequential, image: np.ndarray, starts: np.ndarray, kind: str
) -> tuple[np.ndarray, float]:
    """Minimises the mean squared error between a generated image and a given one, by Adam.

    Args:
        generator: the generator.
        image: float32 [H, W, C] in [-1, 1].
        starts: float32 [starts, noise_dim]; all are optimised, and the best result is taken.
        kind: of noise; `uniform` is kept within [-1, 1].

    Returns:
        The noise, float32 [noise_dim], and the mean squared error of its image.
    """
    noise = tf.Variable(starts)
    target = tf.constant(image[np.newaxis])
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
    optimizer.build([noise])

    @tf.function
    def descend() -> tf.Tensor:
        with tf.GradientTape() as tape:
            errors = tf.reduce_mean(
                (generator(noise, training=False) - target) ** 2, axis=[1, 2, 3]
            )
        optimizer.apply_gradients([(tape.gradient(errors, noise), noise)])
        if kind == "uniform":
            noise.assign(tf.clip_by_value(noise, -1.0, 1.0))
        return errors

    best, least = starts[0], np.inf
    for _ in range(STEPS):
        before = noise.numpy()
        errors = descend().numpy()
        if errors.min() < least:
            best, least = before[errors.argmin()], float(errors.min())
    return best, least
