"""Image grids, and the PNGs and GIFs that show them."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np

from dcgan_tf.datasets.transparency import composite
from dcgan_tf.files.atomic_files import atomic_write
from dcgan_tf.settings.errors import UserError, first_line

logger = logging.getLogger(__name__)

FRAME_MS = 200
LAST_FRAME_MS = 3000
MAX_FRAMES = 100  # a longer GIF takes too long to watch, and to write when a run is stopped
CHECK_SIZE, CHECK_SHADES = 6, (255, 205)  # the checkerboard behind transparent images
MAX_PIXELS = 2**25  # of all images in a picture or a GIF


def check_picture(shape: tuple[int, ...], alternative: str) -> None:
    """Checks that images fit into one picture.

    Args:
        shape: the shape of the images, [N, H, W, C].
        alternative: what the error suggests to use.

    Raises:
        UserError: there are too many images.
    """
    count, height, width, _ = shape
    max_count = MAX_PIXELS // (height * width)
    if count > max_count:
        raise UserError(
            f"{count:,} images of {height}×{width} are too many for one picture, which can have "
            f"{max_count:,}: use {alternative}"
        )


def image_grid(
    images: np.ndarray,
    border: int = 2,
    zoom: int | None = None,
    columns: int | None = None,
    overlap: bool = False,
) -> np.ndarray:
    """Arranges images row by row. Small images are enlarged without smoothing.

    Transparent images are composited on a checkerboard.

    Args:
        images: uint8 [N, H, W, C], C 1, 3 or 4.
        border: the width of the white lines between and around the images, in pixels.
        zoom: the factor of the enlargement; chosen by the size of the images by default.
        columns: images in a row; by default, the grid is a square.
        overlap: whether each row begins with the last image of the row above.

    Returns:
        uint8 [height, width] for C 1, else [height, width, 3].
    """
    if overlap and columns:
        starts = range(0, len(images) - 1, columns - 1)
        images = np.concatenate([images[start : start + columns] for start in starts])
    count, height, width, _ = images.shape
    zoom = zoom or (max(1, 84 // max(height, width)) if count <= 64 else 1)
    images = images.repeat(zoom, axis=1).repeat(zoom, axis=2)
    images = composite(images, checkers(*images.shape[1:3]))
    channels = images.shape[3]
    height, width = height * zoom + border, width * zoom + border
    columns = columns or int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    grid = np.full((rows * height + border, columns * width + border, channels), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * height + border, i % columns * width + border
        grid[top : top + height - border, left : left + width - border] = image
    return grid[..., 0] if channels == 1 else grid


def checkers(height: int, width: int) -> np.ndarray:
    """A checkerboard, uint8 [height, width, 1]."""
    rows, columns = (np.arange(side) // CHECK_SIZE for side in (height, width))
    return np.where((rows[:, np.newaxis] + columns) % 2, *CHECK_SHADES)[..., np.newaxis]


def as_picture(image: np.ndarray, zoom: int = 1) -> np.ndarray:
    """One image, uint8 [H, W, C], enlarged without smoothing. Its alpha is kept.

    Returns:
        uint8 [height, width] for C 1, else [height, width, C].
    """
    picture = image.repeat(zoom, axis=0).repeat(zoom, axis=1)
    return picture[..., 0] if picture.shape[2] == 1 else picture


@dataclasses.dataclass(frozen=True, eq=False)
class ImageGrid:
    """Images that a notebook shows as a grid. NumPy and TensorFlow use it as an array.

    Attributes:
        array: uint8 [N, H, W, C] in [0, 255]; with C 4, straight colors and an alpha.
        columns: images in a row of the grid; by default, the grid is a square.
        overlap: whether each row begins with the last image of the row above.
    """

    array: np.ndarray
    columns: int | None = None
    overlap: bool = False

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.array, dtype, copy=copy)

    def __len__(self) -> int:
        return len(self.array)

    def __repr__(self) -> str:
        return f"ImageGrid of {len(self)} images of {'×'.join(map(str, self.array.shape[1:]))}"

    def _repr_png_(self) -> bytes:
        return iio.imwrite("<bytes>", self.picture(), extension=".png")

    def picture(self) -> np.ndarray:
        """The grid, uint8 [height, width] or [height, width, 3]."""
        return image_grid(self.array, columns=self.columns, overlap=self.overlap)

    def save(self, path: str | Path) -> None:
        """Writes the grid as a PNG."""
        save_png(Path(path), self.picture())


def save_png(path: Path, picture: np.ndarray) -> None:
    """Writes uint8 [H, W] or [H, W, 3] as a PNG."""
    with atomic_write(path) as file:
        iio.imwrite(file, picture, extension=".png")


def save_gif(path: Path, pictures: list[np.ndarray], durations: int | list[int]) -> None:
    """Writes pictures as a GIF that loops forever.

    Args:
        path: a .gif.
        pictures: uint8 [H, W] or [H, W, 3], all of the same shape.
        durations: milliseconds, for each picture or for all.
    """
    # On a full disk, imageio would write to an open file twice, and print the second error.
    content = iio.imwrite("<bytes>", pictures, extension=".gif", duration=durations, loop=0)
    with atomic_write(path) as file:
        file.write(content)


def save_training_gif(path: Path, frames: list[Path]) -> None:
    """Writes the grids of a run as a GIF that shows the last one longer.

    At most MAX_FRAMES evenly spaced grids are shown. Damaged ones are left out with a warning.
    """
    indices = np.linspace(0, len(frames) - 1, min(len(frames), MAX_FRAMES)).round().astype(int)
    frames = [frames[index] for index in indices]
    pictures = [picture for frame in frames if (picture := read_frame(frame)) is not None]
    # A file that the user replaced may have another size.
    pictures = [picture for picture in pictures if picture.shape == pictures[-1].shape]
    if pictures:
        durations = [FRAME_MS] * (len(pictures) - 1) + [LAST_FRAME_MS]
        save_gif(path, pictures, durations if len(pictures) > 1 else LAST_FRAME_MS)


def read_frame(path: Path) -> np.ndarray | None:
    """The pixels of a picture; None, with a warning, if it is damaged."""
    try:
        return iio.imread(path, plugin="pillow")
    except Exception as error:
        logger.warning("%s is damaged and left out of the GIF: %s", path, first_line(error))
        return None
