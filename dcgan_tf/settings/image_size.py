"""Image sizes: their notation, 64 or 64x128, and which sizes the models can be built for."""

import re
from collections.abc import Sequence
from typing import Any

from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.fields import Rule

MAX_SIDE = 8192  # pixels
MIN_START = 4  # pixels per side
Size = tuple[int, int]  # height and width


def parse_size(value: Any) -> Any:
    """Converts a size to its stored form: 64, or "64x128".

    Args:
        value: a number, a string such as "64" or "64x128", or a pair; anything else is returned
            unchanged.
    """
    if isinstance(value, tuple | list) and len(value) == 2:
        value = "x".join(map(str, value))
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}([xX×*][0-9]{1,9})?", value, re.ASCII):
        return show_size([int(side) for side in re.split("[xX×*]", value)])
    return value


def show_size(sides: Sequence[int]) -> int | str:
    """The `image_size` for a height and width: a number for a square, else "HEIGHTxWIDTH"."""
    return sides[0] if len({*sides}) == 1 else f"{sides[0]}x{sides[1]}"


def height_and_width(size: int | str) -> Size:
    """The height and width of an `image_size`."""
    sides = [int(side) for side in str(size).split("x")]
    return sides[0], sides[-1]


def _is_size(value: Any) -> bool:
    is_given = isinstance(value, int) or re.fullmatch("[0-9]+x[0-9]+", value)
    return bool(is_given) and all(1 <= side <= MAX_SIDE for side in height_and_width(value))


IMAGE_SIZE = Rule(lambda: f"a whole number from 1 to {MAX_SIDE}, or two as HEIGHTxWIDTH", _is_size)


def start_and_blocks(image_shape: Sequence[int], stride: int) -> tuple[Size, int]:
    """Factors an image size into a starting size and a number of blocks: 96×160 is 6×10 times 2⁴.

    Args:
        image_shape: starts with height and width.
        stride: the stride of each block, at least 2.

    Returns:
        The starting height and width, and the number of blocks. The shorter starting side is at
        least 4 and below 4 · stride.

    Raises:
        UserError: the size has no such factors; the message names the nearest sizes that do.
    """
    height, width = image_shape[:2]
    if blocks := blocks_to(min(height, width), stride):
        power = stride**blocks
        if height % power == width % power == 0:
            return (height // power, width // power), blocks
    nearest = " or ".join(str(show_size(size)) for size in nearest_sizes(height, width, stride))
    starts = f"{MIN_START} to {MIN_START * stride - 1} times a power of `stride` {stride}"
    fault = f"{height} is not {starts}"
    if height != width:
        fault = (
            f"{height}x{width} needs a shorter side of {starts}, and a longer one that is a "
            f"multiple of that power"
        )
    raise UserError(f"`image_size` {fault}: use {nearest}")


def blocks_to(side: int, stride: int) -> int:
    """The number of blocks that scale a valid starting side to this side; 0 if there is none."""
    start, blocks = side, 0
    while start >= MIN_START * stride and start % stride == 0:
        start, blocks = start // stride, blocks + 1
    return blocks if MIN_START <= start < MIN_START * stride else 0


def nearest_sizes(height: int, width: int, stride: int) -> list[Size]:
    """The valid sizes nearest to an invalid one."""
    shorter, longer = sorted((height, width))
    smallest, power = MIN_START * stride, stride
    while smallest * power <= shorter:
        power *= stride
    below = max(shorter // power * power, smallest)
    found = []
    for short in (below,) if shorter <= below else (below, below + power):
        factor = stride ** blocks_to(short, stride)
        under = max(longer // factor * factor, short)
        if shorter == longer:
            found.append((short, short))
        elif short == shorter:
            found += [(short, under), (short, under + factor)]
        else:
            near = under + factor if longer - under > factor / 2 else under
            found.append((short, near))
    return found if height <= width else [(long, short) for short, long in found]
