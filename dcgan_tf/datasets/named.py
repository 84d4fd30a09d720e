"""MNIST, Fashion-MNIST and CIFAR-10: the user's copy, an installed copy, or a download."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from dcgan_tf.datasets.arrays import (
    read_cifar10_images,
    read_cifar10_labels,
    read_images,
    read_labels,
    read_npz_images,
    read_npz_labels,
)
from dcgan_tf.datasets.cache import default_cache_dir, locked
from dcgan_tf.datasets.disk_images import Split
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError, first_line

MNIST_FILE = Path(__file__).parent / "mnist.npz"
MNIST_SHA256 = "06af5dfe73b70e3bc1c36439982b18a8d76803db9b544f6fdf838a37fbb01b64"
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
FASHION_MNIST_CLASSES = (
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "boot",
)
CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


def load_mnist_images(config: Config, split: Split) -> np.ndarray:
    """MNIST's 60,000 training or 10,000 test digits: the user's copy, or the package's.

    Returns:
        uint8 [N, 28, 28, 1] in [0, 255].

    Raises:
        UserError: a file is missing or invalid.
    """
    if config.data_dir is not None:
        return read_images(Path(config.data_dir), split)
    return read_npz_images(bundled_mnist(), split)


def load_mnist_labels(config: Config, split: Split) -> np.ndarray:
    """The labels of `load_mnist_images`, uint8 [N]; same errors."""
    if config.data_dir is not None:
        return read_labels(Path(config.data_dir), split)
    return read_npz_labels(bundled_mnist(), split)


def load_stacked_mnist_images(config: Config, split: Split) -> np.ndarray:
    """Stacked MNIST: a random digit in each color channel, which makes 1,000 modes.

    Metz et al., 2017, section 3.3.1. There are as many images as in MNIST. The choice of digits is
    fixed, whatever the run's seed.

    Returns:
        uint8 [N, 28, 28, 3] in [0, 255].

    Raises:
        UserError: a file is missing or invalid.
    """
    digits = load_mnist_images(config, split)
    chosen = np.random.default_rng(0).integers(len(digits), size=(3, len(digits)))
    return np.concatenate([digits[channel] for channel in chosen], axis=-1)


def load_fashion_mnist_images(config: Config, split: Split) -> np.ndarray:
    """Fashion-MNIST's 60,000 training or 10,000 test images: the user's copy, Debian's, or Keras's.

    Returns:
        uint8 [N, 28, 28, 1] in [0, 255].

    Raises:
        UserError: a file is missing or invalid, or can't be downloaded.
    """
    folder = fashion_mnist_folder(config)
    if folder is not None:
        return read_images(folder, split)
    images, _ = download("fashion_mnist", split)
    return images[..., np.newaxis]


def load_fashion_mnist_labels(config: Config, split: Split) -> np.ndarray:
    """The labels of `load_fashion_mnist_images`, uint8 [N]; same errors."""
    folder = fashion_mnist_folder(config)
    return download("fashion_mnist", split)[1] if folder is None else read_labels(folder, split)


def load_cifar10_images(config: Config, split: Split) -> np.ndarray:
    """CIFAR-10's 50,000 training or 10,000 test images: the user's copy, or Keras's download.

    Returns:
        uint8 [N, 32, 32, 3] in [0, 255].

    Raises:
        UserError: a file is missing or invalid, or can't be downloaded.
    """
    if config.data_dir is not None:
        return read_cifar10_images(Path(config.data_dir), split)
    return download("cifar10", split)[0]


def load_cifar10_labels(config: Config, split: Split) -> np.ndarray:
    """The labels of `load_cifar10_images`, uint8 [N]; same errors."""
    if config.data_dir is not None:
        return read_cifar10_labels(Path(config.data_dir), split)
    return download("cifar10", split)[1]


def bundled_mnist() -> Path:
    """The package's copy of MNIST.

    Raises:
        UserError: it is damaged.
    """
    if hashlib.sha256(MNIST_FILE.read_bytes()).hexdigest() != MNIST_SHA256:
        raise UserError(f"{MNIST_FILE} is damaged (its SHA-256 is wrong): reinstall the package")
    return MNIST_FILE


def fashion_mnist_folder(config: Config) -> Path | None:
    """The folder of the user's copy of Fashion-MNIST, or of Debian's; None if there is neither."""
    if config.data_dir is not None:
        return Path(config.data_dir)
    return DEBIAN_FASHION_MNIST if DEBIAN_FASHION_MNIST.is_dir() else None


ALTERNATIVES = {
    "fashion_mnist": "or install Debian's dataset-fashion-mnist",
    "cifar10": "to a folder with its binary version or a Keras .npz",
}


def download(name: str, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """The images and labels of one of `keras.datasets`, from Keras's cache or by download.

    Returns:
        uint8 [N, H, W] or [N, H, W, C] in [0, 255], and uint8 [N].

    Raises:
        UserError: the download failed.
    """
    import keras

    try:
        with locked(default_cache_dir() / name):
            train, test = getattr(keras.datasets, name).load_data()
    except Exception as error:
        raise UserError(
            f"{name} could not be downloaded ({first_line(error)}): set `data_dir` "
            f"{ALTERNATIVES[name]}; delete a partial download from ~/.keras/datasets"
        ) from None
    images, labels = train if split == "train" else test
    return images, labels.reshape(-1)


def fashion_mnist_classes(config: Config) -> tuple[str, ...]:
    """The names of Fashion-MNIST's classes."""
    return FASHION_MNIST_CLASSES


def cifar10_classes(config: Config) -> tuple[str, ...]:
    """The names of CIFAR-10's classes."""
    return CIFAR10_CLASSES
