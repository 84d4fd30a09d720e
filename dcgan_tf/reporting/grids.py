"""The grids of a run: images of the same noise after every epoch, and real images."""

from __future__ import annotations

import numpy as np

from dcgan_tf.conditional.labels import Classes, Labels
from dcgan_tf.datasets.disk_images import Images
from dcgan_tf.sampling.noise import seeded_noise
from dcgan_tf.settings.config import Config

GRID_IMAGES = 16
GRID_COLUMNS = 6  # in a conditional run, with a row for each class, up to GRID_IMAGES


def grid_noise(config: Config, classes: Classes) -> np.ndarray:
    """The noise of a run's grids: that of its first images, see `seeded_noise`.

    In a conditional run, each row shows one class, and all rows have the same noise.
    """
    if not config.conditional:
        return seeded_noise(config, config.seed, range(GRID_IMAGES), classes=classes)
    columns = range(GRID_COLUMNS)
    return np.concatenate(
        [
            seeded_noise(config, config.seed, columns, classes=classes, label=label)
            for label in shown_classes(classes)
        ]
    )


def real_grid(config: Config, images: Images, labels: Labels | None) -> np.ndarray:
    """The first training images, uint8 [N, H, W, C]; in a conditional run, a row for each class."""
    if labels is None or not config.conditional:
        return images[:GRID_IMAGES]
    members = [np.flatnonzero(labels.ids == label) for label in shown_classes(labels.classes)]
    return images[np.concatenate([np.resize(each, GRID_COLUMNS) for each in members])]


def shown_classes(classes: Classes) -> range:
    """The ids of the classes that grids show."""
    return range(min(len(classes), GRID_IMAGES))
