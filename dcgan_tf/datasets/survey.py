"""Surveys all images of a folder, to find their channels and the value of white."""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from dcgan_tf.datasets.decoding import (
    DEEP_GRAY_MODES,
    MAX_16_BIT,
    ImageFormat,
    has_color,
    read_image,
)
from dcgan_tf.datasets.extensions import readable
from dcgan_tf.datasets.image_files import Files
from dcgan_tf.datasets.metadata import PNG_SIGNATURE, significant_bits
from dcgan_tf.datasets.workers import in_parallel
from dcgan_tf.files.atomic_files import atomic_write
from dcgan_tf.settings.errors import UserError

HEAD = 32  # bytes, which include a PNG's bit depth and color type
BEFORE_PIXELS = 1 << 16
IN_16_BITS = 16  # the bit depth in a PNG's header, before the color type
DARK = 0.5  # of the range: a report mentions images that use less
MAY_BE_SPECIAL = (b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ", b"GIF8")  # TIFF, JPEG 2000, GIF
WEBP_ANIMATED = 2  # a bit of its flags


class Survey(NamedTuple):
    """What all images of a folder have in common.

    Attributes:
        channels: one if all are gray, else three.
        white: the value of white in gray images of more than 8 bits.
        largest: their largest value; 0 without such images.
        typical: the median of each such image's largest value.
        colored: the fraction of their range that 16-bit images use, if in color or with
            transparency, which Pillow reads as 8 bits; 1 without such images.
        with_frames: the number of images with several frames or pages.
    """

    channels: int
    white: float = MAX_16_BIT
    largest: float = 0.0
    typical: float = 0.0
    colored: float = 1.0
    with_frames: int = 0

    @property
    def notes(self) -> list[str]:
        """Remarks for the report."""
        notes = []
        if self.largest:
            values = [f"{value:,.{0 if value > 1 else 3}f}" for value in (self.largest, self.white)]
            notes.append(f"gray of more than 8 bits goes up to {values[0]}; white is {values[1]}")
            if self.typical < DARK / 2 * self.white:
                share = f"{self.typical / self.white:.0%}"
                notes.append(f"half of these images have no value above {share} of white")
        if self.colored < DARK:
            share = f"{self.colored:.0%}"
            notes.append(f"16-bit color uses {share} of its range: brighten it, save it in 8 bits")
        if self.with_frames:
            notes.append(f"{self.with_frames:,} have several frames or pages: the first is used")
        return notes


def survey_images(files: Files, image_format: ImageFormat, cache: Path | None = None) -> Survey:
    """Surveys all images, including held-out ones; reads no more of each than needed.

    Args:
        files: the files of both splits.
        image_format: the format to decode them to, except for `channels` and `white`.
        cache: the file that keeps the survey.

    Raises:
        UserError: gray images have values below 0.
    """
    colored = functools.partial(has_color, files, image_format)
    if files.reading == 1:
        return Survey(3 if any(in_parallel(colored, files.names)) else 1)
    if kept := read_survey(cache):
        return kept
    with_frames, found = 0, []
    for traits in in_parallel(functools.partial(traits_of, files), files.names):
        if traits is not None:
            with_frames += traits.has_frames
            found += [traits.extent] if traits.extent else []
    extents = [extent for extent in found if extent.white]
    white = max((extent.white for extent in extents), default=MAX_16_BIT)
    colored = functools.partial(has_color, files, image_format._replace(white=white))
    # Usually the first image settles it, and the others need not be read.
    in_color = colored(files.names[0]) or any(in_parallel(colored, files.names[1:]))
    highs = [extent.high for extent in extents] or [0.0]
    colors = [extent.high / MAX_16_BIT for extent in found if not extent.white] or [1.0]
    survey = Survey(
        3 if in_color else 1, white, max(highs), float(np.median(highs)), max(colors), with_frames
    )
    if cache:
        cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with atomic_write(cache) as file:
            file.write(json.dumps(survey._asdict()).encode())
    return survey


def read_survey(cache: Path | None) -> Survey | None:
    """What an earlier call wrote, if it is intact."""
    if cache is None:
        return None
    try:
        found = Survey(**json.loads(cache.read_bytes()))
        return found if found.channels in (1, 3) and found.white > 0 else None
    except (OSError, ValueError, TypeError, RecursionError):
        return None


class Extent(NamedTuple):
    """The largest value of an image of more than 8 bits, and the value of white that it implies.

    The latter is 0 if Pillow reads the image as 8 bits.
    """

    high: float
    white: float


class Traits(NamedTuple):
    """What sets some images apart: several frames, or more than 8 bits."""

    has_frames: bool
    extent: Extent | None


def traits_of(files: Files, name: str) -> Traits | None:
    """The traits of an image; None for ordinary images and damaged ones.

    Raises:
        UserError: it has values below 0.
    """
    try:
        with files.peek(name) as file:
            head = file.read(HEAD)
            is_png, is_webp = head.startswith(PNG_SIGNATURE), head[8:16] == b"WEBPVP8X"
            if is_png and head[24] != IN_16_BITS:
                return None
            if not is_png and not head.startswith(MAY_BE_SPECIAL):
                return Traits(True, None) if is_webp and head[20] & WEBP_ANIMATED else None
            bits = significant_bits(head + file.read(BEFORE_PIXELS)) if is_png else None

        def pixels(image: Image.Image, _: bytes | None) -> tuple[bool, np.ndarray | None]:
            is_deep = image.mode in (*DEEP_GRAY_MODES, "F")
            values = np.asarray(image) if is_deep or is_png else None
            return getattr(image, "is_animated", False), values

        has_frames, values = read_image(files, name, pixels)
    except Exception:  # decoding will report it
        return None
    return Traits(has_frames, None if values is None else extent_of(files, name, values, bits))


def extent_of(files: Files, name: str, values: np.ndarray, bits: int | None) -> Extent:
    """The extent of an image's pixels; `bits` is the number of significant bits, if given.

    Raises:
        UserError: it has values below 0.
    """
    if values.dtype == np.uint8:
        colors = values[..., :-1] if values.shape[-1] in (2, 4) else values
        return Extent(float(colors.max()) * 257, 0.0)
    low, high = float(values.min()), float(values.max())
    if low < 0 or not math.isfinite(high):
        raise UserError(
            f"`data_dir` {files.source}: {readable(name)} has values from {low:g} to {high:g}, "
            f"which makes black and white ambiguous: save your images in 8 bits"
        )
    if values.dtype.kind == "f" and high <= 1:
        return Extent(high, 1.0)
    needed = max(8, math.ceil(math.log2(high + 1)))
    if bits is not None and needed <= bits <= 16:
        needed = bits
    return Extent(high, 2.0**needed - 1)
