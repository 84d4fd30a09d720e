"""The building blocks of the models, each a list of Keras layers.

Some layers come from `fast/keras_layers.py` in place of Keras: batch norm and dropout unless
`reference` is set, convolutions if `convolutions` is "subpixel". They have the same weights and
compute the same function.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import keras
from keras import layers

from dcgan_tf.fast import keras_layers as fast_layers
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.image_size import Size

Layers = list[layers.Layer]

LAST_DROPOUT = 100  # index of the last dropout layer; no model has that many blocks


def mapping_network(config: Config, classes: int = 0) -> Layers:
    """A mapping network from z to a latent vector of the same length; empty by default.

    Karras et al., 2019, section 2. z, with its one-hot label in a conditional run, is scaled to a
    norm of √length and passed through dense layers with LeakyReLU. He initialization keeps its
    scale.
    """
    if not config.mapping_layers:
        return []
    latent_dim = config.noise_dim + classes
    stack = [layers.UnitNormalization(dtype="float32"), layers.Rescaling(latent_dim**0.5)]
    for _ in range(config.mapping_layers):
        stack += [
            layers.Dense(latent_dim, kernel_initializer="he_normal"),
            layers.LeakyReLU(config.negative_slope),
        ]
    return stack


def first_block(config: Config, filters: int, size: Size) -> Layers:
    """Upsamples from 1×1 to `size`: transposed convolution, batch norm, ReLU."""
    conv = layers.Conv2DTranspose(
        filters, size, use_bias=False, kernel_initializer=kernel_initializer(config)
    )
    return [conv, *generator_norm(config), layers.ReLU()]


def generator_block(config: Config, filters: int) -> Layers:
    """Upsamples by the stride: transposed convolution, batch norm, ReLU."""
    return [conv_transpose(config, filters), *generator_norm(config), layers.ReLU()]


def discriminator_block(config: Config, filters: int, block: int, norm: bool) -> Layers:
    """Downsamples by the stride: convolution, batch norm, LeakyReLU, dropout."""
    return [
        strided_conv(config, filters, use_bias=False),
        *(discriminator_norm(config) if norm else []),
        layers.LeakyReLU(config.negative_slope),
        *dropout(config, config.dropout, block),
    ]


def conv_to_logit(config: Config, size: Size) -> Layers:
    """Reduces a feature map of this height and width to one logit, by one convolution."""
    conv = layers.Conv2D(
        1, size, use_bias=False, kernel_initializer=kernel_initializer(config), dtype="float32"
    )
    return [*last_dropout(config), conv, layers.Flatten(dtype="float32")]


def dense_to_logit(config: Config) -> Layers:
    dense = layers.Dense(1, kernel_initializer=kernel_initializer(config), dtype="float32")
    return [layers.Flatten(), *last_dropout(config), dense]


def conv_transpose(
    config: Config, filters: int, strides: int | None = None, **kwargs: Any
) -> layers.Layer:
    return convolutions(config).Conv2DTranspose(
        filters,
        config.kernel_size,
        strides=strides or config.stride,
        padding="same",
        use_bias=False,
        kernel_initializer=kernel_initializer(config),
        **kwargs,
    )


def strided_conv(config: Config, filters: int, use_bias: bool) -> layers.Layer:
    return convolutions(config).Conv2D(
        filters,
        config.kernel_size,
        strides=config.stride,
        padding="same",
        use_bias=use_bias,
        kernel_initializer=kernel_initializer(config),
    )


def same_size_conv(config: Config, filters: int, **kwargs: Any) -> layers.Layer:
    return convolutions(config).Conv2D(
        filters,
        config.kernel_size,
        padding="same",
        kernel_initializer=kernel_initializer(config),
        **kwargs,
    )


def generator_norm(config: Config) -> Layers:
    return batch_norm(config) if config.generator_batch_norm else []


def discriminator_norm(config: Config) -> Layers:
    return batch_norm(config) if config.discriminator_batch_norm else []


def batch_norm(config: Config) -> Layers:
    """Batch norm. Its scale γ starts at 1, or from N(1, σ²) if `initializer_stddev` is given."""
    stddev = config.initializer_stddev
    ones = keras.initializers.RandomNormal(1.0, stddev) if stddev else "ones"
    return [
        normalizations(config).BatchNormalization(
            momentum=config.batch_norm_momentum,
            epsilon=config.batch_norm_epsilon,
            gamma_initializer=ones,
            synchronized=config.sync_batch_norm,
        )
    ]


def dropout(config: Config, rate: float, index: int) -> Layers:
    """Dropout with its own random seed, or no layer if the rate is 0."""
    # `config.seed` itself is the seed of the noise.
    return [normalizations(config).Dropout(rate, seed=config.seed + 1 + index)] if rate else []


def last_dropout(config: Config) -> Layers:
    return dropout(config, config.last_dropout, LAST_DROPOUT)


def kernel_initializer(config: Config) -> keras.initializers.Initializer:
    """A new initializer for each layer. A shared one would draw the same weights again."""
    if not config.initializer_stddev:
        return keras.initializers.GlorotUniform()
    return keras.initializers.RandomNormal(0.0, config.initializer_stddev)


def convolutions(config: Config) -> ModuleType:
    """The module that provides convolutions: Keras, or sub-pixel convolutions from `fast/`."""
    return fast_layers if config.convolutions == "subpixel" else layers


def normalizations(config: Config) -> ModuleType:
    """The module that provides batch norm and dropout: Keras with `reference`, else `fast/`."""
    return layers if config.reference else fast_layers
