"""What a discriminator's hidden layers make of images, one by one."""

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


def unfolded(
    discriminator: keras.Sequential, images: tf.Tensor
) -> tuple[tf.Tensor, list[keras.layers.Layer]]:
    """Images as the first layer of a discriminator takes them one by one, and all its layers.

    Images are repeated M times if it packs M. Layers that are still being faded in count as if
    they were.
    """
    first = discriminator.layers[0]
    if isinstance(first, Pack):
        images = keras.ops.repeat(images, first.images, axis=0)
    return images, unfold(discriminator, "new")


def hidden_convolutions(layers: list[keras.layers.Layer]) -> list[int]:
    """The indices of a discriminator's convolutions, but for the one that gives the logit.

    Raises:
        UserError: there are none.
    """
    indices = [
        index
        for index, layer in enumerate(layers)
        if isinstance(layer, keras.layers.Conv2D) and (layer.filters, layer.padding) != (1, "valid")
    ]
    if not indices:
        raise UserError("the discriminator has no convolution but that which gives the logit")
    return indices


def apply_in_batches(
    images: Images, function: Callable[[tf.Tensor], tf.Tensor], batch_size: int = 500
) -> np.ndarray:
    """What a function of some images in [-1, 1] gives for any number of them.

    Args:
        images: uint8 [N, H, W, C] in [0, 255].
        function: from float32 [k, H, W, C] in [-1, 1], k being `batch_size` at most, to [k, …].
        batch_size: how many images it takes at once.

    Returns:
        [N, …].
    """
    spec = tf.TensorSpec([None, *images.shape[1:]])
    graph = tf.function(function, autograph=False).get_concrete_function(spec)
    starts = range(0, len(images), batch_size)
    return np.concatenate(
        [graph(scale(images[start : start + batch_size])).numpy() for start in starts]
    )
