"""Projection: the latent vector whose image comes closest to a given one."""

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
    """Minimises the mean squared error between a generated image and a given one, by Adam.

    Args:
        generator: the generator.
        image: float32 [H, W, C] in [-1, 1].
        starts: float32 [starts, noise_dim]; all are optimised, and the best result is taken. Labels
            beside them, in a conditional run, stay as they are.
        kind: of noise; `uniform` is kept within [-1, 1].
        noise_dim: its length, without labels.

    Returns:
        The noise, float32 [noise_dim], with its label beside it; and the mean squared error of its
        image.
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

    best, least = starts[0], np.inf
    for _ in range(STEPS):
        before = noise.numpy()
        errors = descend().numpy()
        if errors.min() < least:
            best = np.concatenate([before, labels], axis=1)[errors.argmin()]
            least = float(errors.min())
    return best, least
