"""Checks the images and labels that a program passes, and reads them as arrays.

Images of any kind are read in batches, in an order that must be the same each time.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dcgan_tf.datasets.disk_images import CHUNK, is_shape
from dcgan_tf.settings.errors import UserError, first_line

PEEKED = 4  # elements to compare between two passes

LabeledBatch = tuple[np.ndarray, np.ndarray | None]  # images [k, H, W, C], and their labels [k]


def check_range(value_range: tuple[float, float] | None) -> None:
    """Checks that the values of black and white are a range.

    Raises:
        UserError: they are not two finite numbers, the lower one first.
    """
    if value_range is None:
        return
    try:
        low, high = map(float, value_range)
    except (TypeError, ValueError):
        low = high = math.nan
    if not -math.inf < low < high < math.inf:
        raise UserError(
            f"`value_range` must be the values of black and white, such as (0, 1), not "
            f"{first_line(ValueError(repr(value_range)))}"
        )


def read_batches(images: Any, labeled: bool) -> Iterator[LabeledBatch]:
    """Reads images in batches, with any labels that come with them.

    Args:
        images: see `read_passed`.
        labeled: whether labels are passed separately.

    Raises:
        UserError: these are not images, or can't be read twice in the same order.
    """
    if getattr(images, "shape", ()) and hasattr(images, "__getitem__"):  # NumPy, TensorFlow, HDF5
        for start in range(0, len(images), CHUNK):
            yield as_batch(images[start : start + CHUNK], is_stack=True), None
        return
    if isinstance(images, (str, bytes, Path, Mapping)) or not is_iterable(images):
        raise UserError(
            f"`images` must be an array [N, H, W, C], a tf.data.Dataset, or a list of images, not "
            f"{type(images).__name__}; for pictures in a folder, use `dataset=folder`"
        )
    check_order(images)
    for element in elements_of(images):
        is_pair = isinstance(element, (tuple, list)) and len(element) == 2
        image, label = element if is_pair else (element, None)
        if is_pair and labeled:
            raise UserError("`labels` are given, but `images` already have labels: pass only one")
        batch = as_batch(image)
        label = None if label is None else np.asarray(label).reshape(-1)
        if label is not None and len(label) != len(batch):
            raise UserError(
                f"`images` has a label of shape {[*np.shape(element[1])]} with {len(batch)} "
                f"images: pass class ids, not one-hot labels"
            )
        yield batch, label


def elements_of(images: Iterable[Any]) -> Iterator[Any]:
    """The elements of a dataset, up to its length if it has one."""
    return itertools.islice(iter(images), length_of(images))


def is_iterable(images: Any) -> bool:
    try:
        iter(images)
    except TypeError:
        return False
    return True


def length_of(images: Any) -> int | None:
    """The number of elements of a dataset; None if unknown.

    Raises:
        UserError: it is infinite.
    """
    if hasattr(images, "cardinality") and int(images.cardinality()) == -1:
        raise UserError("`images` never end: leave out .repeat(), as training repeats them itself")
    try:
        return len(images)
    except TypeError:
        return None


def check_order(images: Any) -> None:
    """Checks that images can be read again in the same order, as a resumed run must do.

    Raises:
        UserError: they can be read only once, or change their order.
    """
    if iter(images) is images:
        raise UserError(
            f"`images` is a {type(images).__name__}, which can be read only once, but a resumed "
            f"run must read it again: pass a list, an array or a tf.data.Dataset"
        )
    passes = []
    for _ in range(2):
        elements = itertools.islice(elements_of(images), PEEKED)
        firsts = (each[0] if isinstance(each, (tuple, list)) else each for each in elements)
        passes.append([as_batch(first).tobytes() for first in firsts])
    if passes[0] != passes[1]:
        raise UserError(
            "`images` come in a different order each time, so a run could not be resumed: "
            "leave out the shuffling, since training shuffles them itself"
        )


def as_batch(image: Any, is_stack: bool = False) -> np.ndarray:
    """One image, or a batch, as [k, H, W, C].

    Args:
        image: [H, W], [H, W, C] or [k, H, W, C].
        is_stack: whether three dimensions are [k, H, W].

    Raises:
        UserError: it is none of these.
    """
    if isinstance(image, Mapping):
        raise UserError(
            f"`images` has dictionaries with the keys {', '.join(map(str, image))}: pass the "
            f"images as `images` and their labels as `labels`, or a dataset of (image, label)"
        )
    if isinstance(image, Image.Image) and image.mode not in ("L", "RGB", "RGBA"):
        raise UserError(f"`images` has a picture of mode {image.mode}: use .convert('RGB')")
    try:
        values = np.asarray(image)
    except Exception as error:  # whatever another library's array raises
        raise UserError(f"`images` can't be read as arrays: {first_line(error)}") from None
    if is_stack and values.ndim == 3 and values.shape[-1] in (1, 3, 4):
        raise UserError(
            f"`images` must be a batch, but […, {values.shape[1]}, {values.shape[2]}] is one "
            f"image: pass images[np.newaxis], or gray images as [N, H, W, 1]"
        )
    batch = values
    if batch.ndim == 2 and not is_stack:
        batch = batch[np.newaxis, ..., np.newaxis]
    elif batch.ndim == 3:
        batch = batch[..., np.newaxis] if is_stack else batch[np.newaxis]
    if batch.ndim != 4 or not is_shape(batch.shape[1:]):
        raise UserError(
            f"`images` must be [N, H, W, C] with 1, 3 or 4 channels (red, green, blue, alpha), or "
            f"gray [N, H, W], but one has the shape {[*values.shape[is_stack:]]}"
        )
    return batch


def to_uint8(images: np.ndarray, value_range: tuple[float, float] | None) -> np.ndarray:
    """Images as uint8 in [0, 255].

    Raises:
        UserError: the values of black and white are unknown, or values lie outside them.
    """
    if images.dtype.kind not in "buif":
        raise UserError(f"`images` must be numbers, not {images.dtype}")
    if value_range is None:
        if images.dtype == np.uint8:
            return images
        raise UserError(
            f"`images` are {images.dtype}, with values such as {images.min():g} and "
            f"{images.max():g}: pass the values of black and white, such as `value_range=(0, 1)`, "
            f"or pass uint8"
        )
    low, high = map(float, value_range)
    values = images.astype(np.float64 if images.dtype.itemsize > 4 else np.float32)
    if not np.isfinite(values).all():
        raise UserError("`images` have values that are infinite or not a number")
    if values.min() < low or values.max() > high:
        raise UserError(
            f"`images` have values from {values.min():g} to {values.max():g}, outside "
            f"`value_range=({low:g}, {high:g})`"
        )
    return np.rint((values - low) / (high - low) * 255).astype(np.uint8)


def read_labels(labels: Any, count: int) -> np.ndarray:
    """Labels as an array [N] of integers or text.

    Raises:
        UserError: they are something else, or not `count` labels.
    """
    is_array = hasattr(labels, "__array__") or isinstance(labels, (list, tuple))
    try:
        values = np.asarray(labels if is_array else [*labels])
    except (TypeError, ValueError) as error:
        raise UserError(f"`labels` can't be read as an array: {first_line(error)}") from None
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    is_text = values.dtype.kind in "OS" and all(
        isinstance(each, (str, bytes)) for each in values.flat
    )
    if is_text and values.ndim == 1:
        text = [each if isinstance(each, str) else each.decode(errors="replace") for each in values]
        values = np.array(text)
    if values.ndim != 1 or values.dtype.kind not in "buiU":
        raise UserError(
            f"`labels` must be class ids or names, [N], not {values.dtype} {[*values.shape]}"
        )
    if len(values) != count:
        raise UserError(
            f"there are {len(values):,} `labels` for {count:,} `images`: pass one per image"
        )
    return values
