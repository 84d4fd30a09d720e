"""Packs of images that the discriminator judges together, against mode collapse (PacGAN)."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers


@keras.saving.register_keras_serializable("dcgan_tf")
class Pack(layers.Layer):
    """Stacks every M images of a batch on the channel axis (PacGAN, Lin et al., 2018).

    Float32 [batch, H, W, C] becomes [batch / M, H, W, M·C]. A discriminator that sees M images at
    once can detect a lack of variety among generated ones.

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
