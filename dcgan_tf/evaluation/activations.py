"""Activations of a discriminator's hidden layers."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.data import scale
from dcgan_tf.datasets.disk_images import Images
from dcgan_tf.regularization.pack import Pack
from dcgan_tf.settings.errors import UserError
from dcgan_tf.transfer.growing import unfold


def inputs_and_layers(
    discriminator: keras.Sequential, images: tf.Tensor
) -> tuple[tf.Tensor, list[keras.layers.Layer]]:
    """A discriminator's inputs for single images, and all its layers.

    If the discriminator packs M images, each image is repeated M times. New layers that are still
    being faded in replace the old ones.
    """
    first = discriminator.layers[0]
    if isinstance(first, Pack):
        images = keras.ops.repeat(images, first.images, axis=0)
    return images, unfold(discriminator, "new")


def hidden_convolutions(layers: list[keras.layers.Layer]) -> list[int]:
    """The indices of a discriminator's convolutions, except one that computes the logit.

    Raises:
        UserError: there are none.
    """
    indices = [
        index
        for index, layer in enumerate(layers)
        if isinstance(layer, keras.layers.Conv2D) and (layer.filters, layer.padding) != (1, "valid")
    ]
    if not indices:
        raise UserError("the discriminator has no convolution except the one for the logit")
    return indices


def apply_in_batches(
    images: Images, function: Callable[[tf.Tensor], tf.Tensor], batch_size: int = 500
) -> np.ndarray:
    """Applies a function to images in [-1, 1], batch by batch.

    Args:
        images: uint8 [N, H, W, C] in [0, 255].
        function: maps float32 [k, H, W, C] in [-1, 1] to [k, …], for any k up to `batch_size`.
        batch_size: the number of images in a batch.

    Returns:
        [N, …].
    """
    spec = tf.TensorSpec([None, *images.shape[1:]])
    graph = tf.function(function, autograph=False).get_concrete_function(spec)
    starts = range(0, len(images), batch_size)
    return np.concatenate(
        [graph(scale(images[start : start + batch_size])).numpy() for start in starts]
    )
