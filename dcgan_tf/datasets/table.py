"""The datasets that `--dataset` can name, one row each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from dcgan_tf.datasets.disk_images import Images
from dcgan_tf.datasets.folder import folder_class_names, load_folder, load_folder_labels
from dcgan_tf.datasets.named import (
    CIFAR10_CLASSES,
    FASHION_MNIST_CLASSES,
    load_cifar10_images,
    load_cifar10_labels,
    load_fashion_mnist_images,
    load_fashion_mnist_labels,
    load_mnist_images,
    load_mnist_labels,
    load_stacked_mnist_images,
)
from dcgan_tf.datasets.settings import DataSettings, Split
from dcgan_tf.datasets.tfrecords import load_tfrecords


class Dataset(NamedTuple):
    """How a dataset is loaded and evaluated.

    Attributes:
        load_images: gives a split's images, uint8 [N, H, W, C] in [0, 255].
        load_labels: gives the numbers of their classes, int [N]; None if the dataset has no
            labels.
        feature_extractor: what compares generated images with real ones, a key of
            `evaluation.feature_extractors.FEATURE_EXTRACTORS`.
        class_names: gives the names of the classes; None if they are called by their numbers.
    """

    load_images: Callable[[DataSettings, Split], Images]
    load_labels: Callable[[DataSettings, Split], np.ndarray] | None
    feature_extractor: str
    class_names: Callable[[DataSettings], Sequence[str]] | None = None


DATASETS = {
    "mnist": Dataset(load_mnist_images, load_mnist_labels, "mnist_classifier"),
    "fashion_mnist": Dataset(
        load_fashion_mnist_images,
        load_fashion_mnist_labels,
        "trained_classifier",
        lambda settings: FASHION_MNIST_CLASSES,
    ),
    "cifar10": Dataset(
        load_cifar10_images,
        load_cifar10_labels,
        "trained_classifier",
        lambda settings: CIFAR10_CLASSES,
    ),
    "stacked_mnist": Dataset(load_stacked_mnist_images, None, "stacked_mnist_classifier"),
    "folder": Dataset(load_folder, load_folder_labels, "pixels_and_edges", folder_class_names),
    "tfrecords": Dataset(load_tfrecords, None, "pixels_and_edges"),
}
