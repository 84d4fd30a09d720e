"""Projection: finds the latent vector whose image is closest to a given image."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.settings.keras_settings import compute_in

STEPS = 300
LEARNING_RATE = 0.05


def project(
    generator: keras.Sequential, image: np.ndarray, starts: np.ndarray, kind: str, noise_dim: int
) -> tuple[np.ndarray, float]:
    """Minimizes the mean squared error between a generated image and a given one, with Adam.

    Args:
        generator: the generator.
        image: float32 [H, W, C] in [-1, 1].
        starts: initial noise, float32 [starts, noise_dim]; all are optimized, and the best result
            is returned. In a conditional run, labels follow the noise and stay fixed.
        kind: `normal` or `uniform`; uniform noise is kept within [-1, 1].
        noise_dim: the length of the noise without labels.

    Returns:
        The noise, float32 [noise_dim], followed by its label; and the mean squared error.
    """
    noise, labels = tf.Variable(starts[:, :noise_dim]), tf.constant(starts[:, noise_dim:])
    target = tf.constant(image[np.newaxis])
    with compute_in("float32"):
        optimizer = keras.optimizers.Adam(LEARNING_RATE)
    optimizer.build([noise])

    @tf.function(autograph=False)
    def descend() -> tf.Tensor:
        with tf.GradientTape() as tape:
            images = generator(tf.concat([noise, labels], axis=1), training=False)
            errors = tf.reduce_mean((images - target) ** 2, axis=[1, 2, 3])
        optimizer.apply_gradients([(tape.gradient(errors, noise), noise)])
        if kind == "uniform":
            noise.assign(tf.clip_by_value(noise, -1.0, 1.0))
        return errors

    best, min_error = starts[0], np.inf
    for _ in range(STEPS):
        before = noise.numpy()
        errors = descend().numpy()
        if errors.min() < min_error:
            best = np.concatenate([before, labels], axis=1)[errors.argmin()]
            min_error = float(errors.min())
    return best, min_error
