"""Named image sets, and the pipeline that turns one into shuffled batches in [-1, 1]."""

from __future__ import annotations

import gzip
import hashlib
import zipfile
import zlib
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.config import Config
from dcgan_tf.errors import UserError

MNIST_FILE = Path(__file__).parent / "assets" / "mnist.npz"
MNIST_SHA256 = "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64"
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")

IDX_IMAGES = 2051
IDX_LABELS = 2049


def load_images(config: Config) -> np.ndarray:
    """Reads the training images that the config names.

    Returns:
        uint8 [N, H, W, C] in [0, 255].

    Raises:
        UserError: a file is missing or is not what it should be, or there are fewer images
            than a batch.
    """
    images = resize(LOADERS[config.dataset](config.data_dir), config.image_size)
    if len(images) < config.images_per_step:
        each = f"--batch_size {config.batch_size}"
        if config.discriminator_steps > 1:
            each += f" times --discriminator_steps {config.discriminator_steps}"
        raise UserError(
            f"{each} is more than the {len(images)} images of "
            f"{config.data_dir or config.dataset}: give a smaller one"
        )
    return images


def load_mnist(data_dir: str | None) -> np.ndarray:
    """MNIST's 60,000 training digits: the user's copy, or the one in this package."""
    if data_dir is not None:
        return read_folder(Path(data_dir))
    if hashlib.sha256(MNIST_FILE.read_bytes()).hexdigest() != MNIST_SHA256:
        raise UserError(f"{MNIST_FILE} is damaged (its sha256 is wrong): install it again")
    return read_npz(MNIST_FILE)


def load_fashion_mnist(data_dir: str | None) -> np.ndarray:
    """Fashion-MNIST's 60,000 training images: the user's copy, Debian's, or Keras's download."""
    if data_dir is not None:
        return read_folder(Path(data_dir))
    if DEBIAN_FASHION_MNIST.is_dir():
        return read_folder(DEBIAN_FASHION_MNIST)
    try:
        (images, _), _ = keras.datasets.fashion_mnist.load_data()
    except Exception as error:
        raise UserError(
            f"fashion_mnist could not be downloaded ({error}): put it in a folder and give "
            f"--data_dir, or install Debian's package dataset-fashion-mnist"
        ) from None
    return images[..., np.newaxis]


LOADERS = {"mnist": load_mnist, "fashion_mnist": load_fashion_mnist}


def resize(images: np.ndarray, size: int | None) -> np.ndarray:
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


def read_folder(folder: Path) -> np.ndarray:
    """Reads the training images of a folder that holds IDX files or one Keras-layout .npz.

    Returns:
        uint8 [N, 28, 28, 1] in [0, 255].

    Raises:
        UserError: there is no such file, or it is not what it should be.
    """
    if not folder.is_dir():
        raise UserError(f"--data_dir {folder} is not a folder")
    for name in ("train-images-idx3-ubyte", "train-images.idx3-ubyte"):
        for path in (folder / name, folder / f"{name}.gz"):
            if path.exists():
                return read_idx(path)
    archives = sorted(folder.glob("*.npz"))
    if len(archives) == 1:
        return read_npz(archives[0])
    raise UserError(
        f"--data_dir {folder} has {len(archives)} .npz files and no train-images-idx3-ubyte[.gz]: "
        f"it needs the one or the other"
    )


def read_idx(path: Path) -> np.ndarray:
    """Reads an IDX file of 28×28 images, plain or gzipped (http://yann.lecun.com/exdb/mnist).

    Returns:
        uint8 [N, 28, 28, 1] in [0, 255].

    Raises:
        UserError: the file is damaged, cut short, or holds something else.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            header = file.read(16)
            magic, *shape = [int.from_bytes(header[i : i + 4], "big") for i in range(0, 16, 4)]
            if magic != IDX_IMAGES:
                what = "labels" if magic == IDX_LABELS else "no IDX images"
                raise UserError(
                    f"{path} holds {what}: it starts with {magic}, IDX images with {IDX_IMAGES}"
                )
            if len(header) < 16 or shape[0] == 0 or shape[1:] != [28, 28]:
                raise UserError(f"{path} says its images are {shape}, not N×28×28")
            size = shape[0] * 28 * 28
            content = bytearray()
            while len(content) <= size and (chunk := file.read(1 << 20)):
                content += chunk
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is damaged or cut short: {error}") from None
    if len(content) != size:
        found = "more" if len(content) > size else f"{len(content):,}"
        raise UserError(f"{path} should hold {size:,} bytes of pixels and holds {found}")
    return np.frombuffer(content, np.uint8).reshape(-1, 28, 28, 1)


def read_npz(path: Path) -> np.ndarray:
    """Reads `x_train` of a .npz in Keras's layout.

    Returns:
        uint8 [N, 28, 28, 1] in [0, 255].

    Raises:
        UserError: the file is damaged, or has no such array of 28×28 uint8 images.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            images = archive["x_train"]
    except KeyError:
        raise UserError(f"{path} has no array x_train, which Keras's layout has") from None
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise UserError(f"{path} is not an intact .npz: {error}") from None
    if images.dtype != np.uint8 or images.shape[1:] not in ((28, 28), (28, 28, 1)):
        raise UserError(
            f"{path}: x_train is {images.dtype} {list(images.shape)}, not uint8 [N, 28, 28]"
        )
    return images.reshape(-1, 28, 28, 1)


def make_batches(images: np.ndarray, config: Config, start: int, stop: int) -> tf.data.Dataset:
    """The shuffled batches of the steps from `start` up to `stop`, one a step.

    Each epoch goes through the images in an order of its own, a function of the seed and the
    epoch's number. Nothing is remembered from step to step, so a run can start anywhere. Only
    full batches are made: what is left of an epoch is left out, other images each time.

    Args:
        images: uint8 [N, H, W, C] in [0, 255].
        config: its `seed` and `images_per_step` are used.
        start: the first step, counted from 0 at the start of training.
        stop: the step after the last.

    Returns:
        A dataset of float32 [images_per_step, H, W, C] in [-1, 1].
    """
    num_images = len(images)
    batch_size = config.images_per_step
    steps_per_epoch = num_images // batch_size
    pixels = tf.constant(images)

    def make_batch(step: tf.Tensor) -> tf.Tensor:
        epoch, step_in_epoch = step // steps_per_epoch, step % steps_per_epoch
        places = step_in_epoch * batch_size + tf.range(batch_size, dtype=tf.int64)
        chosen = tf.random.experimental.index_shuffle(
            places, seed=[config.seed, epoch], max_index=tf.cast(num_images - 1, tf.int64)
        )
        return scale(tf.gather(pixels, chosen))

    return tf.data.Dataset.range(start, stop).map(make_batch).prefetch(tf.data.AUTOTUNE)


def scale(images: tf.Tensor) -> tf.Tensor:
    """uint8 in [0, 255] to float32 in [-1, 1], the range of the generator's tanh."""
    return (tf.cast(images, tf.float32) - 127.5) / 127.5
