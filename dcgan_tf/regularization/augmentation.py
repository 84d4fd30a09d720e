"""Differentiable augmentation, for real and for generated images (DiffAugment).

Zhao et al., 2020, Differentiable Augmentation for Data-Efficient GAN Training: a discriminator that
sees its few images augmented at random can't memorize them. Generated images get the same
augmentations, in both models' losses, so the generator does not learn to imitate them. Its gradient
is backpropagated through them.

Each function takes images, float32 [batch, H, W, C] in [-1, 1], and random numbers, float32
[batch, 3] in [0, 1), and returns images of the same shape. The ranges are the paper's. Images with
transparency have colors premultiplied by alpha. Color changes apply to their visible colors, and
alpha only moves with the image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from dcgan_tf.datasets.transparency import RGBA
from dcgan_tf.distributed.replicas import replica_slice
from dcgan_tf.settings.choices import AUGMENTATIONS, resolve
from dcgan_tf.settings.config import Config

MAX_SHIFT = 1 / 8  # fraction of the image size
HOLE = 1 / 2  # fraction of the image size
GRAY, CLEAR = 0.0, -1.0
CHOICE = 1  # the stream that selects images, within an augmentation's stream


def color(images: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Changes brightness by ±0.5, saturation by 0 to 2 times, contrast by 0.5 to 1.5 times."""
    brightness, saturation, contrast = tf.unstack(numbers[..., None, None, None], axis=1)
    if images.shape[3] == RGBA:
        return color_with_alpha(images, brightness, saturation, contrast)
    images += brightness - 0.5
    gray = tf.reduce_mean(images, axis=3, keepdims=True)
    images = gray + (images - gray) * 2.0 * saturation
    mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    return mean + (images - mean) * (contrast + 0.5)


def color_with_alpha(
    images: tf.Tensor, brightness: tf.Tensor, saturation: tf.Tensor, contrast: tf.Tensor
) -> tf.Tensor:
    """`color` for images with transparency: weights colors by alpha, and keeps alpha."""
    alpha = (images[..., 3:] + 1.0) / 2.0
    colors = images[..., :3] + 1.0 - alpha  # in [-1, 1], times alpha
    colors += alpha * (brightness - 0.5)
    gray = tf.reduce_mean(colors, axis=3, keepdims=True)
    colors = gray + (colors - gray) * 2.0 * saturation
    sums = (tf.reduce_sum(each, axis=[1, 2, 3], keepdims=True) for each in (gray, alpha))
    mean = alpha * tf.math.divide_no_nan(*sums)
    colors = mean + (colors - mean) * (contrast + 0.5)
    return tf.concat([colors + alpha - 1.0, images[..., 3:]], axis=3)


def translation(images: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Shifts images by up to an eighth of their size; the border is gray or transparent."""
    height, width = images.shape[1:3]
    rows = shifts(numbers[:, 0], height)
    columns = shifts(numbers[:, 1], width)
    moved = images - blank(images)
    return tf.einsum("nij,nkl,njlc->nikc", rows, columns, moved, optimize="optimal") + blank(images)


def blank(images: tf.Tensor) -> float:
    """The value of blank pixels: gray, or transparent."""
    return CLEAR if images.shape[3] == RGBA else GRAY


def shifts(numbers: tf.Tensor, size: int) -> tf.Tensor:
    """Matrices that shift a vector, float32 [batch, size, size]."""
    max_offset = half_up(size * MAX_SHIFT)
    offsets = tf.cast(numbers * (2 * max_offset + 1), tf.int32) - max_offset
    return tf.one_hot(tf.range(size) + offsets[:, tf.newaxis], size)


def half_up(number: float) -> int:
    """Rounds to the nearest integer, and halves up, like the paper's code."""
    return int(number + 0.5)


def cutout(images: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Makes a rectangle of half the size gray or transparent; it may extend beyond the border."""
    height, width = images.shape[1:3]
    rows = holes(numbers[:, 0], height)[:, :, tf.newaxis, tf.newaxis]
    columns = holes(numbers[:, 1], width)[:, tf.newaxis, :, tf.newaxis]
    return tf.where(rows & columns, blank(images), images)


def holes(numbers: tf.Tensor, size: int) -> tf.Tensor:
    """Whether each position along a side is in the hole, bool [batch, size]."""
    hole = half_up(size * HOLE)
    start = tf.cast(numbers * (size + 1 - hole % 2), tf.int32) - hole // 2
    distance = tf.range(size) - start[:, tf.newaxis]
    return (distance >= 0) & (distance < hole)


class Augmentation(NamedTuple):
    """A random change of images.

    Attributes:
        change: maps images and random numbers to changed images.
        stream: the index of the augmentation's stream of random numbers.
    """

    change: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
    stream: int


def make_augmentations(config: Config) -> list[Augmentation]:
    """The config's augmentations, in the order of application."""
    return [
        Augmentation(resolve(function), stream)
        for stream, (name, function) in enumerate(AUGMENTATIONS.items())
        if name in config.augment.split(",")
    ]


def augment(
    images: tf.Tensor,
    augmentations: Sequence[Augmentation],
    seed: tf.Tensor,
    probability: float | tf.Tensor = 1.0,
) -> tf.Tensor:
    """Augments each image at random. The result depends only on the images and the seed.

    Args:
        images: this replica's images, float32 [batch, H, W, C] in [-1, 1].
        augmentations: applied in order.
        seed: int [2].
        probability: the probability of applying each augmentation to an image.

    Returns:
        float32 of the same shape; colors may leave [-1, 1].
    """
    for change, stream in augmentations:
        stream_seed = tf.random.experimental.stateless_fold_in(seed, stream)
        changed = change(images, uniform(images.shape[0], stream_seed))
        if isinstance(probability, float) and probability == 1.0:
            images = changed
            continue
        choice_seed = tf.random.experimental.stateless_fold_in(stream_seed, CHOICE)
        is_changed = uniform(images.shape[0], choice_seed)[:, :1, tf.newaxis, tf.newaxis]
        images = tf.where(is_changed < probability, changed, images)
    return images


def uniform(batch_size: int, seed: tf.Tensor) -> tf.Tensor:
    """Random numbers for each of this replica's images, float32 [batch_size, 3] in [0, 1)."""
    return replica_slice(lambda shape: tf.random.stateless_uniform(shape, seed), [batch_size, 3])
