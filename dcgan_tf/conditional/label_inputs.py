"""Conditional GANs that concatenate one-hot labels to the inputs of both models.

Mirza and Osindero, 2014. Labels are class ids, int32 [batch].
"""

from __future__ import annotations

import keras
from keras import layers


def with_label_input(generator: keras.Model, noise_dim: int, classes: int) -> keras.Model:
    """A generator whose inputs are `noise` and `label`.

    Args:
        generator: takes noise followed by one-hot labels, float32 [batch, noise_dim + classes].
        noise_dim: the length of the noise.
        classes: the number of classes.
    """
    noise = layers.Input((noise_dim,), name="noise")
    label = layers.Input((), name="label", dtype="int32")
    latent = keras.ops.concatenate([noise, keras.ops.one_hot(label, classes)], axis=1)
    return keras.Model([noise, label], generator(latent), name="conditional_generator")


def with_label_maps(
    discriminator: keras.Sequential, image_shape: tuple[int, ...], classes: int
) -> keras.Model:
    """A discriminator whose inputs are `images` and `label`.

    Args:
        discriminator: takes images followed by one-hot labels as constant channels, float32
            [batch, H, W, C + classes].
        image_shape: height, width and channels of the images.
        classes: the number of classes.
    """
    images = layers.Input(image_shape, name="images")
    label = layers.Input((), name="label", dtype="int32")
    one_hot = keras.ops.one_hot(label, classes)[:, None, None, :]
    label_maps = keras.ops.ones_like(images[..., :1]) * one_hot
    logits = discriminator(keras.ops.concatenate([images, label_maps], axis=3))
    return keras.Model([images, label], logits, name="conditional_discriminator")


def stack_of(model: keras.Model) -> keras.Model:
    """The stack of layers inside a conditional model; an unconditional model itself."""
    is_conditional = len(getattr(model, "inputs", None) or ()) > 1
    stack = model.layers[-1] if is_conditional else model
    return stack if isinstance(stack, keras.Model) else model
