"""The generator and the discriminator, as Keras Sequential stacks of small blocks.

Every generator turns noise, float32 [batch, noise_dim], into images, float32 [batch, height,
width, channels] in [-1, 1]; every discriminator turns such images into logits, float32 [batch, 1].
Each block multiplies the height and width by the stride. With a stride of 2, the shorter side must
be 4, 5, 6 or 7 times a power of two, and the longer side a multiple of the same power. The
tutorial's models are at the end: `tutorial_generator` and `tutorial_discriminator`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
from keras import layers

from dcgan_tf.conditional.label_inputs import stack_of, with_label_input, with_label_maps
from dcgan_tf.conditional.label_layers import with_class_norms, with_projection
from dcgan_tf.layers import (
    Layers,
    conv_transpose,
    dense_to_logit,
    discriminator_norm,
    dropout,
    generator_norm,
    kernel_initializer,
    mapping_network,
    strided_conv,
)
from dcgan_tf.regularization.pack import Pack
from dcgan_tf.regularization.spectral_norm import kernel_layers, spectral_norm
from dcgan_tf.settings.choices import ARCHITECTURES, resolve
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.image_size import start_and_blocks
from dcgan_tf.settings.keras_settings import compute_in

ImageShape = tuple[int, ...]  # height, width, channels

OUTPUT: dict[str, Any] = {"activation": "tanh", "dtype": "float32"}


def make_generator(config: Config, image_shape: ImageShape, classes: int = 0) -> keras.Model:
    """The generator of the config's architecture.

    Args:
        config: the settings.
        image_shape: height, width and channels of the images.
        classes: the number of classes in a conditional run.

    Raises:
        UserError: upsampling can't reach that size.
    """
    with compute_in(config.precision):
        label_channels = classes if config.label_input == "concat" else 0
        mapping = mapping_network(config, label_channels)
        stack = generator_layers(config, image_shape, label_channels)
        return as_generator(config, [*mapping, *stack], classes)


def make_discriminator(config: Config, image_shape: ImageShape, classes: int = 0) -> keras.Model:
    """The discriminator of the config's architecture; see `make_generator` for the arguments."""
    with compute_in(config.precision):
        label_channels = classes if config.label_input == "concat" else 0
        stack = discriminator_layers(config, image_shape, label_channels)
        return as_discriminator(config, image_shape, stack, classes)


def generator_layers(config: Config, image_shape: ImageShape, classes: int = 0) -> Layers:
    """The generator's layers. With classes, they take noise and a one-hot label as one vector."""
    config = dataclasses.replace(config, noise_dim=config.noise_dim + classes)
    return resolve(ARCHITECTURES[config.architecture].generator)(config, image_shape)


def discriminator_layers(config: Config, image_shape: ImageShape, classes: int = 0) -> Layers:
    """The discriminator's layers. With classes, each is one more channel of the images."""
    *size, channels = image_shape
    shape = (*size, channels + classes)
    stack = resolve(ARCHITECTURES[config.architecture].discriminator)(config, shape)
    return spectral_norm(config, stack)


def as_generator(config: Config, stack: Layers, classes: int) -> keras.Model:
    """A generator from a stack of layers; a conditional one takes [noise, labels]."""
    if classes and config.label_input == "projection":
        generator = with_class_norms(stack, config.noise_dim, classes)
        return with_label_input(generator, config.noise_dim, classes)
    inputs = layers.Input((config.noise_dim + classes,))
    generator = keras.Sequential([inputs, *stack], name="generator")
    return with_label_input(generator, config.noise_dim, classes) if classes else generator


def as_discriminator(
    config: Config, image_shape: ImageShape, stack: Layers, classes: int
) -> keras.Model:
    """A discriminator from a stack of layers; a conditional one takes [images, labels]."""
    *size, channels = image_shape
    pack = [Pack(config.pack)] if config.pack > 1 else []
    if classes and config.label_input == "projection":
        last = kernel_layers(stack)[-1]
        return with_projection(
            [*pack, *stack[:last]],
            stack[last:],
            image_shape,
            classes,
            config.pack,
            kernel_initializer(config),
            auxiliary=config.has_auxiliary_classifier,
        )
    inputs = layers.Input((*size, channels + classes))
    discriminator = keras.Sequential([inputs, *pack, *stack], name="discriminator")
    return with_label_maps(discriminator, image_shape, classes) if classes else discriminator


def all_layers(model: keras.Model) -> Iterator[layers.Layer]:
    """All layers of a model's stack, with nested models flattened."""
    for layer in stack_of(model).layers if isinstance(model, keras.Model) else model.layers:
        if hasattr(layer, "layers"):
            yield from all_layers(layer)
        else:
            yield layer


def tutorial_generator(config: Config, image_shape: ImageShape) -> Layers:
    """The tutorial's generator: 2,330,944 parameters at 28×28×1.

    https://www.tensorflow.org/tutorials/generative/dcgan
    """
    start, blocks = start_and_blocks(image_shape, config.stride)
    filters = [config.base_filters * 2**i for i in reversed(range(blocks))]
    dense = start[0] * start[1] * 2 * filters[0]
    stack = [
        layers.Dense(dense, use_bias=False, kernel_initializer=kernel_initializer(config)),
        *generator_norm(config),
        layers.LeakyReLU(config.negative_slope),
        layers.Reshape((*start, 2 * filters[0])),
    ]
    # The first convolution keeps the size of the map. Each of the others doubles it.
    for block, count in enumerate(filters):
        stack += [
            conv_transpose(config, count, strides=None if block else 1),
            *generator_norm(config),
            layers.LeakyReLU(config.negative_slope),
        ]
    return [*stack, conv_transpose(config, image_shape[2], **OUTPUT)]


def tutorial_discriminator(config: Config, image_shape: ImageShape) -> Layers:
    """The tutorial's discriminator: 212,865 parameters at 28×28×1."""
    _, blocks = start_and_blocks(image_shape, config.stride)
    stack = []
    for block in range(blocks):
        stack += [
            strided_conv(config, config.base_filters * 2**block, use_bias=True),
            *discriminator_norm(config),
            layers.LeakyReLU(config.negative_slope),
            *dropout(config, config.dropout, block),
        ]
    return [*stack, *dense_to_logit(config)]
