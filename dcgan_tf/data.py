"""Images of a dataset, and the pipeline that turns them into shuffled batches in [-1, 1]."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.cli.errors import UserError
from dcgan_tf.config import Config
from dcgan_tf.datasets.disk_images import Images
from dcgan_tf.datasets.labels import Labels
from dcgan_tf.datasets.settings import Split
from dcgan_tf.datasets.table import DATASETS

# Whatever the user's keras.json says: images are NHWC, and float32.
keras.config.set_image_data_format("channels_last")
keras.config.set_floatx("float32")


def load_images(config: Config) -> Images:
    """Reads the training images that the config names.

    Returns:
        uint8 [N, H, W, C] in [0, 255].

    Raises:
        UserError: a file is missing or is not what it should be, or there are fewer images
            than a step takes.
    """
    images = load_split(config, "train")
    if len(images) < config.images_per_step:
        each = f"--batch_size {config.batch_size}"
        if config.discriminator_steps > 1:
            each += f" times --discriminator_steps {config.discriminator_steps}"
        raise UserError(
            f"{each} is more than the {len(images)} images of "
            f"{config.data_dir or config.dataset}: give a smaller one"
        )
    return images


def load_held_out(config: Config) -> Images:
    """Reads the images of the same kind that no training sees, to compare generated ones with.

    Returns:
        uint8 [N, H, W, C] in [0, 255].

    Raises:
        UserError: there are none, or a file is missing or is not what it should be.
    """
    return load_split(config, "test")


def load_split(config: Config, split: Split) -> Images:
    """Reads the images of one split, however few; returns and raises as `load_held_out`."""
    return resize(DATASETS[config.dataset].load_images(config, split), config.image_size)


def load_labels(config: Config, split: Split) -> np.ndarray:
    """Reads the labels of a split's images.

    Returns:
        The number of each image's class, int [N].

    Raises:
        UserError: the dataset has none, or a file is missing or is not what it should be.
    """
    load = DATASETS[config.dataset].load_labels
    if load is None:
        raise UserError(f"--dataset {config.dataset} has no labels")
    return load(config, split)


def load_training_labels(config: Config, images: Images) -> Labels | None:
    """Reads the labels of the training images, where the config is that of a conditional run.

    Raises:
        UserError: there is no label for each image, or no image of some class.
    """
    if not config.conditional:
        return None
    numbers, class_names = load_labels(config, "train"), DATASETS[config.dataset].class_names
    highest, source = int(numbers.max(initial=0)), config.data_dir or config.dataset
    names = class_names(config) if class_names else [*map(str, range(highest + 1))]
    if len(numbers) != len(images) or highest >= len(names):
        raise UserError(
            f"--conditional needs a label from 0 to {len(names) - 1} for each image, and {source} "
            f"has {len(images):,} images and {len(numbers):,} labels up to {highest}"
        )
    labels = Labels(numbers, names)
    classes = labels.classes
    if empty := [name for name, count in zip(classes.names, classes.counts) if not count]:
        raise UserError(f"--conditional: {source} has no training images of {', '.join(empty)}")
    return labels


def resize(images: Images, size: int | None) -> Images:
    """Resizes square images with antialiasing; leaves them alone if the size is theirs or None.

    Args:
        images: uint8 [N, H, W, C].
        size: pixels a side.

    Returns:
        uint8 [N, size, size, C].
    """
    if size in (None, images.shape[1]):
        return images
    resized = np.empty((len(images), size, size, images.shape[3]), np.uint8)
    for start in range(0, len(images), 1000):
        some = tf.image.resize(images[start : start + 1000], (size, size), antialias=True)
        resized[start : start + 1000] = np.rint(some)
    return resized


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
    """The shuffled batches of the steps from `start` up to `stop`, one a step for each replica.

    Each epoch goes through the images in an order of its own, a function of the seed and the
    epoch's number. Nothing is remembered from step to step, so a run can start anywhere. Only
    full batches are made: what is left of an epoch is left out, other images each time.

    Args:
        images: uint8 [N, H, W, C] in [0, 255].
        config: its `seed`, `images_per_step`, `discriminator_steps` and `flip` are used.
        start: the first step, counted from 0 at the start of training.
        stop: the step after the last.
        device: to which the batches are copied ahead of their step, if it is not the CPU.
        replicas: the numbers of those whose parts of each step's batch are made, in turn.
        num_replicas: how many parts there are.
        labels: the numbers of the images' classes, int [N], if they are learned, too.

    Returns:
        A dataset of float32 [images_per_step / num_replicas, H, W, C] in [-1, 1]; with labels,
        [images_per_step / num_replicas, H, W, C + 1], as `with_label_channel` has it.
    """
    num_images = len(images)
    batch_size = config.images_per_step
    if num_images < batch_size:
        raise UserError(f"{num_images:,} images are fewer than the {batch_size} that a step takes")
    steps_per_epoch = num_images // batch_size
    gather = make_gather(images)
    # The discriminator's updates within a step each have a batch, and each replica its part of it.
    shape = [config.discriminator_steps, num_replicas, -1]
    parts = np.arange(batch_size).reshape(shape).swapaxes(0, 1).reshape(num_replicas, -1)
    parts = tf.constant(parts[replicas.start : replicas.stop])

    @tf.autograph.experimental.do_not_convert
    def make_batch(number: tf.Tensor) -> tf.Tensor:
        step, part = number // len(replicas), parts[number % len(replicas)]
        epoch, step_in_epoch = step // steps_per_epoch, step % steps_per_epoch
        chosen = tf.random.experimental.index_shuffle(
            step_in_epoch * batch_size + part,
            seed=[config.seed, epoch],
            max_index=tf.cast(num_images - 1, tf.int64),
        )
        batch = scale(gather(chosen))
        if config.flip:
            # The noise of a step is drawn from (seed, step): flips need numbers of their own.
            chances = tf.random.stateless_uniform([batch_size], [config.seed, -1 - step])
            batch = flip(batch, tf.gather(chances, part))
        if labels is not None:
            batch = with_label_channel(batch, tf.gather(labels, chosen))
        return batch

    options = tf.data.Options()
    # The tuner's thread sleeps for up to a minute, and a run that is stopped would wait for it.
    options.autotune.enabled = False
    numbers = tf.data.Dataset.range(start * len(replicas), stop * len(replicas))
    batches = numbers.with_options(options).map(make_batch, num_parallel_calls=2)
    if device is not None:
        return batches.apply(tf.data.experimental.prefetch_to_device(device))
    return batches.prefetch(tf.data.AUTOTUNE)


def make_gather(images: Images) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function from indices, int64 [k], to the images there, uint8 [k, H, W, C]."""
    if isinstance(images, np.ndarray):
        pixels = tf.constant(images)
        return lambda indices: tf.gather(pixels, indices)

    def read(indices: tf.Tensor) -> tf.Tensor:
        batch = tf.numpy_function(images.__getitem__, [indices], tf.uint8)
        return tf.ensure_shape(batch, [*indices.shape, *images.shape[1:]])

    return read


def flip(images: tf.Tensor, chance: tf.Tensor) -> tf.Tensor:
    """Mirrors the images left to right whose chance, float32 [k] in [0, 1), is below one half."""
    mirrored = tf.reverse(images, axis=[2])
    return tf.where(chance[:, tf.newaxis, tf.newaxis, tf.newaxis] < 0.5, mirrored, images)


def with_label_channel(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Images, float32 [k, H, W, C], with the number of each one's class as one more channel."""
    channel = tf.ones_like(images[..., :1]) * tf.cast(labels, tf.float32)[:, None, None, None]
    return tf.concat([images, channel], axis=3)


def split_label_channel(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """What `with_label_channel` put together: images, and int32 labels [k].

    The numbers are rounded, for images that were blended with each other's pixels (`--fade_in`).
    """
    return batch[..., :-1], tf.cast(tf.round(batch[:, 0, 0, -1]), tf.int32)


def scale(images: tf.Tensor) -> tf.Tensor:
    """uint8 in [0, 255] to float32 in [-1, 1], the range of the generator's tanh."""
    return (tf.cast(images, tf.float32) - 127.5) / 127.5


def to_uint8(images: np.ndarray) -> np.ndarray:
    """float32 in [-1, 1] to uint8 in [0, 255], all with the same contrast."""
    return np.clip(np.rint(np.asarray(images) * 127.5 + 127.5), 0, 255).astype(np.uint8)
