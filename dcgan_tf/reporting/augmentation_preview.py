"""What the discriminator sees of some real images, as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dcgan_tf.augmentation.differentiable import augment
from dcgan_tf.cli.atomic_files import check_file
from dcgan_tf.cli.errors import UserError
from dcgan_tf.config import Config
from dcgan_tf.data import load_images, scale, to_uint8
from dcgan_tf.reporting.images import image_grid, save_png

IMAGES, DRAWS = 8, 7


def write_augmentation_preview(config: Config, path: Path) -> None:
    """Writes a grid of real images: as they are in the first row, augmented in those below.

    Args:
        config: its images and augmentations.
        path: a .png.

    Raises:
        UserError: it is no .png, or can't be written; nothing is augmented; or the images can't be
            read.
    """
    if path.suffix != ".png":
        raise UserError(f"--augment_preview {path} must be a .png")
    check_file(path, "--augment_preview")
    if not config.augmentations:
        raise UserError("--augment_preview needs --augment: nothing changes without it")
    images = scale(load_images(config)[:IMAGES])
    rows = [
        images,
        *(augment(images, config.augmentations, (config.seed, i)) for i in range(DRAWS)),
    ]
    save_png(path, image_grid(to_uint8(np.concatenate(rows)), columns=len(images)))
