"""The blocks that the models are stacked from: convolutions, normalisation, dropout.

Every block is a list of Keras layers. Some are those of `fast/keras_layers.py`, which hold the same
weights and compute the same: batch norm and dropout, unless under `reference`, and convolutions
under `convolutions=subpixel`.
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

LAST_DROPOUT = 100  # its number: no model has so many blocks


def mapping_network(config: Config, classes: int = 0) -> Layers:
    """From z to a latent vector of the same length (Karras et al., 2019, section 2).

    z, with a one-hot label beside it in a conditional run, is scaled to the square root of its
    size, and goes through dense layers with LeakyReLU. Their weights are drawn from He's
    distribution, so that no layer makes its values smaller. Without `mapping_layers`, none.
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
    """From 1×1 to this height and width: transposed convolution, batch norm, ReLU."""
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
    """One convolution over the whole of a feature map of this height and width."""
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
    """Batch norm, whose scale γ starts at 1, or near it where the weights are drawn from N."""
    deviation = config.initializer_stddev
    ones = keras.initializers.RandomNormal(1.0, deviation) if deviation else "ones"
    return [
        normalizations(config).BatchNormalization(
            momentum=config.batch_norm_momentum,
            epsilon=config.batch_norm_epsilon,
            gamma_initializer=ones,
            synchronized=config.sync_batch_norm,
        )
    ]


def dropout(config: Config, rate: float, number: int) -> Layers:
    """Dropout with random numbers of its own, by its number, or no layer where the rate is 0."""
    # The run's own seed is that of the noise.
    return [normalizations(config).Dropout(rate, seed=config.seed + 1 + number)] if rate else []


def last_dropout(config: Config) -> Layers:
    return dropout(config, config.last_dropout, LAST_DROPOUT)


def kernel_initializer(config: Config) -> keras.initializers.Initializer:
    """A new initializer for each layer: one that is shared would draw the same numbers again."""
    if not config.initializer_stddev:
        return keras.initializers.GlorotUniform()
    return keras.initializers.RandomNormal(0.0, config.initializer_stddev)


def convolutions(config: Config) -> ModuleType:
    """Where convolutions come from: TensorFlow's kernels by Keras, or sub-pixel convolutions."""
    return fast_layers if config.convolutions == "subpixel" else layers


def normalizations(config: Config) -> ModuleType:
    """Where batch norm and dropout come from: Keras under `reference`, else `fast/`."""
    return layers if config.reference else fast_layers
