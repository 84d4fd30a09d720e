"""Reads images and labels from files of raw arrays: IDX, .npz, and CIFAR-10's binary batches."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np

from dcgan_tf.datasets.disk_images import Split
from dcgan_tf.datasets.extensions import ARRAYS, NEWEST, READINGS, extension
from dcgan_tf.settings.errors import UserError, first_line

IDX_SPLITS = {"train": "train", "test": "t10k"}
IDX_KINDS = {3: "images", 1: "labels"}  # by the number of dimensions
IDX_UINT8 = 0x0800  # an IDX file of bytes starts with this plus its number of dimensions

CIFAR10_RECORD = 1 + 3 * 32 * 32
CIFAR10_SPLITS = {"train": "data_batch_*.bin", "test": "test_batch.bin"}


def read_images(folder: Path, split: Split) -> np.ndarray:
    """Reads the images of a split from a folder that holds IDX files or one Keras-layout .npz.

    Returns:
        uint8 [N, 28, 28, 1] in [0, 255].

    Raises:
        UserError: there is no such file, or it holds something else.
    """
    path = find_arrays(folder, split, dimensions=3)
    if path.suffix == ".npz":
        return read_npz_images(path, split)
    return read_idx(path, (28, 28))[..., np.newaxis]


def read_labels(folder: Path, split: Split) -> np.ndarray:
    """Reads the labels of `read_images`, uint8 [N]; same errors."""
    path = find_arrays(folder, split, dimensions=1)
    return read_npz_labels(path, split) if path.suffix == ".npz" else read_idx(path)


def find_arrays(folder: Path, split: Split, dimensions: int) -> Path:
    """The IDX file of a split with this number of dimensions, or else the only .npz.

    Raises:
        UserError: the folder has neither.
    """
    if not folder.is_dir():
        raise UserError(f"`data_dir` {folder} is not a folder{suggestion(folder)}")
    stem, suffix = f"{IDX_SPLITS[split]}-{IDX_KINDS[dimensions]}", f"idx{dimensions}-ubyte"
    for name in (f"{stem}-{suffix}", f"{stem}.{suffix}"):
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    archives = files_like(folder, "*.npz")
    # A missing IDX file must not be replaced by another dataset's.
    has_idx = any(files_like(folder, f"{name}-*idx?-ubyte*") for name in IDX_SPLITS.values())
    if len(archives) == 1 and not has_idx:
        return archives[0]
    others = ", other IDX files" if archives and has_idx else ""
    raise UserError(
        f"`data_dir` {folder} has {len(archives)} .npz files{others} and no "
        f"{stem}-{suffix}[.gz]: it needs one or the other{suggestion(folder)}"
    )


def suggestion(source: Path) -> str:
    """The end of an error message: the setting that reads the files found, or "" if none does."""
    if extension(source.name) in (".zip", *ARRAYS) and source.is_file():
        return ": for images of your own, add `dataset=folder`"
    names = [name for _, _, names in os.walk(source) for name in names]
    if any(name.endswith(".tfrecord") for name in names):
        return "; for TFRecords, add `dataset=tfrecords`"
    pictures = sum(name.lower().endswith(READINGS[NEWEST].extensions) for name in names)
    if not pictures:
        return ""
    return f"; it holds {pictures:,} pictures: add `dataset=folder`, and `preset=small` if few"


def files_like(folder: Path, pattern: str) -> list[Path]:
    """The files that match a pattern, sorted; skips pipes and devices, which could block."""
    return sorted(path for path in folder.glob(pattern) if path.is_file())


def read_idx(path: Path, shape: tuple[int, ...] = ()) -> np.ndarray:
    """Reads an IDX file of bytes, plain or gzipped (http://yann.lecun.com/exdb/mnist).

    Args:
        path: the file.
        shape: the shape of one image; () for labels.

    Returns:
        uint8 [N, *shape].

    Raises:
        UserError: the file is damaged, cut short, or holds something else.
    """
    dimensions = 1 + len(shape)
    kind = IDX_KINDS[dimensions]
    header_size = 4 * (1 + dimensions)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            header = file.read(header_size)
            fields = [header[i : i + 4] for i in range(0, header_size, 4)]
            magic, count, *sides = [int.from_bytes(field, "big") for field in fields]
            if magic != IDX_UINT8 + dimensions:
                found = IDX_KINDS.get(magic - IDX_UINT8, f"no IDX {kind}")
                raise UserError(
                    f"{path} holds {found}: it starts with {magic}, but IDX {kind} start with "
                    f"{IDX_UINT8 + dimensions}"
                )
            if len(header) < header_size or count == 0 or tuple(sides) != shape:
                expected = "×".join(["N", *map(str, shape)])
                raise UserError(f"{path} declares {kind} {[count, *sides]}, not {expected}")
            size = count * math.prod(shape)
            content = bytearray()
            while len(content) <= size and (chunk := file.read(1 << 20)):
                content += chunk
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is damaged or cut short: {error}") from None
    if len(content) != size:
        found = "more" if len(content) > size else f"{len(content):,}"
        raise UserError(f"{path} should hold {size:,} bytes of {kind} but holds {found}")
    return np.frombuffer(content, np.uint8).reshape(-1, *shape)


def read_cifar10_images(folder: Path, split: Split) -> np.ndarray:
    """Reads the images of a split of CIFAR-10, from its binary version or one Keras-layout .npz.

    The binary version is five files `data_batch_N.bin`, and `test_batch.bin`. Each record is a
    label, then 32×32 bytes each of red, green and blue. The Python version is a pickle, which could
    run code, and is not read.

    Returns:
        uint8 [N, 32, 32, 3] in [0, 255].

    Raises:
        UserError: there is no such file, or it holds something else.
    """
    paths = find_cifar10(folder, split)
    if paths[0].suffix == ".npz":
        return read_npz_images(paths[0], split, (32, 32, 3))
    pixels = read_cifar10_records(paths)[:, 1:]
    return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).copy()


def read_cifar10_labels(folder: Path, split: Split) -> np.ndarray:
    """Reads the labels of `read_cifar10_images`, uint8 [N]; same errors."""
    paths = find_cifar10(folder, split)
    if paths[0].suffix == ".npz":
        return read_npz_labels(paths[0], split)
    return read_cifar10_records(paths)[:, 0].copy()


def find_cifar10(folder: Path, split: Split) -> list[Path]:
    """The folder's only .npz, or else the split's files of the binary version.

    Raises:
        UserError: the folder has neither.
    """
    if not folder.is_dir():
        raise UserError(f"`data_dir` {folder} is not a folder{suggestion(folder)}")
    archives = files_like(folder, "*.npz")
    if len(archives) == 1:
        return archives
    paths = files_like(folder, CIFAR10_SPLITS[split])
    if not paths:
        names = "data_batch_1.bin to data_batch_5.bin" if split == "train" else "test_batch.bin"
        raise UserError(
            f"`data_dir` {folder} has {len(archives)} .npz files and no {names}: it needs one "
            f"or the other{suggestion(folder)}"
        )
    return paths


def read_cifar10_records(paths: list[Path]) -> np.ndarray:
    """The records in files of the binary version, uint8 [N, CIFAR10_RECORD].

    Raises:
        UserError: the size of a file is not a multiple of the record size.
    """
    batches = []
    for path in paths:
        content = np.fromfile(path, np.uint8)
        if not content.size or content.size % CIFAR10_RECORD:
            raise UserError(
                f"{path} has {content.size:,} bytes, not a multiple of {CIFAR10_RECORD:,}, the "
                f"size of CIFAR-10's records"
            )
        batches.append(content.reshape(-1, CIFAR10_RECORD))
    return np.concatenate(batches)


def read_npz_images(
    path: Path, split: Split, shape: tuple[int, int, int] = (28, 28, 1)
) -> np.ndarray:
    """Reads `x_train` or `x_test` of a .npz in Keras's layout.

    Args:
        path: the file.
        split: "train" or "test".
        shape: the shape of one image; the file may omit a single channel.

    Returns:
        uint8 [N, *shape] in [0, 255].

    Raises:
        UserError: the file is damaged, or has no such array.
    """
    images = read_npz_array(path, f"x_{split}")
    flat = shape[:2] if shape[2] == 1 else shape
    if images.dtype != np.uint8 or images.shape[1:] not in (shape, flat):
        raise UserError(
            f"{path}: x_{split} is {images.dtype} {list(images.shape)}, not uint8 [N, "
            f"{', '.join(map(str, flat))}]; for arrays of your own, add `dataset=folder`"
        )
    return images.reshape(-1, *shape)


def read_npz_labels(path: Path, split: Split) -> np.ndarray:
    """Reads `y_train` or `y_test` of a .npz in Keras's layout: uint8 [N].

    Raises:
        UserError: the file is damaged, or has no such array.
    """
    labels = read_npz_array(path, f"y_{split}")
    if labels.dtype.kind not in "iu" or labels.shape[:1] != (labels.size,):
        raise UserError(
            f"{path}: y_{split} is {labels.dtype} {list(labels.shape)}, not integer [N]"
        )
    if labels.size and not 0 <= labels.min() <= labels.max() <= 255:
        raise UserError(f"{path}: y_{split} has labels from {labels.min()} to {labels.max()}")
    return labels.reshape(-1).astype(np.uint8)


def read_npz_array(path: Path, name: str) -> np.ndarray:
    """Reads one array of a .npz.

    Raises:
        UserError: the file is damaged, or has no such array.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            values = archive[name]
            if not isinstance(values, np.ndarray):  # NumPy returns bytes if there is no header
                raise ValueError(f"{name} is not an array")
            return values
    except KeyError:
        raise UserError(f"{path} has no array {name}, which Keras's layout requires") from None
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # the .zip and .npy parsers raise many kinds
        raise UserError(f"{path} is not an intact .npz: {first_line(error)}") from None
