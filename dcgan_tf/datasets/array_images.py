"""The images in a user's own .npy and .npz files, as if each were a file of its own."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from dcgan_tf.datasets.endings import readable
from dcgan_tf.datasets.transparency import RGBA
from dcgan_tf.settings.errors import UserError, first_line

IMAGES_AND_LABELS = {"x": "y", "X": "y", "images": "labels", "data": "labels"}
LEAST_BELOW_ZERO = -0.5  # of floats in [-1, 1]; less of it may be what resizing adds to [0, 1]


class Place(NamedTuple):
    """Where an image is: in which file, in which array of it, and where in that."""

    path: Path
    key: str
    number: int


class ArrayImages:
    """The images of some files of arrays, in each of which one image or many are.

    Arrays are [H, W], [H, W, C], [N, H, W], [N, H, W, C] or, as in PyTorch, [N, C, H, W], with 1, 3
    or 4 channels: uint8, other whole numbers in [0, 255], grey of 16 bits, or floats, all of them
    in [0, 1] or all in [-1, 1]. In a .npz, `x_train` has its labels in `y_train`, and `images` in
    `labels`.

    Args:
        source: which the user gave.
        paths: of the files, by their names in it.

    Attributes:
        places: of the images, by their names: the file's, with their number if it has many; in a
            .npz, the split and the label are folders.
        notes: what was found out of them.

    Raises:
        UserError: a file is damaged, or its arrays are no images of these kinds.
    """

    def __init__(self, source: Path, paths: dict[str, Path]) -> None:
        self.source = source
        self.places: dict[str, Place] = {}
        self.notes: list[str] = []
        extents = []
        for name, path in paths.items():
            arrays = read_arrays(path)
            for key in image_keys(arrays):
                stack = self._stack(readable(name), key, arrays[key])
                folder, labels = describe_key(key, arrays)
                if labels is not None and len(labels) != len(stack):
                    raise UserError(
                        f"`data_dir` {source}: {readable(name)} has {len(stack):,} images and "
                        f"{len(labels):,} labels"
                    )
                for number in range(len(stack)):
                    label = [] if labels is None else [str(labels[number])]
                    last = f"{number:06}.npy"
                    whole = [name, *folder, *label, last] if path.suffix == ".npz" else [name, last]
                    alone = path.suffix == ".npy" and len(stack) == 1
                    self.places[name if alone else "/".join(whole)] = Place(path, key, number)
                if stack.dtype.kind == "f":
                    extents.append(extent(path, key, *stamp(path)))
        if not self.places:
            raise UserError(f"`data_dir` {source} has no arrays of images in its .npz files")
        self.lowest = self._lowest(extents)

    def open(self, name: str) -> BinaryIO:
        """An image as a file that Pillow reads."""
        place = self.places[name]
        stack = as_stack(read_arrays(place.path)[place.key])
        if stack is None:  # it was another when it was listed
            raise ValueError("changed meanwhile")
        return as_file(np.asarray(stack[place.number]), self.lowest)

    def _stack(self, name: str, key: str, values: np.ndarray) -> np.ndarray:
        """The array as [N, H, W, C].

        Raises:
            UserError: it has another shape or type.
        """
        where = f"`data_dir` {self.source}: {name}{f', {key},' if key else ''}"
        wanted = "[H, W], [H, W, C], [N, H, W] or [N, H, W, C] with 1, 3 or 4 channels"
        stack = as_stack(values)
        if stack is None:
            raise UserError(f"{where} is {values.dtype} {[*values.shape]}, not {wanted}")
        kind, is_deep = stack.dtype.kind, stack.dtype == np.uint16 and stack.shape[-1] == 1
        if kind == "f" or is_deep or stack.dtype in (np.uint8, np.bool_):
            return stack
        if kind in "iu" and stack.min() >= 0 and 1 < stack.max() <= 255:
            return stack
        raise UserError(
            f"{where} is {values.dtype} {[*values.shape]}: save it as uint8 in [0, 255], or as "
            f"floats in [0, 1] or [-1, 1]"
        )

    def _lowest(self, extents: list[tuple[float, float]]) -> float:
        """The float that is black: 0, or −1.

        Raises:
            UserError: neither is clear.
        """
        if not extents:
            return 0.0
        least, most = np.min(extents, axis=0)[0], np.max(extents, axis=0)[1]
        if not (most <= 1 and (least >= 0 or -1 <= least <= LEAST_BELOW_ZERO)):
            raise UserError(
                f"`data_dir` {self.source} has floats from {least:g} to {most:g}, of which it is "
                f"not clear what is black and what is white: save them in [0, 1] or [-1, 1], or as "
                f"uint8 in [0, 255]"
            )
        lowest = 0.0 if least >= 0 else -1.0
        self.notes.append(f"its arrays are floats in [{lowest:.0f}, 1]")
        return lowest


def file_of(name: str) -> str:
    """The name of the file that an image is in, by the image's name."""
    return re.split(r"(?<=\.np[yz])/", name, maxsplit=1)[0]


def stamp(path: Path) -> tuple[int, int]:
    """What changes with a file."""
    state = path.stat()
    return state.st_mtime_ns, state.st_size


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a .npz by their names, or that of a .npy by "".

    Raises:
        UserError: the file is damaged.
    """
    try:
        return load_arrays(path, *stamp(path))
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # what the parsers of .zip and .npy raise is no small set
        raise UserError(f"{path} is not an intact {path.suffix}: {first_line(error)}") from None


@functools.lru_cache(maxsize=64)
def load_arrays(path: Path, *state: int) -> dict[str, np.ndarray]:
    """As `read_arrays`, for as long as the file stays the same; a .npy is read where it lies."""
    loaded: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return {"": loaded}
    with loaded as archive:
        return {name: archive[name] for name in archive.files}


@functools.lru_cache(maxsize=100_000)
def extent(path: Path, key: str, *state: int) -> tuple[float, float]:
    """The smallest and the largest number of an array; nan if one is none."""
    values = read_arrays(path)[key]
    return float(np.min(values)), float(np.max(values))


def image_keys(arrays: dict[str, np.ndarray]) -> Iterator[str]:
    """The names of the arrays that are images: all but flat ones, which are labels and the like."""
    fewest = 2 if len(arrays) == 1 else 3
    return (key for key, values in arrays.items() if key == "" or values.ndim >= fewest)


def describe_key(key: str, arrays: dict[str, np.ndarray]) -> tuple[list[str], np.ndarray | None]:
    """The folder that an array's name stands for, `train` for `x_train`, and its labels."""
    kind, _, split = key.partition("_")
    if kind not in IMAGES_AND_LABELS:
        return ([key] if key else []), None
    labels = arrays.get("_".join([IMAGES_AND_LABELS[kind], *[split] * bool(split)]))
    return [split] * bool(split), None if labels is None else labels.reshape(-1)


def as_stack(values: np.ndarray) -> np.ndarray | None:
    """An array of one image or many as [N, H, W, C]; None if it can't be told what it is."""
    shape, channels = values.shape, (1, 3, RGBA)
    if values.size == 0:
        return None
    if values.ndim == 2:
        return values[np.newaxis, ..., np.newaxis]
    if values.ndim == 3 and shape[-1] in channels:
        return values[np.newaxis]
    if values.ndim == 3 and shape[0] not in (1, 3):
        return values[..., np.newaxis]
    if values.ndim == 4 and shape[-1] in channels:
        return values
    if values.ndim == 4 and shape[1] in channels:
        return values.transpose(0, 2, 3, 1)
    return None


def as_file(image: np.ndarray, lowest: float) -> BinaryIO:
    """An image, [H, W, C], as a PPM, or as a TIFF if it has 16 bits or alpha."""
    content = io.BytesIO()
    if image.dtype == np.uint16:
        Image.fromarray(image[..., 0]).save(content, "TIFF")
        content.seek(0)
        return content
    if image.dtype.kind == "f":
        image = np.rint((image - lowest) / (1 - lowest) * 255)
    elif image.dtype == np.bool_:
        image = image * np.uint8(255)
    height, width, channels = image.shape
    if channels == RGBA:
        Image.fromarray(np.ascontiguousarray(image, np.uint8)).save(content, "TIFF")
        content.seek(0)
        return content
    content.write(f"P{5 if channels == 1 else 6} {width} {height} 255\n".encode())
    content.write(np.ascontiguousarray(image, np.uint8).tobytes())
    content.seek(0)
    return content
