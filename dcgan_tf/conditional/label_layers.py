"""Class-conditional layers: conditional batch norm, and a projection discriminator.

Miyato and Koyama, 2018, cGANs with Projection Discriminator. With many classes, they are cheaper
than a label channel per class.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers


def with_class_norms(stack: Sequence[layers.Layer], noise_dim: int, classes: int) -> keras.Model:
    """A generator in which each batch norm is followed by a class-specific scale and shift.

    It has the input of a generator with concatenated labels.

    Args:
        stack: layers that map noise, float32 [batch, noise_dim], to images.
        noise_dim: the length of the noise.
        classes: the number of classes.

    Returns:
        A model of noise followed by one-hot labels, float32 [batch, noise_dim + classes].
    """
    latent = layers.Input((noise_dim + classes,))
    outputs, one_hot = keras.ops.split(latent, [noise_dim], axis=1)
    for layer in stack:
        outputs = layer(outputs)
        if isinstance(layer, layers.BatchNormalization):
            outputs = scale_and_shift(outputs, one_hot)
    return keras.Model(latent, outputs, name="generator")


def scale_and_shift(maps: keras.KerasTensor, one_hot: keras.KerasTensor) -> keras.KerasTensor:
    """Computes maps · (1 + γ) + β. Each class has its own γ and β per channel, initially 0."""
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
    auxiliary: bool = False,
) -> keras.Model:
    """A projection discriminator: its logit includes a class-specific linear map of the features.

    Args:
        stack: layers that map images, float32 [batch, H, W, C], to features, [batch / pack, …].
        head: layers that map features to logits, float32 [batch / pack, 1].
        image_shape: height, width and channels of the images.
        classes: the number of classes.
        pack: the number of images per logit, each with a label.
        initializer: the initializer of the class weights.
        auxiliary: whether to add a classifier, which is linear in the features. The log-likelihood
            of each image's label follows its logit, float32 [batch, 2].

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
    if auxiliary:
        log_likelihoods = layers.Dense(classes, activation="log_softmax", dtype="float32")(flat)
        of_label = layers.Dot(axes=1, dtype="float32")([log_likelihoods, one_hot])
        logits = layers.Concatenate(dtype="float32")([logits, of_label])
    return keras.Model([images, label], logits, name="discriminator")
