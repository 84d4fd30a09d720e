"""Fades in new layers, as in progressive growing (Karras et al., 2018, section 2, figure 2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from dcgan_tf.layers import Layers, mapping_network
from dcgan_tf.models import (
    ImageShape,
    as_discriminator,
    as_generator,
    discriminator_layers,
    generator_layers,
    make_discriminator,
    make_generator,
)
from dcgan_tf.regularization.spectral_norm import kernel_layers
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.keras_settings import compute_in

OLD_SEED_BIT = 1 << 9  # flipped in the seed of old layers; indices of dropout layers are smaller


@keras.saving.register_keras_serializable("dcgan_tf")
class FadeIn(keras.layers.Layer):
    """Two stacks of layers side by side, blended: (1 − α)·old(x) + α·new(x).

    Args:
        old: the layers of the smaller model.
        new: the layers that replace them.

    Attributes:
        alpha: α, a weight that is not trained: 0 at first, 1 once the new layers are faded in.
    """

    def __init__(self, old: keras.Sequential, new: keras.Sequential, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.old, self.new = old, new

    def build(self, input_shape: tuple) -> None:
        self.old.build(input_shape)
        self.new.build(input_shape)
        self.alpha = self.add_weight(
            name="alpha", initializer="zeros", trainable=False, autocast=False
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        old, new = (stack(inputs, training=training) for stack in (self.old, self.new))
        alpha = keras.ops.cast(self.alpha, new.dtype)
        return (1 - alpha) * old + alpha * new

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return self.new.compute_output_shape(input_shape)

    @property
    def layers(self) -> Layers:
        """The layers of both stacks, the old one first."""
        return [*self.old.layers, *self.new.layers]

    def get_config(self) -> dict[str, Any]:
        stacks = {"old": self.old, "new": self.new}
        return super().get_config() | {
            name: keras.saving.serialize_keras_object(stack) for name, stack in stacks.items()
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> FadeIn:
        stacks = {name: keras.saving.deserialize_keras_object(config[name]) for name in STACKS}
        return cls(**config | stacks)


STACKS = ("old", "new")


def grow_generator(config: Config, image_shape: ImageShape, classes: int = 0) -> keras.Model:
    """The generator of a growing run: its old output layer is faded out.

    The old layers generate images that are smaller by the stride. All of them but the last are also
    the first of the new layers.
    """
    with compute_in(config.precision):
        mapping = mapping_network(config, classes)
        new = generator_layers(config, image_shape, classes)
        old = generator_layers(*smaller_models(config, image_shape), classes)
        shared = len(old) - 1
        enlarge = layers.UpSampling2D(config.stride, dtype="float32")  # of images
        fade_in = FadeIn(keras.Sequential([*old[shared:], enlarge]), keras.Sequential(new[shared:]))
        return as_generator(config, [*mapping, *new[:shared], fade_in], classes)


def grow_discriminator(config: Config, image_shape: ImageShape, classes: int = 0) -> keras.Model:
    """The discriminator of a growing run: its old first block is faded out.

    The old layers take images that are smaller by the stride. The new ones have one more block.
    """
    with compute_in(config.precision):
        new = discriminator_layers(config, image_shape, classes)
        old = discriminator_layers(*smaller_models(config, image_shape), classes)
        first_block, two_blocks = old[: block_end(old, 1)], new[: block_end(new, 2)]
        reduce = layers.AveragePooling2D(config.stride)
        fade_in = FadeIn(keras.Sequential([reduce, *first_block]), keras.Sequential(two_blocks))
        return as_discriminator(config, image_shape, [fade_in, *new[len(two_blocks) :]], classes)


def smaller_models(config: Config, image_shape: ImageShape) -> tuple[Config, ImageShape]:
    """The settings and image shape of the old models, which have one block fewer.

    Their seed differs, so old and new dropout layers draw different masks.
    """
    height, width, channels = image_shape
    size = (height // config.stride, width // config.stride, channels)
    filters, seed = 2 * config.base_filters, config.seed ^ OLD_SEED_BIT
    return dataclasses.replace(config, base_filters=filters, fade_in=0, seed=seed), size


def model_makers(config: Config) -> tuple[Callable[..., keras.Model], Callable[..., keras.Model]]:
    """The functions that make the models of a run; with `fade_in`, growing models."""
    if config.fade_in:
        return grow_generator, grow_discriminator
    return make_generator, make_discriminator


def block_end(stack: Layers, blocks: int) -> int:
    """The number of layers in the first `blocks` blocks. A layer with a kernel starts a block."""
    return [*kernel_layers(stack), len(stack)][blocks]


def unfold(model: keras.Sequential, stack: str) -> Layers:
    """The layers of a model, with a `FadeIn` replaced by the layers of its `old` or `new` stack."""
    flat: Layers = []
    for layer in model.layers:
        if isinstance(layer, FadeIn):
            flat += getattr(layer, stack).layers
        else:
            flat.append(layer)
    return flat


def as_of_step(model: keras.Sequential, config: Config, step: int) -> keras.Sequential:
    """A model as of a step of its run: without the old layers once the new ones are faded in."""
    if not 0 < config.fade_in <= step:
        return model
    return keras.Sequential([model.inputs[0], *unfold(model, "new")], name=model.name)


def fade_images(images: tf.Tensor, alpha: tf.Tensor, stride: int) -> tf.Tensor:
    """Real images made as coarse as generated ones: each pixel is blended with its block's mean.

    Args:
        images: float32 [batch, H, W, C].
        alpha: 0 gives the means, 1 gives the images.
        stride: the side of a block in pixels.
    """
    coarse = keras.ops.average_pool(images, stride, data_format="channels_last")
    coarse = tf.repeat(tf.repeat(coarse, stride, axis=1), stride, axis=2)
    return (1 - alpha) * coarse + alpha * images
