"""The input pipeline: from uint8 images to shuffled float32 batches in [-1, 1]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from dcgan_tf.datasets.disk_images import Images, check_images
from dcgan_tf.datasets.transparency import premultiplied, straight
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError

PREFETCHED_BATCHES = 4
ORDER = 0  # the random stream of the data order; `StepRandom` uses the next ones
Batch: TypeAlias = Any  # images, or (images, labels)


def make_batches(
    images: Images,
    config: Config,
    start: int,
    stop: int,
    device: str | None = None,
    replicas: range = range(1),
    num_replicas: int = 1,
    labels: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Shuffled batches for the steps from `start` up to, but not including, `stop`.

    The order of an epoch is a function of the seed and the epoch's index, so training can start at
    any step. Only full batches are made. The images left out differ from epoch to epoch.

    Args:
        images: uint8 [N, H, W, C] in [0, 255].
        config: uses `seed`, `ordering`, `images_per_step`, `discriminator_steps` and `flip`.
        start: the first step, counted from 0 at the start of training.
        stop: the step after the last.
        device: the device to prefetch batches to; None for the CPU.
        replicas: the replicas to make batches for. Each step has one batch per replica, in this
            order.
        num_replicas: the number of parts that a step's images are split into.
        labels: class ids, int [N], in a conditional run.

    Returns:
        A dataset of images, float32 [images_per_step / num_replicas, H, W, C] in [-1, 1]; or of
        (images, labels), the labels int32 [images_per_step / num_replicas].

    Raises:
        UserError: there are fewer images than a step needs, or their shape or dtype is wrong.
    """
    check_images(images, labels)
    batch_size = config.images_per_step
    if len(images) < batch_size:
        raise UserError(f"{len(images):,} images are too few: a step needs {batch_size}")
    steps_per_epoch = len(images) // batch_size
    gather = make_gather(images)
    ids = None if labels is None else tf.constant(labels, tf.int32)
    # Each discriminator update within a step has its own batch, and each replica gets a part of it.
    shape = [config.discriminator_steps, num_replicas, -1]
    parts = np.arange(batch_size).reshape(shape).swapaxes(0, 1).reshape(num_replicas, -1)
    parts = tf.constant(parts[replicas.start : replicas.stop])

    def parts_of_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        """The step, part and images of each batch of an epoch."""
        # With one replica: cuts the epoch's order into batches, and keeps those to be taken.
        order = epoch_order(config, epoch, len(images))[: steps_per_epoch * batch_size]
        chosen = tf.gather(tf.reshape(order, [steps_per_epoch, batch_size]), parts, axis=1)
        chosen = tf.reshape(chosen, [-1, parts.shape[1]])
        steps = epoch * steps_per_epoch + tf.range(steps_per_epoch, dtype=tf.int64)
        steps = tf.repeat(steps, len(replicas))
        taken = (start <= steps) & (steps < stop)
        part = tf.tile(tf.range(len(replicas)), [steps_per_epoch])
        each = (tf.boolean_mask(values, taken) for values in (steps, part, chosen))
        return tf.data.Dataset.from_tensor_slices(tuple(each))

    def make_batch(step: tf.Tensor, part: tf.Tensor, chosen: tf.Tensor) -> Batch:
        batch = scale(gather(chosen))
        if config.flip:
            # Noise uses the seed (seed, step), so flips need another one.
            chances = tf.random.stateless_uniform([batch_size], [config.seed, -1 - step])
            batch = flip(batch, tf.gather(chances, parts[part]))
        return batch if ids is None else (batch, tf.gather(ids, chosen))

    options = tf.data.Options()
    # The autotuning thread sleeps for up to a minute, which would delay the end of a stopped run.
    options.autotune.enabled = False
    do_not_convert = tf.autograph.experimental.do_not_convert
    epochs = tf.data.Dataset.range(start // steps_per_epoch, -(-stop // steps_per_epoch))
    batches = (
        epochs.with_options(options)
        .flat_map(do_not_convert(parts_of_epoch))
        .map(do_not_convert(make_batch), num_parallel_calls=2)
    )
    if device is not None:
        return batches.apply(tf.data.experimental.prefetch_to_device(device))
    return batches.prefetch(PREFETCHED_BATCHES)


def epoch_order(config: Config, epoch: tf.Tensor, num_images: int) -> tf.Tensor:
    """The order of an epoch: a permutation of all image indices, int64 [num_images]."""
    indices, seed = tf.range(num_images, dtype=tf.int64), [config.seed, epoch]
    if config.ordering == 1:  # repeats after 256 epochs, and for seeds equal modulo 256
        return tf.random.experimental.index_shuffle(indices, seed, indices[-1])
    seed = tf.random.experimental.stateless_fold_in(seed, ORDER)
    return tf.random.experimental.stateless_shuffle(indices, seed)


def make_gather(images: Images) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function that maps indices, int64 [k], to images, uint8 [k, H, W, C]."""
    if isinstance(images, np.ndarray):
        pixels = tf.constant(images)
        return lambda indices: tf.gather(pixels, indices)

    def read(indices: tf.Tensor) -> tf.Tensor:
        batch = tf.numpy_function(images.__getitem__, [indices], tf.uint8)
        return tf.ensure_shape(batch, [*indices.shape, *images.shape[1:]])

    return read


def flip(images: tf.Tensor, chance: tf.Tensor) -> tf.Tensor:
    """Flips an image left to right if its `chance`, float32 [k] in [0, 1), is below one half."""
    mirrored = tf.reverse(images, axis=[2])
    return tf.where(chance[:, tf.newaxis, tf.newaxis, tf.newaxis] < 0.5, mirrored, images)


def scale(images: tf.Tensor) -> tf.Tensor:
    """uint8 in [0, 255] to float32 in [-1, 1], the range of the generator's tanh.

    With an alpha channel, colors are premultiplied; see `datasets.transparency`.
    """
    return (premultiplied(tf.cast(images, tf.float32)) - 127.5) / 127.5


def to_uint8(images: np.ndarray) -> np.ndarray:
    """The inverse of `scale`: float32 in [-1, 1] to uint8 in [0, 255]."""
    pixels = np.asarray(straight(np.asarray(images) * 127.5 + 127.5))
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
