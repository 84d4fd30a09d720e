"""Images that stay on disk and are read by index, as from an array."""

from __future__ import annotations

import bisect
import errno
import hashlib
import math
import os
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np

CHUNK = 64


class DiskImages:
    """Images in files, read when they are asked for, by any number of threads.

    The files are read, not mapped, so that their pages never count as the process's memory.

    Args:
        paths: the files, one image's record after the other.
        shape: (N, H, W, C), of all files together.
        header: what a record has before the pixels.
        footer: how many bytes it has after them.
        sha256: of all pixels, in hexadecimal, if it is known.

    Raises:
        OSError: a file can't be opened.
        ValueError: their sizes are not those of the shape.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self,
        paths: Sequence[Path],
        shape: tuple[int, ...],
        header: bytes = b"",
        footer: int = 0,
        sha256: str | None = None,
    ) -> None:
        self.paths = paths
        self.shape = shape
        self.header = header
        self.sha256 = sha256
        self._size = len(header) + math.prod(shape[1:])
        self._stride = self._size + footer
        self._files: list[int] = []
        self._ends: list[int] = []
        for path in paths:
            file = os.open(path, os.O_RDONLY)
            weakref.finalize(self, os.close, file)
            count, rest = divmod(os.fstat(file).st_size, self._stride)
            if rest:
                raise ValueError(f"{path} was cut short, or is of other images")
            self._files.append(file)
            self._ends.append(count + (self._ends[-1] if self._ends else 0))
        if self._ends[-1] != len(self):
            raise ValueError(f"{paths[0].parent} holds {self._ends[-1]:,} images, not {shape[0]:,}")
        self._numbers = np.arange(shape[0])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice | list[int] | np.ndarray) -> np.ndarray:
        """The images that numpy would pick by this index into the first axis.

        Returns:
            uint8 [..., H, W, C].

        Raises:
            IndexError: there is no such image.
            OSError: a file was cut short or changed meanwhile.
        """
        if isinstance(index, tuple):
            raise IndexError("images on disk have an index into the first axis only")
        numbers = np.asarray(self._numbers[index])
        images = np.empty((numbers.size, math.prod(self.shape[1:])), np.uint8)
        for image, number in zip(images, numbers.flat):
            image[:] = np.frombuffer(self._read(int(number)), np.uint8)
        return images.reshape(*numbers.shape, *self.shape[1:])

    def _read(self, number: int) -> bytes:
        """The pixels of one image."""
        file = bisect.bisect_right(self._ends, number)
        place = number - (self._ends[file - 1] if file else 0)
        record = os.pread(self._files[file], self._size, place * self._stride)
        if len(record) != self._size or not record.startswith(self.header):
            raise OSError(errno.EIO, "was cut short or changed", str(self.paths[file]))
        return record[len(self.header) :]


Images = np.ndarray | DiskImages


def fingerprint(images: Images) -> str:
    """The sha256 of all pixels, in hexadecimal."""
    if isinstance(images, DiskImages) and images.sha256:
        return images.sha256
    total = hashlib.sha256()
    for start in range(0, len(images), CHUNK):
        total.update(images[start : start + CHUNK].tobytes())
    if isinstance(images, DiskImages):
        images.sha256 = total.hexdigest()
    return total.hexdigest()
