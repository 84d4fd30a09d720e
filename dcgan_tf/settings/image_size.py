"""The size of images: how it is written, 64 or 64x128, and which ones blocks can reach."""

import re
from collections.abc import Sequence
from typing import Any

from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.fields import Rule

LARGEST_SIDE = 8192  # pixels
SMALLEST_START = 4  # pixels a side
Size = tuple[int, int]  # height and width


def parse_size(value: Any) -> Any:
    """A size in its one form, whatever it was given as: 64, or "64x128".

    Args:
        value: a number, text such as "64" or "64x128", or a pair; all else is returned as it is.
    """
    if isinstance(value, tuple | list) and len(value) == 2:
        value = "x".join(map(str, value))
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}([xX×*][0-9]{1,9})?", value, re.ASCII):
        return show_size([int(side) for side in re.split("[xX×*]", value)])
    return value


def show_size(sides: Sequence[int]) -> int | str:
    """Height and width, or one side of a square, as `image_size` has them."""
    return sides[0] if len({*sides}) == 1 else f"{sides[0]}x{sides[1]}"


def height_and_width(size: int | str) -> Size:
    """The sides of a size in its one form."""
    sides = [int(side) for side in str(size).split("x")]
    return sides[0], sides[-1]


def _is_size(value: Any) -> bool:
    is_given = isinstance(value, int) or re.fullmatch("[0-9]+x[0-9]+", value)
    return bool(is_given) and all(1 <= side <= LARGEST_SIDE for side in height_and_width(value))


IMAGE_SIZE = Rule(
    lambda: f"a whole number from 1 to {LARGEST_SIDE}, or two as HEIGHTxWIDTH", _is_size
)


def start_and_blocks(image_shape: Sequence[int], stride: int) -> tuple[Size, int]:
    """Splits an image size into a starting size and a number of blocks: 96×160 is 6×10 times 2⁴.

    Args:
        image_shape: height and width come first.
        stride: of each block, from 2 up.

    Returns:
        The starting height and width, of which the shorter is from 4 up to, but not including, 4
        strides; and how often the stride multiplies them.

    Raises:
        UserError: the size is no such product; names the nearest that are.
    """
    height, width = image_shape[:2]
    if blocks := blocks_to(min(height, width), stride):
        power = stride**blocks
        if height % power == width % power == 0:
            return (height // power, width // power), blocks
    nearest = " or ".join(str(show_size(size)) for size in nearest_sizes(height, width, stride))
    starts = f"{SMALLEST_START} to {SMALLEST_START * stride - 1} times a power of `stride` {stride}"
    fault = f"{height} is not {starts}"
    if height != width:
        fault = (
            f"{height}x{width} needs a shorter side of {starts}, and a longer one that is a "
            f"multiple of that power"
        )
    raise UserError(f"`image_size` {fault}: {nearest} would do")


def blocks_to(side: int, stride: int) -> int:
    """How often the stride multiplies a start of 4 up to 4 strides to this side; 0 if it can't."""
    start, blocks = side, 0
    while start >= SMALLEST_START * stride and start % stride == 0:
        start, blocks = start // stride, blocks + 1
    return blocks if SMALLEST_START <= start < SMALLEST_START * stride else 0


def nearest_sizes(height: int, width: int, stride: int) -> list[Size]:
    """The sizes that can be built next to one that can't."""
    shorter, longer = sorted((height, width))
    smallest, power = SMALLEST_START * stride, stride
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
