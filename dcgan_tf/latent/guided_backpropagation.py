"""What the discriminator's last convolution detects: top-activating images and guided gradients.

Radford et al., 2016, section 6.2 and figure 5.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.data import scale
from dcgan_tf.datasets.disk_images import Images
from dcgan_tf.datasets.transparency import RGBA
from dcgan_tf.evaluation.activations import (
    apply_in_batches,
    hidden_convolutions,
    inputs_and_layers,
)


class TopActivations(NamedTuple):
    """The images that activate a filter most.

    Attributes:
        filter: the filter's index.
        images: indices of the images, int [images], by decreasing activation.
        activations: the filter's maximum activation in each image, float [images].
    """

    filter: int
    images: np.ndarray
    activations: np.ndarray


def last_activations(discriminator: keras.Sequential, images: tf.Tensor) -> tf.Tensor:
    """The last convolution's activations, with the gradient of guided backpropagation.

    Springenberg et al., 2015: in the backward pass, a rectifier passes only positive gradients, and
    only where its input was positive. Dropout is off, and batch norm uses its moving averages.
    Layers that are still being faded in are used as if fully faded in.

    Args:
        discriminator: a Sequential model.
        images: float32 [N, H, W, C] in [-1, 1].

    Returns:
        float32 [N, height, width, filters].
    """
    values, layers = inputs_and_layers(discriminator, images)
    for layer in layers[: hidden_convolutions(layers)[-1] + 1]:
        if isinstance(layer, keras.layers.LeakyReLU | keras.layers.ReLU):
            values = guided(layer, values)
        else:
            values = layer(values, training=False)
    return values


def guided(rectifier: keras.layers.Layer, values: tf.Tensor) -> tf.Tensor:
    """Applies a rectifier with the gradient of guided backpropagation."""

    @tf.custom_gradient
    def rectify(inputs: tf.Tensor) -> tuple[tf.Tensor, object]:
        def backward(upstream: tf.Tensor) -> tf.Tensor:
            return tf.where((inputs > 0) & (upstream > 0), upstream, 0.0)

        return rectifier(inputs), backward

    return rectify(values)


def top_activating_images(
    discriminator: keras.Sequential, images: Images, filters: int, count: int
) -> list[TopActivations]:
    """Finds the top-activating images of the last convolution's most strongly activated filters.

    Args:
        discriminator: the discriminator.
        images: uint8 [N, H, W, C].
        filters: the number of filters.
        count: the number of images per filter.
    """

    def greatest(batch: tf.Tensor) -> tf.Tensor:
        return tf.reduce_max(last_activations(discriminator, batch), axis=[1, 2])

    activations = apply_in_batches(images, greatest)
    chosen = activations.max(axis=0).argsort()[::-1][:filters]
    order = (-activations[:, chosen]).argsort(axis=0)[:count].T
    return [TopActivations(int(f), top, activations[top, f]) for f, top in zip(chosen, order)]


def guided_backpropagation(
    discriminator: keras.Sequential, images: np.ndarray, filter: int
) -> np.ndarray:
    """The guided gradient of a filter's maximum activation with respect to each image's pixels.

    Args:
        discriminator: the discriminator.
        images: uint8 [N, H, W, C].
        filter: the filter's index.

    Returns:
        uint8 [N, H, W, C]: 128 for a gradient of 0; 255 or 0 for the image's largest magnitude. An
        alpha channel is opaque.
    """
    batch = scale(images)
    with tf.GradientTape() as tape:
        tape.watch(batch)
        activations = last_activations(discriminator, batch)[..., filter]
        greatest = tf.reduce_sum(tf.reduce_max(activations, axis=[1, 2]))
    gradients = tape.gradient(greatest, batch).numpy()
    strongest = np.abs(gradients).max(axis=(1, 2, 3), keepdims=True)
    shown = np.rint(127.5 + 127.5 * gradients / np.maximum(strongest, 1e-12)).astype(np.uint8)
    if shown.shape[3] == RGBA:
        shown[..., 3] = 255
    return shown
