"""One image file of any kind, decoded to a square of 8-bit pixels."""

from __future__ import annotations

import contextlib
import errno
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError

from dcgan_tf.datasets.image_files import FORMATS, WANTED, Files, readable
from dcgan_tf.settings.errors import DamagedImages, UserError, first_line

DEEP_GREY_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")
GREY_MODES = ("1", "L", "LA", *DEEP_GREY_MODES)
MAX_PIXELS = 100_000_000
NO_FILE = (None, errno.ENOENT, errno.ELOOP)  # of an OSError: Pillow's own, and links to nowhere


class ImageFormat(NamedTuple):
    """What every image gets: pixels a side, channels, the RGB of the background, and `fit`."""

    size: int
    channels: int
    background: tuple[int, ...]
    fit: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image: [H, W, C]."""
        return self.size, self.size, self.channels


def parse_colour(name: str) -> tuple[int, ...]:
    """Red, green and blue in [0, 255].

    Raises:
        UserError: it is not a colour.
    """
    try:
        return ImageColor.getrgb(name)[:3]
    except ValueError:
        raise UserError(
            f"`background` {name!r} is not a colour: give a name such as white, or #rrggbb"
        ) from None


@contextlib.contextmanager
def open_image(files: Files, name: str) -> Iterator[Image.Image]:
    """Opens an image and reads its header.

    Raises:
        Exception: it is damaged, of another format, or has more than MAX_PIXELS; Pillow and
            zipfile raise whatever they come across.
    """
    with files.open(name) as file:
        try:
            image = Image.open(file, formats=FORMATS)
        except UnidentifiedImageError:
            raise ValueError(f"not a {WANTED}") from None
        if math.prod(image.size) > MAX_PIXELS:
            raise ValueError(f"{image.width}×{image.height}, more than {MAX_PIXELS:,} pixels")
        yield image


def has_colour(files: Files, background: tuple[int, ...], fit: str, name: str) -> bool:
    """Whether an image needs three channels; a damaged one doesn't."""
    try:
        with open_image(files, name) as image:
            is_padded = fit == "pad" and image.width != image.height
            shows_background = image.has_transparency_data or is_padded
            return image.mode not in GREY_MODES or (shows_background and len(set(background)) > 1)
    except Exception:
        return False


def decode(files: Files, image_format: ImageFormat, name: str) -> np.ndarray | str:
    """The image as uint8 [size, size, C], or what is wrong with the file.

    Raises:
        DamagedImages: it is there and can't be read, which may pass.
    """
    size = image_format.size
    try:
        with open_image(files, name) as image:
            image.draft(None, (2 * size, 2 * size))  # spares most of a large JPEG's work
            image.load()
            with contextlib.suppress(Exception):  # damaged EXIF is no reason to lose the image
                ImageOps.exif_transpose(image, in_place=True)
            square = flatten(crop(image) if image_format.fit == "crop" else image, image_format)
            if image_format.fit == "pad":
                colour = image_format.background[: image_format.channels]
                square = ImageOps.pad(square, (size, size), Image.Resampling.LANCZOS, colour)
            square = square.resize((size, size), Image.Resampling.LANCZOS)
            return np.asarray(square).reshape(image_format.shape)
    except Exception as error:
        passing = isinstance(error, OSError) and error.errno not in NO_FILE
        if passing or isinstance(error, MemoryError):
            place = f"{files.source}: {readable(name)}"
            raise DamagedImages(f"{place} can't be read: {first_line(error)}") from None
        return first_line(error)


def crop(image: Image.Image) -> Image.Image:
    """The largest square in the middle."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def flatten(image: Image.Image, image_format: ImageFormat) -> Image.Image:
    """The image without transparency, with 8 bits in each of one or three channels."""
    if image.mode in DEEP_GREY_MODES:
        shades, clear = np.asarray(image, np.float32), image.info.get("transparency")
        in_8_bits = np.rint((shades / 257).clip(0, 255)).astype(np.uint8)  # 65535 / 255
        image = Image.fromarray(in_8_bits)
        if clear is not None:
            image.putalpha(Image.fromarray(np.where(shades == clear, 0, 255).astype(np.uint8)))
    if image.has_transparency_data:
        behind = Image.new("RGBA", image.size, image_format.background)
        image = Image.alpha_composite(behind, image.convert("RGBA"))
    return image.convert("L" if image_format.channels == 1 else "RGB")
