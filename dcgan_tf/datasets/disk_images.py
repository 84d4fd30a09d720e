"""Images that stay on disk and are read by index, as from an array."""

from __future__ import annotations

import bisect
import errno
import hashlib
import math
import os
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.image_size import MAX_SIDE

Split = Literal["train", "test"]
CHUNK = 64


class DiskImages:
    """Images in files, read on demand, by any number of threads.

    The files are read, not mapped: their pages never count as the process's memory.

    Args:
        paths: the files, each a sequence of records of one image.
        shape: (N, H, W, C), of all files together.
        header: the bytes of a record before the pixels.
        footer: returns the bytes of a record after the pixels, such as a checksum, from the pixels.

    Attributes:
        sha256: the SHA-256 of all pixels, in hexadecimal, if known.
        damage: the error of a failed read; a `tf.data` pipeline passes on only its text.

    Raises:
        OSError: a file can't be opened.
        ValueError: the sizes of the files do not match the shape.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self,
        paths: Sequence[Path],
        shape: tuple[int, ...],
        header: bytes = b"",
        footer: Callable[[bytes], bytes] = lambda pixels: b"",
    ) -> None:
        self.paths = paths
        self.shape = shape
        self.header = header
        self.footer = footer
        self.sha256: str | None = None
        self.damage: OSError | None = None
        self._end = len(header) + math.prod(shape[1:])
        self._stride = self._end + len(footer(b""))
        self._files: list[int] = []
        self._ends: list[int] = []
        for path in paths:
            file = os.open(path, os.O_RDONLY)
            weakref.finalize(self, os.close, file)
            count, rest = divmod(os.fstat(file).st_size, self._stride)
            if rest:
                raise ValueError(f"{path} was cut short, or holds other images")
            self._files.append(file)
            self._ends.append(count + (self._ends[-1] if self._ends else 0))
        if self._ends[-1] != len(self):
            raise ValueError(f"{paths[0].parent} holds {self._ends[-1]:,} images, not {shape[0]:,}")
        self._indices = np.arange(shape[0])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice | list[int] | np.ndarray) -> np.ndarray:
        """The images that NumPy would pick by this index into the first axis.

        Returns:
            uint8 [..., H, W, C].

        Raises:
            IndexError: there is no such image.
            OSError: a file was cut short or changed after it was opened.
        """
        if isinstance(index, tuple):
            raise IndexError("images on disk can only be indexed along the first axis")
        indices = np.asarray(self._indices[index])
        images = np.empty((indices.size, math.prod(self.shape[1:])), np.uint8)
        try:
            for image, each in zip(images, indices.flat):
                image[:] = self._read(int(each))
        except OSError as error:
            self.damage = error
            raise
        return images.reshape(*indices.shape, *self.shape[1:])

    def _read(self, index: int) -> np.ndarray:
        """The pixels of one image, uint8 [H · W · C]."""
        file = bisect.bisect_right(self._ends, index)
        place = index - (self._ends[file - 1] if file else 0)
        try:
            record = os.pread(self._files[file], self._stride, place * self._stride)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.paths[file])) from error
        pixels = record[len(self.header) : self._end]
        is_complete = len(record) == self._stride and record.startswith(self.header)
        if not is_complete or record[self._end :] != self.footer(pixels):
            raise OSError(errno.EIO, "was cut short or changed", str(self.paths[file]))
        return np.frombuffer(pixels, np.uint8)


Images = np.ndarray | DiskImages


def spaced_indices(count: int, max_count: int) -> np.ndarray:
    """The indices of at most `max_count` of `count` images, evenly spaced, int64."""
    return np.linspace(0, count - 1, min(max_count, count)).astype(int)


def fingerprint(images: Images) -> str:
    """The SHA-256 of all pixels, in hexadecimal."""
    if isinstance(images, DiskImages) and images.sha256:
        return images.sha256
    total = hashlib.sha256()
    for start in range(0, len(images), CHUNK):
        total.update(images[start : start + CHUNK].tobytes())
    if isinstance(images, DiskImages):
        images.sha256 = total.hexdigest()
    return total.hexdigest()


def check_images(images: Images, labels: np.ndarray | None = None) -> None:
    """Checks that images are uint8 [N, H, W, C], and labels, if any, one per image.

    Raises:
        UserError: they are not.
    """
    kind, shape = getattr(images, "dtype", type(images).__name__), np.shape(images)
    if kind != np.uint8 or len(shape) != 4:
        raise UserError(f"`images` must be uint8 [N, H, W, C] in [0, 255], not {kind} {[*shape]}")
    if labels is not None and np.shape(labels) != shape[:1]:
        raise UserError(
            f"`labels` must be [{len(images)}], one per image, not {[*np.shape(labels)]}"
        )


def is_shape(shape: Sequence[int]) -> bool:
    """Whether images can have this shape, [H, W, C]: gray, color or with alpha."""
    if len(shape) != 3:
        return False
    *sides, channels = shape
    return all(1 <= side <= MAX_SIDE for side in sides) and channels in (1, 3, 4)
