"""One image file of any kind, decoded to 8-bit pixels of a given size."""

from __future__ import annotations

import contextlib
import errno
import math
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple, TypeVar

import numpy as np
from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError

from dcgan_tf.datasets.extensions import HEIC, READINGS, extension, readable
from dcgan_tf.datasets.image_files import Files
from dcgan_tf.datasets.metadata import to_srgb, without_metadata
from dcgan_tf.datasets.transparency import RGBA
from dcgan_tf.settings.errors import DamagedImages, UserError, first_line
from dcgan_tf.settings.image_size import Size

DEEP_GRAY_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")
GRAY_MODES = ("1", "L", "LA", *DEEP_GRAY_MODES)
SHRUNK_FIRST = ("L", "RGB", "CMYK")
MAX_16_BIT = 65535.0
MAX_PIXELS = 100_000_000
MAX_TINT = 3  # of 255: the largest difference between channels of a gray image in a lossy file
T = TypeVar("T")
NO_FILE = (None, errno.ENOENT, errno.ELOOP)  # errno of Pillow's own errors and of broken links


class ImageFormat(NamedTuple):
    """The format that every image is converted to.

    Attributes:
        size: height and width.
        channels: one, three, or four with alpha.
        background: red, green and blue.
        fit: see `Config.fit`.
        reading: see `Config.reading`.
        white: the value of white in gray images of more than 8 bits.
    """

    size: Size
    channels: int
    background: tuple[int, ...]
    fit: str
    reading: int = 1
    white: float = MAX_16_BIT

    @property
    def resized(self) -> Size:
        """Width and height, in Pillow's order."""
        return self.size[1], self.size[0]

    @property
    def margin(self) -> tuple[int, ...]:
        """The color around padded images: the background, or transparent if there is alpha."""
        return (0, 0, 0, 0) if self.channels == RGBA else self.background[: self.channels]

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of one image, [H, W, C]."""
        return *self.size, self.channels


def parse_color(name: str) -> tuple[int, ...]:
    """Red, green and blue in [0, 255].

    Raises:
        UserError: `name` is not a color.
    """
    try:
        return ImageColor.getrgb(name)[:3]
    except ValueError:
        raise UserError(
            f"`background` {name!r} is not a color: use a name such as white, or #rrggbb"
        ) from None


@contextlib.contextmanager
def open_image(files: Files, name: str) -> Iterator[Image.Image]:
    """Opens an image and reads its header.

    Raises:
        Exception: it is damaged, has another format, or more than MAX_PIXELS; Pillow and zipfile
            raise exceptions of many kinds.
    """
    with files.open(name) as file:
        yield identify(file, files.reading, name)


def identify(file: BinaryIO, reading: int, name: str) -> Image.Image:
    """Reads the header of an image; errors as in `open_image`."""
    rules = READINGS[reading]
    # A TGA can only be recognized by its name.
    formats = (
        (*rules.formats, "TGA") if reading > 1 and extension(name) == ".tga" else rules.formats
    )
    try:
        image = Image.open(file, formats=formats)
    except UnidentifiedImageError:
        file.seek(0)
        what = "HEIC under another name" if file.read(12)[4:] in HEIC else f"not a {rules.wanted}"
        raise ValueError(what) from None
    if math.prod(image.size) > MAX_PIXELS:
        raise ValueError(f"{image.width}×{image.height}, more than {MAX_PIXELS:,} pixels")
    return image


def read_image(files: Files, name: str, use: Callable[[Image.Image, bytes | None], T]) -> T:
    """Calls `use` with an opened image and its color profile, and returns its result.

    From reading 2 on, an image with large or damaged metadata is read without it.

    Raises:
        Exception: as `open_image`, and whatever `use` raises.
    """
    try:
        with open_image(files, name) as image:
            return use(image, image.info.get("icc_profile"))
    except Exception as error:
        if files.reading > 1 and not is_transient(error):
            with contextlib.suppress(Exception), files.open(name) as file:
                content, profile = without_metadata(file.read())
                return use(identify(content, files.reading, name), profile)
        raise


def is_transient(error: Exception) -> bool:
    """Whether reading the file may succeed later."""
    is_system_error = isinstance(error, OSError) and error.errno not in NO_FILE
    return is_system_error or isinstance(error, MemoryError)


def has_color(files: Files, image_format: ImageFormat, name: str) -> bool:
    """Whether an image needs three channels, by its mode, or from reading 2 on by its pixels.

    False for a damaged image.
    """

    def by_header(image: Image.Image, _: bytes | None) -> tuple[bool, bool]:
        height, width = image_format.size
        is_padded = image_format.fit == "pad" and image.width * height != image.height * width
        shows_background = image.has_transparency_data or is_padded
        is_behind = shows_background and len(set(image_format.background)) > 1
        return image.mode not in GRAY_MODES, is_behind

    try:
        is_colored, is_behind = read_image(files, name, by_header)
        if files.reading == 1 or not (is_colored or is_behind):
            return is_colored or is_behind
        pixels = decode(files, image_format._replace(channels=3), name)
        return not isinstance(pixels, str) and int(np.ptp(pixels, axis=-1).max()) > MAX_TINT
    except Exception:
        return False


def decode(files: Files, image_format: ImageFormat, name: str) -> np.ndarray | str:
    """The image as uint8 [H, W, C], or what is wrong with the file.

    Raises:
        DamagedImages: the file can't be read now, but may be readable later.
    """
    try:
        return read_image(
            files, name, lambda image, profile: pixels_of(image, image_format, profile)
        )
    except Exception as error:
        if is_transient(error):
            place = f"{files.source}: {readable(name)}"
            raise DamagedImages(f"{place} can't be read: {first_line(error)}") from None
        return first_line(error)


def pixels_of(image: Image.Image, image_format: ImageFormat, profile: bytes | None) -> np.ndarray:
    """An opened image as uint8 [H, W, C]; errors as in `open_image`.

    Args:
        image: opened, with only its header read.
        image_format: the format to convert it to.
        profile: its ICC profile, which reading 1 ignores.
    """
    size = image_format.resized
    # Pillow scales the gray of a PPM by the maximum in its header.
    white = MAX_16_BIT if image.format == "PPM" else image_format.white
    image.draft(None, (2 * size[0], 2 * size[1]))  # saves most of the work on a large JPEG
    image.load()
    with contextlib.suppress(Exception):  # an image with damaged EXIF is still readable
        ImageOps.exif_transpose(image, in_place=True)
    fitted = crop(image, image_format.size) if image_format.fit == "crop" else image
    if image_format.reading > 1 and profile:
        if fitted.mode in SHRUNK_FIRST and not fitted.has_transparency_data:
            fitted = fit_within(fitted, image_format)  # leaves fewer pixels to convert
        fitted = to_srgb(fitted, profile)
    fitted = to_8_bits(fitted, image_format, white)
    if image_format.fit == "pad":
        fitted = ImageOps.pad(fitted, size, Image.Resampling.LANCZOS, image_format.margin)
    fitted = fitted.resize(size, Image.Resampling.LANCZOS)
    return np.asarray(fitted).reshape(image_format.shape)


def fit_within(image: Image.Image, image_format: ImageFormat) -> Image.Image:
    """The image in its final size, without padding."""
    size = image_format.resized
    if image_format.fit == "pad":
        return ImageOps.contain(image, size, Image.Resampling.LANCZOS)
    return image.resize(size, Image.Resampling.LANCZOS)


def crop(image: Image.Image, size: Size) -> Image.Image:
    """The largest central part of the image that has the proportions of `size`."""
    width = min(image.width, max(1, round(image.height * size[1] / size[0])))
    height = min(image.height, max(1, round(image.width * size[0] / size[1])))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def to_8_bits(image: Image.Image, image_format: ImageFormat, white: float) -> Image.Image:
    """The image with 8 bits per channel, composited on the background unless alpha is kept."""
    is_deep = image.mode in DEEP_GRAY_MODES or (image_format.reading > 1 and image.mode == "F")
    if is_deep:
        shades, clear = np.asarray(image, np.float32), image.info.get("transparency")
        in_8_bits = np.rint((shades / (white / 255)).clip(0, 255)).astype(np.uint8)
        image = Image.fromarray(in_8_bits)
        if clear is not None:
            image.putalpha(Image.fromarray(np.where(shades == clear, 0, 255).astype(np.uint8)))
    if image_format.channels == RGBA:
        clear = image.has_transparency_data
        return (image if clear else image.convert("RGB")).convert("RGBA")
    if image.has_transparency_data:
        behind = Image.new("RGBA", image.size, image_format.background)
        image = Image.alpha_composite(behind, image.convert("RGBA"))
    mode = "L" if image_format.channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)  # convert always copies
