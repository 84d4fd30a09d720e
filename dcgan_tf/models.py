"""The DCGANs that the field teaches, as Keras Sequential stacks of small blocks.

Every generator turns noise, float32 [batch, noise_dim], into images, float32 [batch, size, size,
channels] in [-1, 1]; every discriminator turns such images into logits, float32 [batch, 1]. An
image size is a starting size times a power of the stride, and each block multiplies by the stride.
With the stride of 2, sizes are 4, 5, 6 or 7 times a power of two.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
from keras import layers

from dcgan_tf.cli.errors import UserError
from dcgan_tf.config import Config
from dcgan_tf.growing.fade_in import grow_discriminator, grow_generator
from dcgan_tf.layers import (
    Layers,
    Pack,
    conv_to_logit,
    conv_transpose,
    dense_to_logit,
    discriminator_block,
    discriminator_norm,
    dropout,
    first_block,
    generator_block,
    generator_norm,
    kernel_initializer,
    mapping_network,
    same_size_conv,
    strided_conv,
)

ImageShape = tuple[int, ...]  # height, width, channels

OLD_LAYERS = 1 << 9  # a bit of the seed; the numbers of dropout layers need less
SMALLEST_START = 4
POLICIES = {"bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
OUTPUT: dict[str, Any] = {"activation": "tanh", "dtype": "float32"}


def make_generator(config: Config, image_shape: ImageShape, classes: int = 0) -> keras.Sequential:
    """The generator of the config's architecture, for images [size, size, channels].

    Args:
        config: the settings.
        image_shape: of its images.
        classes: how many a conditional run has; the noise is longer by that many values.

    Raises:
        UserError: images of that size can't be built by upsampling.
    """
    config = dataclasses.replace(config, noise_dim=config.noise_dim + classes)
    build, _ = ARCHITECTURES[config.architecture]
    with compute_in(config.precision):
        mapping = mapping_network(config) if config.mapping_layers else []
        stack = build(config, image_shape)
        if config.fade_in:
            stack = grow_generator(build(*smaller(config, image_shape)), stack, config.stride)
        inputs = layers.Input((config.noise_dim,))
        return keras.Sequential([inputs, *mapping, *stack], name="generator")


def make_discriminator(
    config: Config, image_shape: ImageShape, classes: int = 0
) -> keras.Sequential:
    """The discriminator of the config's architecture, for images [size, size, channels].

    Args:
        config: the settings.
        image_shape: of the images.
        classes: how many a conditional run has; the images have that many more channels.

    Raises:
        UserError: images of that size can't be built by upsampling.
    """
    image_shape = (*image_shape[:2], image_shape[2] + classes)
    _, build = ARCHITECTURES[config.architecture]
    with compute_in(config.precision):
        pack = [Pack(config.pack)] if config.pack > 1 else []
        stack = build(config, image_shape)
        if config.fade_in:
            stack = grow_discriminator(build(*smaller(config, image_shape)), stack, config.stride)
        return keras.Sequential([layers.Input(image_shape), *pack, *stack], name="discriminator")


def smaller(config: Config, image_shape: ImageShape) -> tuple[Config, ImageShape]:
    """The settings and image shape of the models that these grow from: a block less of each.

    The seed is another one, so that old and new layers differ in what their dropout drops.
    """
    height, width, channels = image_shape
    size = (height // config.stride, width // config.stride, channels)
    filters, seed = 2 * config.base_filters, config.seed ^ OLD_LAYERS
    return dataclasses.replace(config, base_filters=filters, fade_in=0, seed=seed), size


@contextlib.contextmanager
def compute_in(precision: str) -> Iterator[None]:
    """Layers that are made within compute in this precision, with float32 weights."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(POLICIES.get(precision, "float32"))
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def tutorial_generator(config: Config, image_shape: ImageShape) -> Layers:
    """https://www.tensorflow.org/tutorials/generative/dcgan: 2,330,944 parameters at 28×28×1."""
    start, blocks = start_and_blocks(image_shape[0], config.stride)
    filters = [config.base_filters * 2**i for i in reversed(range(blocks))]
    dense = start * start * 2 * filters[0]
    stack = [
        layers.Dense(dense, use_bias=False, kernel_initializer=kernel_initializer(config)),
        *generator_norm(config),
        layers.LeakyReLU(config.negative_slope),
        layers.Reshape((start, start, 2 * filters[0])),
    ]
    for block, count in enumerate(filters):
        stack += [
            conv_transpose(config, count, strides=None if block else 1),
            *generator_norm(config),
            layers.LeakyReLU(config.negative_slope),
        ]
    return [*stack, conv_transpose(config, image_shape[2], **OUTPUT)]


def tutorial_discriminator(config: Config, image_shape: ImageShape) -> Layers:
    """https://www.tensorflow.org/tutorials/generative/dcgan: 212,865 parameters at 28×28×1."""
    _, blocks = start_and_blocks(image_shape[0], config.stride)
    stack = []
    for block in range(blocks):
        stack += [
            strided_conv(config, config.base_filters * 2**block, use_bias=True),
            *discriminator_norm(config),
            layers.LeakyReLU(config.negative_slope),
            *dropout(config, config.dropout, block),
        ]
    return [*stack, *dense_to_logit(config)]


def paper_generator(config: Config, image_shape: ImageShape) -> Layers:
    """Radford et al., 2016, figure 1, without its dense layer, as in PyTorch's reading.

    At 64×64×3: 4×4×512, 8×8×256, 16×16×128, 32×32×64, 64×64×3; 3,576,704 trainable parameters
    with a kernel of 4 and a noise of 100.
    """
    start, blocks = start_and_blocks(image_shape[0], config.stride)
    stack = [layers.Reshape((1, 1, config.noise_dim))]
    for block in range(blocks):
        filters = config.base_filters * 2 ** (blocks - 1 - block)
        stack += generator_block(config, filters) if block else first_block(config, filters, start)
    return [*stack, conv_transpose(config, image_shape[2], **OUTPUT)]


def paper_discriminator(config: Config, image_shape: ImageShape) -> Layers:
    """Radford et al., 2016, section 3, with a convolution in place of the last dense layer.

    At 64×64×3: 2,765,568 trainable parameters with a kernel of 4. The first block has no batch
    norm.
    """
    start, blocks = start_and_blocks(image_shape[0], config.stride)
    stack = []
    for block in range(blocks):
        filters = config.base_filters * 2**block
        stack += discriminator_block(config, filters, block, norm=block > 0)
    return [*stack, *conv_to_logit(config, start)]


def blocks_discriminator(config: Config, image_shape: ImageShape) -> Layers:
    """One block fewer than the generator has, each with batch norm; then a wide last convolution.

    At 32×32: 16×16×64, 8×8×128, and an 8×8 convolution to the logit.
    """
    start, blocks = start_and_blocks(image_shape[0], config.stride)
    stack = []
    for block in range(blocks - 1):
        stack += discriminator_block(config, config.base_filters * 2**block, block, norm=True)
    return [*stack, *conv_to_logit(config, config.stride * start)]


def upsample_generator(config: Config, image_shape: ImageShape) -> Layers:
    """Dense, then batch norm, nearest-neighbour doubling and a convolution, again and again.

    Odena et al., 2016, Deconvolution and Checkerboard Artifacts, tell why.
    """
    start, blocks = start_and_blocks(image_shape[0], config.stride)
    filters = [config.base_filters * 2**i for i in reversed(range(blocks))]
    stack = [
        layers.Dense(start * start * filters[0], kernel_initializer=kernel_initializer(config)),
        layers.Reshape((start, start, filters[0])),
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
    """Strided convolutions whose batch norm comes last, after the dropout; none in the first."""
    _, blocks = start_and_blocks(image_shape[0], config.stride)
    stack = []
    for block in range(blocks):
        stack += [
            strided_conv(config, config.base_filters * 2**block, use_bias=True),
            layers.LeakyReLU(config.negative_slope),
            *dropout(config, config.dropout, block),
            *(discriminator_norm(config) if block else []),
        ]
    return [*stack, *dense_to_logit(config)]


ARCHITECTURES = {
    "tutorial": (tutorial_generator, tutorial_discriminator),
    "paper": (paper_generator, paper_discriminator),
    "blocks": (paper_generator, blocks_discriminator),
    "upsample": (upsample_generator, upsample_discriminator),
}


def start_and_blocks(image_size: int, stride: int) -> tuple[int, int]:
    """Splits an image size into a starting size and a number of blocks: 96 is 6·2⁴.

    Args:
        image_size: pixels a side.
        stride: of each block, from 2 up.

    Returns:
        A start from 4 up to, but not including, 4 strides; and how often the stride multiplies it.

    Raises:
        UserError: the size is no such product; names the nearest that are.
    """
    start, blocks = image_size, 0
    while start >= SMALLEST_START * stride and start % stride == 0:
        start, blocks = start // stride, blocks + 1
    starts = range(SMALLEST_START, SMALLEST_START * stride)
    if start in starts and blocks:
        return start, blocks
    power = stride
    while SMALLEST_START * stride * power <= image_size:
        power *= stride
    below = image_size // power * power
    smallest = SMALLEST_START * stride
    nearest = [below, below + power] if image_size > smallest else [smallest]
    raise UserError(
        f"--image_size {image_size} is not {starts[0]} to {starts[-1]} times a power of "
        f"--stride {stride}: {' or '.join(map(str, nearest))} would do"
    )
