"""Models with nearest-neighbor upsampling and convolutions instead of transposed convolutions."""

from __future__ import annotations

from keras import layers

from dcgan_tf.layers import (
    Layers,
    dense_to_logit,
    discriminator_norm,
    dropout,
    generator_norm,
    kernel_initializer,
    same_size_conv,
    strided_conv,
)
from dcgan_tf.models import OUTPUT, ImageShape
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.image_size import start_and_blocks


def upsample_generator(config: Config, image_shape: ImageShape) -> Layers:
    """A dense layer, then blocks of batch norm, nearest-neighbor upsampling and a convolution.

    Odena et al., 2016, Deconvolution and Checkerboard Artifacts.
    """
    start, blocks = start_and_blocks(image_shape, config.stride)
    filters = [config.base_filters * 2**i for i in reversed(range(blocks))]
    stack = [
        layers.Dense(
            start[0] * start[1] * filters[0], kernel_initializer=kernel_initializer(config)
        ),
        layers.Reshape((*start, filters[0])),
    ]
    for count in filters:
        stack += [
            *generator_norm(config),
            layers.UpSampling2D(config.stride),
            same_size_conv(config, count),
            layers.ReLU(),
        ]
    return [*stack, same_size_conv(config, image_shape[2], **OUTPUT)]


def upsample_discriminator(config: Config, image_shape: ImageShape) -> Layers:
    """Strided convolutions, with batch norm after dropout; the first block has no batch norm."""
    _, blocks = start_and_blocks(image_shape, config.stride)
    stack = []
    for block in range(blocks):
        stack += [
            strided_conv(config, config.base_filters * 2**block, use_bias=True),
            layers.LeakyReLU(config.negative_slope),
            *dropout(config, config.dropout, block),
            *(discriminator_norm(config) if block else []),
        ]
    return [*stack, *dense_to_logit(config)]
