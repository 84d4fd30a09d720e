"""Loads the images and labels that a config names, in its image size."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from dcgan_tf.conditional.labels import Labels
from dcgan_tf.datasets.disk_images import Images, Split
from dcgan_tf.datasets.report import Report
from dcgan_tf.datasets.transparency import premultiplied, straight
from dcgan_tf.settings.choices import DATASETS, resolve
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.image_size import Size


def load_images(config: Config) -> Images:
    """Reads the training images that the config names.

    Returns:
        uint8 [N, H, W, C] in [0, 255].

    Raises:
        UserError: a file is missing or invalid, or there are fewer images than a step needs.
    """
    images = load_split(config, "train")
    if len(images) < config.images_per_step:
        each = f"`batch_size` {config.batch_size}"
        if config.discriminator_steps > 1:
            each += f" times `discriminator_steps` {config.discriminator_steps}"
        raise UserError(
            f"{config.data_dir or config.dataset} has only {len(images)} images to train on, fewer "
            f"than {each}: add images, or use a smaller batch"
        )
    return images


def load_held_out(config: Config) -> Images:
    """Reads the held-out images, which are never trained on, to compare generated ones with.

    Returns:
        uint8 [N, H, W, C] in [0, 255].

    Raises:
        UserError: there are none, or a file is missing or invalid.
    """
    return load_split(config, "test")


def load_split(config: Config, split: Split) -> Images:
    """Reads the images of one split; result and errors as in `load_held_out`."""
    return resize(
        resolve(DATASETS[config.dataset].load_images)(config, split), config.height_and_width
    )


def load_labels(config: Config, split: Split) -> np.ndarray:
    """Reads the class ids of a split's images, int [N].

    Raises:
        UserError: the dataset has no labels, or a file is missing or invalid.
    """
    load = DATASETS[config.dataset].load_labels
    if load is None:
        raise UserError(f"`dataset` {config.dataset} has no labels")
    return resolve(load)(config, split)


def load_training_labels(config: Config, images: Images) -> Labels | None:
    """Reads the labels of the training images; None if the run is not conditional.

    Raises:
        UserError: an image has no label, or a class has no image.
    """
    if not config.conditional:
        return None
    ids, class_names = load_labels(config, "train"), DATASETS[config.dataset].class_names
    highest, source = int(ids.max(initial=0)), config.data_dir or config.dataset
    names = resolve(class_names)(config) if class_names else [*map(str, range(highest + 1))]
    if len(ids) != len(images) or highest >= len(names):
        raise UserError(
            f"`conditional` needs a label from 0 to {len(names) - 1} for each image, but {source} "
            f"has {len(images):,} images and {len(ids):,} labels up to {highest}"
        )
    labels = Labels(ids, names)
    classes = labels.classes
    if empty := [name for name, count in zip(classes.names, classes.counts) if not count]:
        why = "they are held out or damaged: add more, or set a smaller `held_out`"
        cause = f"; {why}" if config.dataset in ("folder", "arrays") else ""
        raise UserError(
            f"`conditional`: {source} has no training images of {', '.join(empty)}{cause}"
        )
    return labels


def load_report(config: Config) -> Report | None:
    """The report on the pictures that the config names; None for datasets that are used in full.

    Raises:
        UserError: as `load_images`, which must be called first.
    """
    report = DATASETS[config.dataset].report
    return resolve(report)(config) if report else None


def resize(images: Images, size: Size | None) -> Images:
    """Resizes images with antialiasing; returns them unchanged if they have the size or it is None.

    Args:
        images: uint8 [N, H, W, C].
        size: height and width.

    Returns:
        uint8 [N, *size, C].
    """
    if size in (None, images.shape[1:3]):
        return images
    resized = np.empty((len(images), *size, images.shape[3]), np.uint8)
    for start in range(0, len(images), 1000):
        pixels = premultiplied(tf.cast(images[start : start + 1000], tf.float32))
        some = straight(tf.image.resize(pixels, size, antialias=True))
        resized[start : start + 1000] = np.rint(some)
    return resized


def shrink(images: Images, max_side: int) -> np.ndarray:
    """Images, uint8 [N, H, W, C], with no side of more than `max_side` pixels."""
    height, width = (min(max_side, side) for side in images.shape[1:3])
    return resize(images, (height, width))[:]
