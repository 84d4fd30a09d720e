"""The images in a user's own .npy and .npz files, as if each were a separate file."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from dcgan_tf.datasets.extensions import readable
from dcgan_tf.datasets.transparency import RGBA
from dcgan_tf.settings.errors import UserError, first_line

IMAGES_AND_LABELS = {"x": "y", "X": "y", "images": "labels", "data": "labels"}
MAX_BLACK = -0.5  # the minimum in [-1, 1]; one nearer to 0 may come from resizing in [0, 1]


class Place(NamedTuple):
    """The file, the array in it, and the index of an image."""

    path: Path
    key: str
    image_index: int


class ArrayImages:
    """The images in .npy and .npz files, one or many per array.

    Arrays are [H, W], [H, W, C], [N, H, W], [N, H, W, C] or, as in PyTorch, [N, C, H, W], with 1, 3
    or 4 channels. Values are uint8, other integers in [0, 255], 16-bit gray, or floats, all in
    [0, 1] or all in [-1, 1]. In a .npz, the labels of `x_train` are in `y_train`, and those of
    `images` in `labels`.

    Args:
        source: the folder or file that the user gave.
        paths: the array files, by their names within the source.

    Attributes:
        places: the place of each image, by its name: the file's name, plus an index if it holds
            several. In a .npz, the split and the label become folders in the name.
        notes: remarks for the report.

    Raises:
        UserError: a file is damaged, or an array does not hold such images.
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
                        f"`data_dir` {source}: {readable(name)} has {len(stack):,} images but "
                        f"{len(labels):,} labels"
                    )
                for index in range(len(stack)):
                    label = [] if labels is None else [str(labels[index])]
                    last = f"{index:06}.npy"
                    parts = [name, *folder, *label, last] if path.suffix == ".npz" else [name, last]
                    alone = path.suffix == ".npy" and len(stack) == 1
                    self.places[name if alone else "/".join(parts)] = Place(path, key, index)
                if stack.dtype.kind == "f":
                    extents.append(extent(path, key, *stamp(path)))
        if not self.places:
            raise UserError(f"`data_dir` {source} has no image arrays in its .npz files")
        self.lowest = self._lowest(extents)

    def open(self, name: str) -> BinaryIO:
        """Returns an image as a file that Pillow can read."""
        place = self.places[name]
        stack = as_stack(read_arrays(place.path)[place.key])
        if stack is None:
            raise ValueError("changed since it was listed")
        return as_file(np.asarray(stack[place.image_index]), self.lowest)

    def _stack(self, name: str, key: str, values: np.ndarray) -> np.ndarray:
        """The array as [N, H, W, C].

        Raises:
            UserError: its shape or type is not supported.
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
        """The float value of black: 0 or −1.

        Raises:
            UserError: the range of the values is ambiguous.
        """
        if not extents:
            return 0.0
        least, most = np.min(extents, axis=0)[0], np.max(extents, axis=0)[1]
        if not (most <= 1 and (least >= 0 or -1 <= least <= MAX_BLACK)):
            raise UserError(
                f"`data_dir` {self.source} has floats from {least:g} to {most:g}, an ambiguous "
                f"range: save them in [0, 1] or [-1, 1], or as uint8 in [0, 255]"
            )
        lowest = 0.0 if least >= 0 else -1.0
        self.notes.append(f"its arrays are floats in [{lowest:.0f}, 1]")
        return lowest


def file_of(name: str) -> str:
    """The name of the file that holds the image of this name."""
    return re.split(r"(?<=\.np[yz])/", name, maxsplit=1)[0]


def stamp(path: Path) -> tuple[int, int]:
    """The modification time and size of a file, which change with its content."""
    state = path.stat()
    return state.st_mtime_ns, state.st_size


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a .npz by name, or the array of a .npy under the name "".

    Raises:
        UserError: the file is damaged.
    """
    try:
        return load_arrays(path, *stamp(path))
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # the .zip and .npy parsers raise many kinds
        raise UserError(f"{path} is not an intact {path.suffix}: {first_line(error)}") from None


@functools.lru_cache(maxsize=64)
def load_arrays(path: Path, *state: int) -> dict[str, np.ndarray]:
    """`read_arrays`, cached while the file does not change; a .npy is memory-mapped."""
    loaded: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return {"": loaded}
    with loaded as archive:
        return {name: archive[name] for name in archive.files}


@functools.lru_cache(maxsize=100_000)
def extent(path: Path, key: str, *state: int) -> tuple[float, float]:
    """The smallest and largest value of an array; NaN if it has a NaN."""
    values = read_arrays(path)[key]
    return float(np.min(values)), float(np.max(values))


def image_keys(arrays: dict[str, np.ndarray]) -> Iterator[str]:
    """The names of the arrays that hold images; others hold labels and the like."""
    min_ndim = 2 if len(arrays) == 1 else 3
    return (key for key, values in arrays.items() if key == "" or values.ndim >= min_ndim)


def describe_key(key: str, arrays: dict[str, np.ndarray]) -> tuple[list[str], np.ndarray | None]:
    """The folder that an array's name stands for, such as `train` for `x_train`, and its labels."""
    kind, _, split = key.partition("_")
    if kind not in IMAGES_AND_LABELS:
        return ([key] if key else []), None
    labels = arrays.get("_".join([IMAGES_AND_LABELS[kind], *[split] * bool(split)]))
    return [split] * bool(split), None if labels is None else labels.reshape(-1)


def as_stack(values: np.ndarray) -> np.ndarray | None:
    """One image or many as [N, H, W, C]; None if the shape is not that of images."""
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
    """An image [H, W, C] as a PPM, or as a TIFF if it has 16 bits or alpha."""
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
