"""New layers that are faded in beside the old ones (Karras et al., 2018, section 2, figure 2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from dcgan_tf.layers import Layers


@keras.saving.register_keras_serializable("dcgan_tf")
class FadeIn(layers.Layer):
    """Two stacks of layers side by side, blended: (1 − α)·old(x) + α·new(x).

    Args:
        old: the layers of the smaller model.
        new: the layers that take their place.

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


def grow_generator(old: Layers, new: Layers, stride: int) -> Layers:
    """A generator's layers, from its output layer for smaller images to its new ones.

    Args:
        old: the layers for images that are smaller by the stride.
        new: those for larger ones, of which all of `old` but the last are the first.
        stride: by which the blocks scale.
    """
    shared = len(old) - 1
    enlarge = layers.UpSampling2D(stride, dtype="float32")  # of images
    enlarged = keras.Sequential([*old[shared:], enlarge])
    return [*new[:shared], FadeIn(enlarged, keras.Sequential(new[shared:]))]


def grow_discriminator(old: Layers, new: Layers, stride: int) -> Layers:
    """A discriminator's layers, from its first block for smaller images to its two new ones.

    Args:
        old: the layers for images that are smaller by the stride.
        new: those for larger ones, which have a block more.
        stride: by which the blocks scale.
    """
    first_block, two_blocks = old[: block_end(old, 1)], new[: block_end(new, 2)]
    reduced = keras.Sequential([layers.AveragePooling2D(stride), *first_block])
    return [FadeIn(reduced, keras.Sequential(two_blocks)), *new[len(two_blocks) :]]


def block_end(stack: Layers, blocks: int) -> int:
    """How many layers this many blocks have, each of which begins with one that has a kernel."""
    starts = [i for i, layer in enumerate(stack) if hasattr(layer, "kernel_initializer")]
    return [*starts, len(stack)][blocks]


def unfold(model: keras.Sequential, *stacks: str) -> Layers:
    """The layers of a model, and in place of a `FadeIn` those of its `old` or `new` stack."""
    unfolded: Layers = []
    for layer in model.layers:
        if isinstance(layer, FadeIn):
            unfolded += [each for stack in stacks for each in getattr(layer, stack).layers]
        else:
            unfolded.append(layer)
    return unfolded


def faded_in(model: keras.Sequential) -> keras.Sequential:
    """The model without its old layers, once the new ones are faded in."""
    return keras.Sequential([model.inputs[0], *unfold(model, "new")], name=model.name)


def set_alpha(models: Iterable[keras.Sequential], alpha: tf.Tensor) -> None:
    """Moves the blend of all `FadeIn` layers to α, float32 in [0, 1]."""
    for model in models:
        for layer in model.layers:
            if isinstance(layer, FadeIn):
                layer.alpha.assign(alpha)


def fade_images(images: tf.Tensor, alpha: tf.Tensor, stride: int) -> tf.Tensor:
    """Real images as coarse as the generated ones: each pixel blended with its block's mean.

    Args:
        images: float32 [batch, H, W, C].
        alpha: 0 for the means alone, 1 for the images as they are.
        stride: pixels a side of a block.
    """
    coarse = keras.ops.average_pool(images, stride)
    coarse = tf.repeat(tf.repeat(coarse, stride, axis=1), stride, axis=2)
    return (1 - alpha) * coarse + alpha * images
