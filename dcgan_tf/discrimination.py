"""What the discriminator sees at once: each batch alone, both jointly, or images in packs."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers


def discriminate_separately(
    discriminator: keras.Sequential, real: tf.Tensor, fake: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The logits of real and of generated images, each batch on its own, as in the tutorial.

    Batch norm in the discriminator then normalises each with its own statistics, and its moving
    averages follow the one and the other in turn.
    """
    return discriminator(real, training=True), discriminator(fake, training=True)


def discriminate_jointly(
    discriminator: keras.Sequential, real: tf.Tensor, fake: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The logits of real and of generated images, from one batch of both.

    Batch norm in the discriminator then normalises both with the statistics of the mixture, so
    that a difference between their means stays visible to it.
    """
    real_logits, fake_logits = tf.split(discriminator(tf.concat([real, fake], 0), training=True), 2)
    return real_logits, fake_logits


DISCRIMINATE = {"separate": discriminate_separately, "joint": discriminate_jointly}


@keras.saving.register_keras_serializable("dcgan_tf")
class Pack(layers.Layer):
    """Stacks every M images of a batch on the channel axis (PacGAN, Lin et al., 2018).

    Float32 [batch, H, W, C] becomes [batch / M, H, W, M·C]: the discriminator that follows sees M
    images at once, and so a lack of variety among generated ones.

    Args:
        images: M.
    """

    def __init__(self, images: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.images = images

    def call(self, inputs: Any) -> Any:
        _, height, width, channels = inputs.shape
        groups = keras.ops.reshape(inputs, (-1, self.images, height, width, channels))
        stacked = keras.ops.transpose(groups, (0, 2, 3, 1, 4))
        return keras.ops.reshape(stacked, (-1, height, width, self.images * channels))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (None, *input_shape[1:3], self.images * input_shape[3])

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"images": self.images}


def as_packs(discriminator: keras.Sequential, images: tf.Tensor) -> tf.Tensor:
    """Images as a discriminator takes them one by one: repeated M times if it packs M."""
    first = discriminator.layers[0]
    return tf.repeat(images, first.images, axis=0) if isinstance(first, Pack) else images
