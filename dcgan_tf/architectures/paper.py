"""The models of the DCGAN paper, and a variant taught in courses."""

from __future__ import annotations

from keras import layers

from dcgan_tf.layers import (
    Layers,
    conv_to_logit,
    conv_transpose,
    discriminator_block,
    first_block,
    generator_block,
)
from dcgan_tf.models import OUTPUT, ImageShape
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.image_size import start_and_blocks


def paper_generator(config: Config, image_shape: ImageShape) -> Layers:
    """Radford et al., 2016, figure 1, without its dense layer, as in PyTorch's example.

    At 64×64×3: 4×4×512, 8×8×256, 16×16×128, 32×32×64, 64×64×3; 3,576,704 trainable parameters
    with a kernel size of 4 and a noise dimension of 100.
    """
    start, blocks = start_and_blocks(image_shape, config.stride)
    stack = [layers.Reshape((1, 1, config.noise_dim))]
    for block in range(blocks):
        filters = config.base_filters * 2 ** (blocks - 1 - block)
        stack += generator_block(config, filters) if block else first_block(config, filters, start)
    return [*stack, conv_transpose(config, image_shape[2], **OUTPUT)]


def paper_discriminator(config: Config, image_shape: ImageShape) -> Layers:
    """Radford et al., 2016, section 3, with a convolution instead of the last dense layer.

    At 64×64×3: 2,765,568 trainable parameters with a kernel size of 4. The first block has no batch
    norm.
    """
    start, blocks = start_and_blocks(image_shape, config.stride)
    stack = []
    for block in range(blocks):
        filters = config.base_filters * 2**block
        stack += discriminator_block(config, filters, block, norm=block > 0)
    return [*stack, *conv_to_logit(config, start)]


def blocks_discriminator(config: Config, image_shape: ImageShape) -> Layers:
    """One block fewer than the generator, all with batch norm, and a wide last convolution.

    At 32×32: 16×16×64, 8×8×128, and an 8×8 convolution to the logit.
    """
    start, blocks = start_and_blocks(image_shape, config.stride)
    stack = []
    for block in range(blocks - 1):
        stack += discriminator_block(config, config.base_filters * 2**block, block, norm=True)
    return [*stack, *conv_to_logit(config, (config.stride * start[0], config.stride * start[1]))]
