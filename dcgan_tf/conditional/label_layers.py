"""Models with layers of a class's own: conditional batch norm, and a projection discriminator.

Miyato and Koyama, 2018, cGANs with Projection Discriminator. Where there are many classes, no
convolution has to go over a channel for each.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers


def with_class_norms(stack: Sequence[layers.Layer], noise_dim: int, classes: int) -> keras.Model:
    """A generator in which each batch norm is followed by a scale and a shift of the class.

    Its input is that of a stack with labels beside the noise, and so is all that draws from it.

    Args:
        stack: layers from noise, float32 [batch, noise_dim], to images.
        noise_dim: the length of the noise.
        classes: the number of classes.

    Returns:
        A model from noise with one-hot labels beside it, float32 [batch, noise_dim + classes].
    """
    latent = layers.Input((noise_dim + classes,))
    outputs, one_hot = keras.ops.split(latent, [noise_dim], axis=1)
    for layer in stack:
        outputs = layer(outputs)
        if isinstance(layer, layers.BatchNormalization):
            outputs = scale_and_shift(outputs, one_hot)
    return keras.Model(latent, outputs, name="generator")


def scale_and_shift(maps: keras.KerasTensor, one_hot: keras.KerasTensor) -> keras.KerasTensor:
    """Feature maps times 1 + γ, plus β, which each class has for each channel: 0 at first."""
    *sides, channels = maps.shape[1:]
    gamma, beta = (
        layers.Reshape((*[1] * len(sides), channels))(
            layers.Dense(channels, use_bias=False, kernel_initializer="zeros")(one_hot)
        )
        for _ in range(2)
    )
    return layers.Add()([maps, layers.Multiply()([maps, gamma]), beta])


def with_projection(
    stack: Sequence[layers.Layer],
    head: Sequence[layers.Layer],
    image_shape: tuple[int, ...],
    classes: int,
    pack: int,
    initializer: keras.initializers.Initializer,
) -> keras.Model:
    """A discriminator whose logit has a term of the class: a weight of its own for each feature.

    Args:
        stack: layers from images, float32 [batch, H, W, C], to features, [batch / pack, …].
        head: layers from features to logits, float32 [batch / pack, 1].
        image_shape: height, width and channels of the images.
        classes: the number of classes.
        pack: the number of images that have a logit in common, each with a label.
        initializer: of the classes' weights.

    Returns:
        A model whose inputs are `images` and `label`.
    """
    images = layers.Input(image_shape, name="images")
    label = layers.Input((), name="label", dtype="int32")
    features = images
    for layer in stack:
        features = layer(features)
    logits = features
    for layer in head:
        logits = layer(logits)
    flat = layers.Flatten(dtype="float32")(features)
    one_hot = keras.ops.reshape(keras.ops.one_hot(label, classes), (-1, pack * classes))
    of_class = layers.Dense(
        flat.shape[1], use_bias=False, kernel_initializer=initializer, dtype="float32"
    )
    projection = layers.Dot(axes=1, dtype="float32")([flat, of_class(one_hot)])
    logits = layers.Add(dtype="float32")([logits, projection])
    return keras.Model([images, label], logits, name="discriminator")
