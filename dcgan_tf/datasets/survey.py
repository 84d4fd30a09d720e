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
MAY_BE_DEEP = (b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ")


class Survey(NamedTuple):
    """What all images of a folder have in common.

    Attributes:
        channels: one, if all are grey, or three.
        white: the value of grey of more than 8 bits that is white.
        largest: the largest such value; 0 where there is no such image.
        typical: half of such images have none that is larger.
        colored: the share of their range that images of 16 bits use that Pillow reads as 8 bits, in
            color or with transparency; 1 where there is no such image.
    """

    channels: int
    white: float = DEEPEST
    largest: float = 0.0
    typical: float = 0.0
    colored: float = 1.0

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
    deep = in_parallel(functools.partial(deep_values, files), files.names)
    found = [extent for extent in deep if extent is not None]
    extents = [extent for extent in found if extent.white]
    white = max((extent.white for extent in extents), default=DEEPEST)
    colored = functools.partial(has_colour, files, image_format._replace(white=white))
    # Mostly the first says it, and none of the others need be read.
    has_color = colored(files.names[0]) or any(in_parallel(colored, files.names[1:]))
    highs = [extent.high for extent in extents] or [0.0]
    colors = [extent.high / DEEPEST for extent in found if not extent.white] or [1.0]
    survey = Survey(3 if has_color else 1, white, max(highs), float(np.median(highs)), max(colors))
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


def deep_values(files: Files, name: str) -> Extent | None:
    """The extent of an image of more than 8 bits; None of others, and of damaged ones.

    Raises:
        UserError: it has values below 0.
    """
    try:
        with files.peek(name) as file:
            head = file.read(HEAD)
            is_png = head.startswith(PNG_SIGNATURE)
            if head[24] != IN_16_BITS if is_png else not head.startswith(MAY_BE_DEEP):
                return None
            bits = significant_bits(head + file.read(BEFORE_PIXELS)) if is_png else None

        def pixels(image: Image.Image, _: bytes | None) -> np.ndarray | None:
            is_deep = image.mode in (*DEEP_GREY_MODES, "F")
            return np.asarray(image) if is_deep or is_png else None

        values = read_image(files, name, pixels)
        if values is None:
            return None
        if values.dtype == np.uint8:
            colors = values[..., :-1] if values.shape[-1] in (2, 4) else values
            return Extent(float(colors.max()) * 257, 0.0)
        low, high = float(values.min()), float(values.max())
    except Exception:  # it is reported where it is decoded
        return None
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
