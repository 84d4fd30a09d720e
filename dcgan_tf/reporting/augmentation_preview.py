"""A picture of augmented real images, as the discriminator sees them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dcgan_tf.data import scale, to_uint8
from dcgan_tf.datasets.loading import load_images
from dcgan_tf.files.atomic_files import check_file
from dcgan_tf.regularization.augmentation import augment, make_augmentations
from dcgan_tf.reporting.images import image_grid, save_png
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.image_size import start_and_blocks

NUM_IMAGES, NUM_AUGMENTED_ROWS = 8, 7


def write_augmentation_preview(config: Config, path: Path) -> None:
    """Writes a grid of real images: unchanged in the first row, augmented in the rows below.

    Args:
        config: names the images and augmentations.
        path: a .png.

    Raises:
        UserError: the path is not a .png or can't be written, the config has no augmentation, or
            the images can't be read or have a size that can't be trained.
    """
    if path.suffix != ".png":
        raise UserError(f"`augment_preview` {path} must be a .png")
    check_file(path, "`augment_preview`")
    augmentations = make_augmentations(config)
    if not augmentations:
        raise UserError("`augment_preview` needs `augment`: nothing changes without it")
    images = scale(load_images(config)[:NUM_IMAGES])
    start_and_blocks(images.shape[1:], config.stride)  # rejects a size that can't be trained
    rows = [
        images,
        *(augment(images, augmentations, (config.seed, i)) for i in range(NUM_AUGMENTED_ROWS)),
    ]
    save_png(path, image_grid(to_uint8(np.concatenate(rows)), columns=len(images)))
