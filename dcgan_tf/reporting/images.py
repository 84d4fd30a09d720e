"""Image grids, and what they are written as: PNGs and GIFs."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np

from dcgan_tf.datasets.transparency import laid_on
from dcgan_tf.files.atomic_files import atomic_write
from dcgan_tf.settings.errors import UserError, first_line

logger = logging.getLogger(__name__)

FRAME_MS = 200
LAST_FRAME_MS = 3000
MOST_FRAMES = 100  # a GIF of more is too long to watch, and to write as a run is stopped
CHECK, CHECKS = 6, (255, 205)  # pixels a side, and shades, of what shows through transparency
MOST_PIXELS = 2**25  # of all images that a picture or a GIF shows


def check_picture(shape: tuple[int, ...], instead: str) -> None:
    """Refuses more images, of a shape [N, H, W, C], than go into one picture.

    Raises:
        UserError: there are too many; says what to give instead.
    """
    count, height, width, _ = shape
    most = MOST_PIXELS // (height * width)
    if count > most:
        raise UserError(
            f"{count:,} images of {height}×{width} are too many for one picture, which can have "
            f"{most:,}: give {instead}"
        )


def image_grid(
    images: np.ndarray,
    border: int = 2,
    zoom: int | None = None,
    columns: int | None = None,
    overlap: bool = False,
) -> np.ndarray:
    """Lays images out row by row, enlarged without smoothing if they are small.

    Transparency shows a checkered ground.

    Args:
        images: uint8 [N, H, W, C], C 1, 3 or 4.
        border: pixels of white between and around the tiles.
        zoom: how often each pixel is repeated; by default, so that small tiles can be seen.
        columns: images in a row; by default, so that the grid is a square.
        overlap: whether each row begins with the image that the one above it ends with.

    Returns:
        uint8 [height, width] for C 1, else [height, width, 3].
    """
    if overlap and columns:
        starts = range(0, len(images) - 1, columns - 1)
        images = np.concatenate([images[start : start + columns] for start in starts])
    count, height, width, _ = images.shape
    zoom = zoom or (max(1, 84 // max(height, width)) if count <= 64 else 1)
    images = images.repeat(zoom, axis=1).repeat(zoom, axis=2)
    images = laid_on(images, checkers(*images.shape[1:3]))
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
    """A checkered ground, uint8 [height, width, 1]."""
    rows, columns = (np.arange(side) // CHECK for side in (height, width))
    return np.where((rows[:, np.newaxis] + columns) % 2, *CHECKS)[..., np.newaxis]


def as_picture(image: np.ndarray, zoom: int = 1) -> np.ndarray:
    """One image, uint8 [H, W, C], enlarged without smoothing and with its transparency.

    Returns:
        uint8 [height, width] for C 1, else [height, width, C].
    """
    picture = image.repeat(zoom, axis=0).repeat(zoom, axis=1)
    return picture[..., 0] if picture.shape[2] == 1 else picture


@dataclasses.dataclass(frozen=True, eq=False)
class ImageGrid:
    """Images that a notebook shows as a grid; NumPy and TensorFlow take it for its array.

    Attributes:
        array: uint8 [N, H, W, C] in [0, 255]; C 4 has an alpha, and straight colors beside it.
        columns: images in a row of the grid; by default, so that it is a square.
        overlap: whether each row begins with the image that the one above it ends with.
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
    """Writes pictures as a GIF that repeats.

    Args:
        path: a .gif.
        pictures: uint8 [H, W] or [H, W, 3], all of one shape.
        durations: milliseconds, of each picture or of all.
    """
    # Were it given the file, imageio would write once more, and fail aloud, where a disk is full.
    content = iio.imwrite("<bytes>", pictures, extension=".gif", duration=durations, loop=0)
    with atomic_write(path) as file:
        file.write(content)


def save_training_gif(path: Path, frames: list[Path]) -> None:
    """Writes the grids of a run as a GIF, which rests on the last.

    It shows MOST_FRAMES of them at most, evenly spaced. Those that are damaged are left out, with a
    warning.
    """
    chosen = np.linspace(0, len(frames) - 1, min(len(frames), MOST_FRAMES)).round().astype(int)
    frames = [frames[number] for number in chosen]
    pictures = [picture for frame in frames if (picture := read_frame(frame)) is not None]
    # One that was put in another's place may be of any size.
    pictures = [picture for picture in pictures if picture.shape == pictures[-1].shape]
    if pictures:
        durations = [FRAME_MS] * (len(pictures) - 1) + [LAST_FRAME_MS]
        save_gif(path, pictures, durations if len(pictures) > 1 else LAST_FRAME_MS)


def read_frame(path: Path) -> np.ndarray | None:
    """A picture's pixels; None, and a warning, if it is damaged."""
    try:
        return iio.imread(path, plugin="pillow")
    except Exception as error:
        logger.warning("%s is damaged and left out of the GIF: %s", path, first_line(error))
        return None
