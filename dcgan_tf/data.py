"""Named image sets, and the pipeline that turns one into shuffled batches in [-1, 1]."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.cli.errors import UserError
from dcgan_tf.config import Config
from dcgan_tf.datasets.arrays import (
    IDX_IMAGES,
    read_array_folder,
    read_cifar10_folder,
    read_npz,
)
from dcgan_tf.datasets.disk_images import DiskImages
from dcgan_tf.datasets.folder import load_folder
from dcgan_tf.datasets.tfrecords import read_tfrecords

MNIST_FILE = Path(__file__).parent / "datasets" / "mnist.npz"
MNIST_SHA256 = "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64"
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
FOLDER_IMAGE_SIZE = 64

Images = np.ndarray | DiskImages


def load_images(config: Config) -> Images:
    """Reads the training images that the config names.

    Returns:
        uint8 [N, H, W, C] in [0, 255].

    Raises:
        UserError: a file is missing or is not what it should be, or there are fewer images
            than a step takes.
    """
    images = LOADERS[config.dataset](config, "train")
    if len(images) < config.images_per_step:
        each = f"--batch_size {config.batch_size}"
        if config.discriminator_steps > 1:
            each += f" times --discriminator_steps {config.discriminator_steps}"
        raise UserError(
            f"{each} is more than the {len(images)} images of "
            f"{config.data_dir or config.dataset}: give a smaller one"
        )
    return resize(images, config.image_size)


def load_held_out(config: Config) -> Images:
    """Reads the images of the same kind that no training sees, to compare generated ones with.

    Returns:
        uint8 [N, H, W, C] in [0, 255].

    Raises:
        UserError: there are none, or a file is missing or is not what it should be.
    """
    return resize(LOADERS[config.dataset](config, "test"), config.image_size)


def load_mnist(config: Config, part: str, kind: int = IDX_IMAGES) -> np.ndarray:
    """MNIST's 60,000 training or 10,000 test digits: the user's copy, or the package's."""
    if config.data_dir is not None:
        return read_array_folder(Path(config.data_dir), part, kind)
    if hashlib.sha256(MNIST_FILE.read_bytes()).hexdigest() != MNIST_SHA256:
        raise UserError(f"{MNIST_FILE} is damaged (its sha256 is wrong): install it again")
    return read_npz(MNIST_FILE, part, kind)


def load_fashion_mnist(config: Config, part: str, kind: int = IDX_IMAGES) -> np.ndarray:
    """Fashion-MNIST, 60,000 and 10,000: the user's copy, Debian's, or Keras's download."""
    if config.data_dir is not None:
        return read_array_folder(Path(config.data_dir), part, kind)
    if DEBIAN_FASHION_MNIST.is_dir():
        return read_array_folder(DEBIAN_FASHION_MNIST, part, kind)
    otherwise = "or install Debian's dataset-fashion-mnist"
    values = download(keras.datasets.fashion_mnist, otherwise, part, kind)
    return values[..., np.newaxis] if kind == IDX_IMAGES else values


def load_cifar10(config: Config, part: str, kind: int = IDX_IMAGES) -> np.ndarray:
    """CIFAR-10's 50,000 training or 10,000 test images: the user's copy, or Keras's download."""
    if config.data_dir is not None:
        return read_cifar10_folder(Path(config.data_dir), part, kind)
    otherwise = "with its binary version or a Keras .npz"
    return download(keras.datasets.cifar10, otherwise, part, kind)


def load_stacked_mnist(config: Config, part: str) -> np.ndarray:
    """As many images as MNIST has, of three random digits, one a colour channel: 1,000 modes.

    Metz et al., 2017, section 3.3.1. The digits are drawn once and for all, whatever the seed.
    """
    digits = load_mnist(config, part)
    chosen = np.random.default_rng(0).integers(len(digits), size=(3, len(digits)))
    return np.concatenate([digits[channel] for channel in chosen], axis=-1)


def load_image_folder(config: Config, part: str) -> Images:
    """The images of the user's folder or .zip, cropped to squares and resized."""
    if config.data_dir is None:
        raise UserError("--dataset folder needs --data_dir: the folder or .zip of your images")
    return load_folder(
        Path(config.data_dir),
        config.image_size or FOLDER_IMAGE_SIZE,
        config.background,
        config.max_bad_images,
        None if config.cache_dir is None else Path(config.cache_dir),
        config.held_out,
        part,
    )


def load_tfrecords(config: Config, part: str) -> DiskImages:
    """The images that `python -m dcgan_tf.data --to_tfrecords` wrote to the user's folder."""
    if config.data_dir is None:
        raise UserError("--dataset tfrecords needs --data_dir: the folder they were written to")
    images = read_tfrecords(Path(config.data_dir), part)
    if config.image_size not in (None, images.shape[1]):
        raise UserError(
            f"--image_size {config.image_size}: the images in {config.data_dir} have "
            f"{images.shape[1]} pixels a side; write them anew with that size"
        )
    return images


LOADERS = {
    "mnist": load_mnist,
    "fashion_mnist": load_fashion_mnist,
    "cifar10": load_cifar10,
    "stacked_mnist": load_stacked_mnist,
    "folder": load_image_folder,
    "tfrecords": load_tfrecords,
}


def download(source: object, otherwise: str, part: str, kind: int) -> np.ndarray:
    """The images or labels of a part of one of `keras.datasets`, from its cache or its server.

    Raises:
        UserError: neither has them.
    """
    try:
        train, test = source.load_data()
    except Exception as error:
        name = source.__name__.split(".")[-1]
        raise UserError(
            f"{name} could not be downloaded ({error}): give --data_dir, {otherwise}"
        ) from None
    images, labels = train if part == "train" else test
    return images if kind == IDX_IMAGES else labels.reshape(-1)


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
) -> tf.data.Dataset:
    """The shuffled batches of the steps from `start` up to `stop`, one a step for each replica.

    Each epoch goes through the images in an order of its own, a function of the seed and the
    epoch's number. Nothing is remembered from step to step, so a run can start anywhere. Only
    full batches are made: what is left of an epoch is left out, other images each time.

    Args:
        images: uint8 [N, H, W, C] in [0, 255].
        config: its `seed`, `images_per_step` and `flip` are used.
        start: the first step, counted from 0 at the start of training.
        stop: the step after the last.
        device: to which the batches are copied ahead of their step, if it is not the CPU.
        replicas: the numbers of those whose parts of each step's batch are made, in turn.
        num_replicas: how many parts there are.

    Returns:
        A dataset of float32 [images_per_step / num_replicas, H, W, C] in [-1, 1].
    """
    num_images = len(images)
    batch_size = config.images_per_step
    steps_per_epoch = num_images // batch_size
    take = make_lookup(images)
    # The discriminator's updates within a step each have a batch, and each replica its part of it.
    shape = [config.discriminator_steps, num_replicas, -1]
    parts = np.arange(batch_size).reshape(shape).swapaxes(0, 1).reshape(num_replicas, -1)
    parts = tf.constant(parts[replicas.start : replicas.stop])

    def make_batch(number: tf.Tensor) -> tf.Tensor:
        step, part = number // len(replicas), parts[number % len(replicas)]
        epoch, step_in_epoch = step // steps_per_epoch, step % steps_per_epoch
        chosen = tf.random.experimental.index_shuffle(
            step_in_epoch * batch_size + part,
            seed=[config.seed, epoch],
            max_index=tf.cast(num_images - 1, tf.int64),
        )
        batch = scale(take(chosen))
        if config.flip:
            # The noise of a step is drawn from (seed, step): flips need numbers of their own.
            chances = tf.random.stateless_uniform([batch_size], [config.seed, -1 - step])
            batch = flip(batch, tf.gather(chances, part))
        return batch

    numbers = tf.data.Dataset.range(start * len(replicas), stop * len(replicas))
    batches = numbers.map(make_batch, num_parallel_calls=2)
    if device is not None:
        return batches.apply(tf.data.experimental.prefetch_to_device(device))
    return batches.prefetch(tf.data.AUTOTUNE)


def make_lookup(images: Images) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function from int64 [k] to the images of these numbers, uint8 [k, H, W, C]."""
    if isinstance(images, np.ndarray):
        pixels = tf.constant(images)
        return lambda chosen: tf.gather(pixels, chosen)

    def read(chosen: tf.Tensor) -> tf.Tensor:
        batch = tf.numpy_function(images.__getitem__, [chosen], tf.uint8)
        return tf.ensure_shape(batch, [*chosen.shape, *images.shape[1:]])

    return read


def flip(images: tf.Tensor, chance: tf.Tensor) -> tf.Tensor:
    """Mirrors the images left to right whose chance, float32 [k] in [0, 1), is below one half."""
    mirrored = tf.reverse(images, axis=[2])
    return tf.where(chance[:, tf.newaxis, tf.newaxis, tf.newaxis] < 0.5, mirrored, images)


def apply_in_batches(
    images: Images, function: Callable[[tf.Tensor], tf.Tensor], batch_size: int = 500
) -> np.ndarray:
    """What a function of some images in [-1, 1] gives for any number of them.

    Args:
        images: uint8 [N, H, W, C] in [0, 255].
        function: from float32 [k, H, W, C] in [-1, 1], k being `batch_size` at most, to [k, …].
        batch_size: how many images it takes at once.

    Returns:
        [N, …].
    """
    function = tf.function(function, reduce_retracing=True)
    starts = range(0, len(images), batch_size)
    return np.concatenate(
        [function(scale(images[start : start + batch_size])).numpy() for start in starts]
    )


def scale(images: tf.Tensor) -> tf.Tensor:
    """uint8 in [0, 255] to float32 in [-1, 1], the range of the generator's tanh."""
    return (tf.cast(images, tf.float32) - 127.5) / 127.5
