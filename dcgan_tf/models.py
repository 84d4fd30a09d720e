"""The DCGANs that the field teaches, as Keras Sequential stacks of small blocks.

Every generator turns noise, float32 [batch, noise_dim], into images, float32 [batch, size, size,
channels] in [-1, 1]; every discriminator turns such images into logits, float32 [batch, 1]. An
image size is a starting size of 4 to 7 times a power of two, and each doubling is one block.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import ModuleType

import keras
from keras import layers

from dcgan_tf import fast_layers
from dcgan_tf.config import Config
from dcgan_tf.discrimination import Pack
from dcgan_tf.errors import UserError

Layers = list[layers.Layer]
ImageShape = tuple[int, int, int]

POLICIES = {"bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
OUTPUT = {"activation": "tanh", "dtype": "float32"}


def make_generator(config: Config, image_shape: ImageShape) -> keras.Sequential:
    """The generator of the config's architecture, for images [size, size, channels].

    Raises:
        UserError: images of that size can't be built by doubling.
    """
    build, _ = ARCHITECTURES[config.architecture]
    with precision(config):
        stack = [layers.Input((config.noise_dim,)), *build(config, image_shape)]
        return keras.Sequential(stack, name="generator")


def make_discriminator(config: Config, image_shape: ImageShape) -> keras.Sequential:
    """The discriminator of the config's architecture, for images [size, size, channels].

    Raises:
        UserError: images of that size can't be built by doubling.
    """
    _, build = ARCHITECTURES[config.architecture]
    with precision(config):
        pack = [Pack(config.pack)] if config.pack > 1 else []
        stack = [layers.Input(image_shape), *pack, *build(config, image_shape)]
        return keras.Sequential(stack, name="discriminator")


@contextlib.contextmanager
def precision(config: Config) -> Iterator[None]:
    """Layers that are made within compute in the config's precision, with float32 weights."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(POLICIES.get(config.precision, "float32"))
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def tutorial_generator(config: Config, image_shape: ImageShape) -> Layers:
    """https://www.tensorflow.org/tutorials/generative/dcgan: 2,330,944 parameters at 28×28×1."""
    start, doublings = start_and_doublings(image_shape[0])
    filters = [config.base_filters * 2**i for i in reversed(range(doublings))]
    dense = start * start * 2 * filters[0]
    stack = [
        layers.Dense(dense, use_bias=False, kernel_initializer=kernel_init(config)),
        *generator_norm(config),
        layers.LeakyReLU(config.leaky_slope),
        layers.Reshape((start, start, 2 * filters[0])),
    ]
    for block, count in enumerate(filters):
        stack += [
            transposed(config, count, strides=2 if block else 1),
            *generator_norm(config),
            layers.LeakyReLU(config.leaky_slope),
        ]
    return [*stack, transposed(config, image_shape[2], **OUTPUT)]


def tutorial_discriminator(config: Config, image_shape: ImageShape) -> Layers:
    """https://www.tensorflow.org/tutorials/generative/dcgan: 212,865 parameters at 28×28×1."""
    _, doublings = start_and_doublings(image_shape[0])
    stack = []
    for block in range(doublings):
        stack += [
            strided(config, config.base_filters * 2**block, use_bias=True),
            *discriminator_norm(config),
            layers.LeakyReLU(config.leaky_slope),
            *dropout(config, block),
        ]
    return [*stack, *dense_to_logit(config)]


def paper_generator(config: Config, image_shape: ImageShape) -> Layers:
    """Radford et al., 2016, figure 1, without its dense layer, as in PyTorch's reading.

    At 64×64×3: 4×4×512, 8×8×256, 16×16×128, 32×32×64, 64×64×3; 3,576,704 trainable parameters
    with a kernel of 4 and a noise of 100.
    """
    start, doublings = start_and_doublings(image_shape[0])
    stack = [layers.Reshape((1, 1, config.noise_dim))]
    for block in range(doublings):
        filters = config.base_filters * 2 ** (doublings - 1 - block)
        stack += generator_block(config, filters) if block else first_block(config, filters, start)
    return [*stack, transposed(config, image_shape[2], **OUTPUT)]


def paper_discriminator(config: Config, image_shape: ImageShape) -> Layers:
    """Radford et al., 2016, section 3, with a convolution in place of the last dense layer.

    At 64×64×3: 2,765,568 trainable parameters with a kernel of 4. The first block has no batch
    norm.
    """
    start, doublings = start_and_doublings(image_shape[0])
    stack = []
    for block in range(doublings):
        filters = config.base_filters * 2**block
        stack += discriminator_block(config, filters, block, norm=block > 0)
    return [*stack, *to_logit(config, start)]


def blocks_discriminator(config: Config, image_shape: ImageShape) -> Layers:
    """One block fewer than the generator has, each with batch norm; then a wide last convolution.

    At 32×32: 16×16×64, 8×8×128, and an 8×8 convolution to the logit.
    """
    start, doublings = start_and_doublings(image_shape[0])
    stack = []
    for block in range(doublings - 1):
        stack += discriminator_block(config, config.base_filters * 2**block, block, norm=True)
    return [*stack, *to_logit(config, 2 * start)]


def upsample_generator(config: Config, image_shape: ImageShape) -> Layers:
    """Dense, then batch norm, nearest-neighbour doubling and a convolution, again and again.

    Odena et al., 2016, Deconvolution and Checkerboard Artifacts, tell why.
    """
    start, doublings = start_and_doublings(image_shape[0])
    filters = [config.base_filters * 2**i for i in reversed(range(doublings))]
    stack = [
        layers.Dense(start * start * filters[0], kernel_initializer=kernel_init(config)),
        layers.Reshape((start, start, filters[0])),
    ]
    for count in filters:
        stack += [
            *generator_norm(config),
            layers.UpSampling2D(),
            same_size(config, count),
            layers.ReLU(),
        ]
    return [*stack, same_size(config, image_shape[2], **OUTPUT)]


def upsample_discriminator(config: Config, image_shape: ImageShape) -> Layers:
    """Strided convolutions whose batch norm comes last, after the dropout; none in the first."""
    _, doublings = start_and_doublings(image_shape[0])
    stack = []
    for block in range(doublings):
        stack += [
            strided(config, config.base_filters * 2**block, use_bias=True),
            layers.LeakyReLU(config.leaky_slope),
            *dropout(config, block),
            *(discriminator_norm(config) if block else []),
        ]
    return [*stack, *dense_to_logit(config)]


ARCHITECTURES = {
    "tutorial": (tutorial_generator, tutorial_discriminator),
    "paper": (paper_generator, paper_discriminator),
    "blocks": (paper_generator, blocks_discriminator),
    "upsample": (upsample_generator, upsample_discriminator),
}


def start_and_doublings(image_size: int) -> tuple[int, int]:
    """Splits an image size into a start of 4 to 7 and the number of doublings: 96 is 6·2⁴.

    Raises:
        UserError: the size is no such product; names the nearest that are.
    """
    start, doublings = image_size, 0
    while start > 7 and start % 2 == 0:
        start, doublings = start // 2, doublings + 1
    if 4 <= start <= 7 and doublings:
        return start, doublings
    sizes = [start * 2**n for start in range(4, 8) for n in range(1, 9)]
    below = [max(size for size in sizes if size < image_size)] if image_size > min(sizes) else []
    above = [min(size for size in sizes if size > image_size)] if image_size < max(sizes) else []
    raise UserError(
        f"--image_size {image_size} is not 4, 5, 6 or 7 times a power of two: "
        f"{' or '.join(map(str, below + above))} would do"
    )


def first_block(config: Config, filters: int, start: int) -> Layers:
    """From 1×1 to the starting size: transposed convolution, batch norm, ReLU."""
    conv = layers.Conv2DTranspose(
        filters, start, use_bias=False, kernel_initializer=kernel_init(config)
    )
    return [conv, *generator_norm(config), layers.ReLU()]


def generator_block(config: Config, filters: int) -> Layers:
    """Doubles the size: transposed convolution of stride 2, batch norm, ReLU."""
    return [transposed(config, filters), *generator_norm(config), layers.ReLU()]


def discriminator_block(config: Config, filters: int, block: int, norm: bool) -> Layers:
    """Halves the size: convolution of stride 2, batch norm, LeakyReLU, dropout."""
    return [
        strided(config, filters, use_bias=False),
        *(discriminator_norm(config) if norm else []),
        layers.LeakyReLU(config.leaky_slope),
        *dropout(config, block),
    ]


def to_logit(config: Config, size: int) -> Layers:
    """One convolution over the whole of a size×size map."""
    conv = layers.Conv2D(
        1, size, use_bias=False, kernel_initializer=kernel_init(config), dtype="float32"
    )
    return [conv, layers.Flatten(dtype="float32")]


def dense_to_logit(config: Config) -> Layers:
    dense = layers.Dense(1, kernel_initializer=kernel_init(config), dtype="float32")
    return [layers.Flatten(), dense]


def transposed(config: Config, filters: int, strides: int = 2, **kwargs: str) -> layers.Layer:
    return convolutions(config).Conv2DTranspose(
        filters,
        config.kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer=kernel_init(config),
        **kwargs,
    )


def strided(config: Config, filters: int, use_bias: bool) -> layers.Layer:
    return convolutions(config).Conv2D(
        filters,
        config.kernel_size,
        strides=2,
        padding="same",
        use_bias=use_bias,
        kernel_initializer=kernel_init(config),
    )


def same_size(config: Config, filters: int, **kwargs: str) -> layers.Layer:
    return convolutions(config).Conv2D(
        filters,
        config.kernel_size,
        padding="same",
        kernel_initializer=kernel_init(config),
        **kwargs,
    )


def convolutions(config: Config) -> ModuleType:
    """Where the convolutions come from: Keras, or this project's, which compute the same."""
    return fast_layers if config.convolutions == "phases" else layers


def generator_norm(config: Config) -> Layers:
    return batch_norm(config) if config.generator_batch_norm else []


def discriminator_norm(config: Config) -> Layers:
    return batch_norm(config) if config.discriminator_batch_norm else []


def batch_norm(config: Config) -> Layers:
    """Batch norm, whose scale γ starts at 1, or near it where the weights are drawn from N."""
    deviation = config.initializer_stddev
    ones = keras.initializers.RandomNormal(1.0, deviation) if deviation else "ones"
    return [
        fast_layers.BatchNormalization(
            momentum=config.batch_norm_momentum,
            epsilon=config.batch_norm_epsilon,
            gamma_initializer=ones,
            synchronized=config.sync_batch_norm,
        )
    ]


def kernel_init(config: Config) -> keras.initializers.Initializer:
    """A new initializer for each layer: one that is shared would draw the same numbers again."""
    if config.initializer_stddev is None:
        return keras.initializers.GlorotUniform()
    return keras.initializers.RandomNormal(0.0, config.initializer_stddev)


def dropout(config: Config, block: int) -> Layers:
    """Dropout with random numbers of its own, or no layer where the rate is 0."""
    if not config.dropout:
        return []
    return [fast_layers.Dropout(config.dropout, seed=config.seed + block)]
