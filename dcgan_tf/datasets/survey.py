"""What can only be said of all images of a folder together: their channels, and what is white."""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from dcgan_tf.datasets.decoding import (
    DEEP_GREY_MODES,
    DEEPEST,
    ImageFormat,
    has_colour,
    read_image,
)
from dcgan_tf.datasets.endings import readable
from dcgan_tf.datasets.image_files import Files
from dcgan_tf.datasets.metadata import PNG_SIGNATURE, significant_bits
from dcgan_tf.datasets.workers import in_parallel
from dcgan_tf.files.atomic_files import atomic_write
from dcgan_tf.settings.errors import UserError

HEAD = 32  # bytes, up to a PNG's depth and kind of color
BEFORE_PIXELS = 1 << 16
IN_16_BITS = 16  # depth, in a PNG's header, before the kind of color
DARK = 0.5  # of the range: what uses less is told
MAY_BE_SPECIAL = (b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ", b"GIF8")  # TIFF, JPEG 2000, GIF
WEBP_ANIMATED = 2  # a bit of its flags


class Survey(NamedTuple):
    """What all images of a folder have in common.

    Attributes:
        channels: one, if all are grey, or three.
        white: the value of grey of more than 8 bits that is white.
        largest: the largest such value; 0 where there is no such image.
        typical: half of such images have none that is larger.
        colored: the share of their range that images of 16 bits use that Pillow reads as 8 bits, in
            color or with transparency; 1 where there is no such image.
        with_frames: how many have several frames or pages, of which the first is read.
    """

    channels: int
    white: float = DEEPEST
    largest: float = 0.0
    typical: float = 0.0
    colored: float = 1.0
    with_frames: int = 0

    @property
    def notes(self) -> list[str]:
        """What the first lines of a training say of it."""
        notes = []
        if self.largest:
            values = [f"{value:,.{0 if value > 1 else 3}f}" for value in (self.largest, self.white)]
            notes.append(f"grey of more than 8 bits goes up to {values[0]}, {values[1]} is white")
            if self.typical < DARK / 2 * self.white:
                share = f"{self.typical / self.white:.0%}"
                notes.append(f"half of such images are darker than {share} of white throughout")
        if self.colored < DARK:
            share = f"{self.colored:.0%}"
            notes.append(f"color of 16 bits uses {share} of its range: save it in 8 bits, brighter")
        if self.with_frames:
            notes.append(f"{self.with_frames:,} have several frames or pages: the first is read")
        return notes


def look(files: Files, image_format: ImageFormat, cache: Path | None = None) -> Survey:
    """Looks at all images, held-out ones included; at no more of each than it takes.

    Args:
        files: of both splits.
        image_format: what the images get, but for `channels` and `white`.
        cache: where what was found is kept.

    Raises:
        UserError: images of grey have values below 0.
    """
    colored = functools.partial(has_colour, files, image_format)
    if files.reading == 1:
        return Survey(3 if any(in_parallel(colored, files.names)) else 1)
    if kept := read_survey(cache):
        return kept
    with_frames, found = 0, []
    for seen in in_parallel(functools.partial(see, files), files.names):
        if seen is not None:
            with_frames += seen.has_frames
            found += [seen.extent] if seen.extent else []
    extents = [extent for extent in found if extent.white]
    white = max((extent.white for extent in extents), default=DEEPEST)
    colored = functools.partial(has_colour, files, image_format._replace(white=white))
    # Mostly the first says it, and none of the others need be read.
    has_color = colored(files.names[0]) or any(in_parallel(colored, files.names[1:]))
    highs = [extent.high for extent in extents] or [0.0]
    colors = [extent.high / DEEPEST for extent in found if not extent.white] or [1.0]
    survey = Survey(
        3 if has_color else 1, white, max(highs), float(np.median(highs)), max(colors), with_frames
    )
    if cache:
        cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with atomic_write(cache) as file:
            file.write(json.dumps(survey._asdict()).encode())
    return survey


def read_survey(cache: Path | None) -> Survey | None:
    """What an earlier call left, if it is as it was written."""
    if cache is None:
        return None
    try:
        found = Survey(**json.loads(cache.read_bytes()))
        return found if found.channels in (1, 3) and found.white > 0 else None
    except (OSError, ValueError, TypeError, RecursionError):
        return None


class Extent(NamedTuple):
    """The largest value of an image of more than 8 bits, and what is white by this image alone.

    That is 0 where Pillow reads it as 8 bits.
    """

    high: float
    white: float


class Seen(NamedTuple):
    """What only some images have: several frames, and more than 8 bits."""

    has_frames: bool
    extent: Extent | None


def see(files: Files, name: str) -> Seen | None:
    """What is special of an image; None of most, and of damaged ones.

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
                return Seen(True, None) if is_webp and head[20] & WEBP_ANIMATED else None
            bits = significant_bits(head + file.read(BEFORE_PIXELS)) if is_png else None

        def pixels(image: Image.Image, _: bytes | None) -> tuple[bool, np.ndarray | None]:
            is_deep = image.mode in (*DEEP_GREY_MODES, "F")
            values = np.asarray(image) if is_deep or is_png else None
            return getattr(image, "is_animated", False), values

        has_frames, values = read_image(files, name, pixels)
    except Exception:  # it is reported where it is decoded
        return None
    return Seen(has_frames, None if values is None else extent_of(files, name, values, bits))


def extent_of(files: Files, name: str, values: np.ndarray, bits: int | None) -> Extent:
    """The extent of an image's pixels, of which its file calls so many bits significant.

    Raises:
        UserError: it has values below 0.
    """
    if values.dtype == np.uint8:
        colors = values[..., :-1] if values.shape[-1] in (2, 4) else values
        return Extent(float(colors.max()) * 257, 0.0)
    low, high = float(values.min()), float(values.max())
    if low < 0 or not math.isfinite(high):
        raise UserError(
            f"`data_dir` {files.source}: {readable(name)} has values from {low:g} to {high:g}, of "
            f"which it is not clear what is black and what is white: save your images in 8 bits"
        )
    if values.dtype.kind == "f" and high <= 1:
        return Extent(high, 1.0)
    needed = max(8, math.ceil(math.log2(high + 1)))
    if bits is not None and needed <= bits <= 16:
        needed = bits
    return Extent(high, 2.0**needed - 1)
