"""What the discriminator looks at: the images that excite its filters most, and where.

Radford et al., 2016, section 6.2 and figure 5.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.data import Images, apply_in_batches, scale
from dcgan_tf.layers import repeat_for_pack


class Excitement(NamedTuple):
    """What excites one filter most.

    Attributes:
        number: of the filter.
        which: the numbers of the images, int [images], the most exciting first.
        responses: the filter's greatest response to each, float [images].
    """

    number: int
    which: np.ndarray
    responses: np.ndarray


def last_filters(discriminator: keras.Sequential) -> int:
    """The index of the last convolution that has more than the one filter of a logit."""
    indices = [
        index
        for index, layer in enumerate(discriminator.layers)
        if isinstance(layer, keras.layers.Conv2D) and layer.filters > 1
    ]
    return indices[-1]


def guided_forward(discriminator: keras.Sequential, images: tf.Tensor) -> tf.Tensor:
    """The responses of the last convolution, whose gradient is that of guided backpropagation.

    Springenberg et al., 2015: backwards, a rectifier lets through what is positive where it was
    active forwards. Dropout is off, and batch norm uses its moving averages.

    Args:
        discriminator: a Sequential model.
        images: float32 [N, H, W, C] in [-1, 1].

    Returns:
        float32 [N, height, width, filters].
    """
    values = repeat_for_pack(discriminator, images)
    for layer in discriminator.layers[: last_filters(discriminator) + 1]:
        if isinstance(layer, keras.layers.LeakyReLU | keras.layers.ReLU):
            values = guided(layer, values)
        else:
            values = layer(values, training=False)
    return values


def guided(rectifier: keras.layers.Layer, values: tf.Tensor) -> tf.Tensor:
    """A rectifier with the gradient of guided backpropagation."""

    @tf.custom_gradient
    def rectify(inputs: tf.Tensor) -> tuple[tf.Tensor, object]:
        def backwards(upstream: tf.Tensor) -> tf.Tensor:
            return tf.where((inputs > 0) & (upstream > 0), upstream, 0.0)

        return rectifier(inputs), backwards

    return rectify(values)


def most_exciting(
    discriminator: keras.Sequential, images: Images, filters: int, count: int
) -> list[Excitement]:
    """The images to which some filters of the last convolution respond most.

    Args:
        discriminator: the discriminator.
        images: uint8 [N, H, W, C].
        filters: how many, those with the greatest responses.
        count: images of each.
    """

    def greatest(batch: tf.Tensor) -> tf.Tensor:
        return tf.reduce_max(guided_forward(discriminator, batch), axis=[1, 2])

    responses = apply_in_batches(images, greatest)
    chosen = responses.max(axis=0).argsort()[::-1][:filters]
    order = (-responses[:, chosen]).argsort(axis=0)[:count].T
    return [Excitement(int(f), which, responses[which, f]) for f, which in zip(chosen, order)]


def where_it_looks(discriminator: keras.Sequential, images: np.ndarray, number: int) -> np.ndarray:
    """The guided gradients of one filter's greatest response to each image, by its pixels.

    Args:
        discriminator: the discriminator.
        images: uint8 [N, H, W, C].
        number: of the filter.

    Returns:
        uint8 [N, H, W, C]: 128 where a pixel does not matter, brighter where a brighter one would
        excite the filter more.
    """
    batch = scale(images)
    with tf.GradientTape() as tape:
        tape.watch(batch)
        responses = guided_forward(discriminator, batch)[..., number]
        greatest = tf.reduce_sum(tf.reduce_max(responses, axis=[1, 2]))
    gradients = tape.gradient(greatest, batch).numpy()
    strongest = np.abs(gradients).max(axis=(1, 2, 3), keepdims=True)
    return np.rint(127.5 + 127.5 * gradients / np.maximum(strongest, 1e-12)).astype(np.uint8)
