"""Images that stay on disk and are read by index, as from an array."""

from __future__ import annotations

import errno
import hashlib
import math
import os
import weakref
from pathlib import Path

import numpy as np

CHUNK = 64


class DiskImages:
    """Images in a file, read when they are asked for, by any number of threads.

    The file is read, not mapped, so that its pages never count as the process's memory.

    Args:
        path: the file: the pixels of one image after the other.
        shape: (N, H, W, C).

    Raises:
        OSError: the file can't be opened.
        ValueError: its size is not that of the shape.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.path = path
        self.shape = shape
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        if os.fstat(self._file).st_size != math.prod(shape):
            raise ValueError(f"{path} does not hold {math.prod(shape):,} bytes")
        self._numbers = np.arange(shape[0])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int | slice | list[int] | np.ndarray) -> np.ndarray:
        """The images that numpy would pick by this index into the first axis.

        Returns:
            uint8 [..., H, W, C].

        Raises:
            IndexError: there is no such image.
            OSError: the file was cut short meanwhile.
        """
        if isinstance(index, tuple):
            raise IndexError("images on disk have an index into the first axis only")
        numbers = np.asarray(self._numbers[index])
        images = np.empty((numbers.size, math.prod(self.shape[1:])), np.uint8)
        for image, number in zip(images, numbers.flat):
            content = os.pread(self._file, image.size, int(number) * image.size)
            if len(content) != image.size:
                raise OSError(errno.EIO, "was cut short while in use", str(self.path))
            image[:] = np.frombuffer(content, np.uint8)
        return images.reshape(*numbers.shape, *self.shape[1:])


def fingerprint(images: np.ndarray | DiskImages) -> str:
    """The sha256 of all pixels, in hexadecimal."""
    total = hashlib.sha256()
    for start in range(0, len(images), CHUNK):
        total.update(images[start : start + CHUNK].tobytes())
    return total.hexdigest()
