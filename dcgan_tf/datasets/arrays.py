"""Reads images and labels from files of raw arrays: IDX, .npz, and CIFAR-10's binary batches.

A set has two parts, "train" and "test".
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from dcgan_tf.cli.errors import UserError, first_line

IDX_IMAGES = 2051
IDX_LABELS = 2049
IDX_KINDS = {IDX_IMAGES: "images", IDX_LABELS: "labels"}
IDX_SPLITS = {"train": "train", "test": "t10k"}

CIFAR10_RECORD = 1 + 3 * 32 * 32
CIFAR10_SPLITS = {"train": "data_batch_*.bin", "test": "test_batch.bin"}


def read_array_folder(folder: Path, part: str = "train", kind: int = IDX_IMAGES) -> np.ndarray:
    """Reads a part of a folder that holds IDX files or one Keras-layout .npz.

    Args:
        folder: where the files are.
        part: "train" or "test".
        kind: IDX_IMAGES or IDX_LABELS.

    Returns:
        uint8 [N, 28, 28, 1] in [0, 255], or the labels, uint8 [N].

    Raises:
        UserError: there is no such file, or it is not what it should be.
    """
    if not folder.is_dir():
        raise UserError(f"--data_dir {folder} is not a folder")
    stem = f"{IDX_SPLITS[part]}-{IDX_KINDS[kind]}"
    dimensions = kind % 256
    for name in (f"{stem}-idx{dimensions}-ubyte", f"{stem}.idx{dimensions}-ubyte"):
        for path in (folder / name, folder / f"{name}.gz"):
            if path.exists():
                return read_idx(path, kind)
    archives = sorted(folder.glob("*.npz"))
    if len(archives) == 1:
        return read_npz(archives[0], part, kind)
    raise UserError(
        f"--data_dir {folder} has {len(archives)} .npz files and no {stem}-idx{dimensions}-ubyte"
        f"[.gz]: it needs the one or the other"
    )


def read_idx(path: Path, wanted: int = IDX_IMAGES) -> np.ndarray:
    """Reads an IDX file, plain or gzipped (http://yann.lecun.com/exdb/mnist).

    Args:
        path: the file.
        wanted: IDX_IMAGES, of 28×28 pixels, or IDX_LABELS.

    Returns:
        uint8 [N, 28, 28, 1] in [0, 255], or uint8 [N].

    Raises:
        UserError: the file is damaged, cut short, or holds something else.
    """
    kind = IDX_KINDS[wanted]
    sides = [28, 28] if wanted == IDX_IMAGES else []
    header_size = 4 * (2 + len(sides))
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            header = file.read(header_size)
            numbers = [header[i : i + 4] for i in range(0, header_size, 4)]
            magic, count, *shape = [int.from_bytes(number, "big") for number in numbers]
            if magic != wanted:
                what = IDX_KINDS.get(magic, f"no IDX {kind}")
                raise UserError(
                    f"{path} holds {what}: it starts with {magic}, IDX {kind} with {wanted}"
                )
            if len(header) < header_size or count == 0 or shape != sides:
                expected = "×".join(["N", *map(str, sides)])
                raise UserError(f"{path} says its {kind} are {[count, *shape]}, not {expected}")
            size = count * math.prod(sides)
            content = bytearray()
            while len(content) <= size and (chunk := file.read(1 << 20)):
                content += chunk
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is damaged or cut short: {error}") from None
    if len(content) != size:
        found = "more" if len(content) > size else f"{len(content):,}"
        raise UserError(f"{path} should hold {size:,} bytes of {kind} and holds {found}")
    values = np.frombuffer(content, np.uint8)
    return values.reshape(-1, 28, 28, 1) if sides else values


def read_cifar10_folder(folder: Path, part: str = "train", kind: int = IDX_IMAGES) -> np.ndarray:
    """Reads a part of CIFAR-10, from its binary version or one Keras-layout .npz.

    The binary version is five files `data_batch_N.bin`, and `test_batch.bin`, of records: a label,
    then 32×32 bytes of red, of green and of blue. The Python version is a pickle, which could run
    code, and is not read.

    Args:
        folder: where the files are.
        part: "train" or "test".
        kind: IDX_IMAGES or IDX_LABELS.

    Returns:
        uint8 [N, 32, 32, 3] in [0, 255], or the labels, uint8 [N].

    Raises:
        UserError: there is no such file, or it is not what it should be.
    """
    if not folder.is_dir():
        raise UserError(f"--data_dir {folder} is not a folder")
    archives = sorted(folder.glob("*.npz"))
    if len(archives) == 1:
        return read_npz(archives[0], part, kind, (32, 32, 3))
    paths = sorted(folder.glob(CIFAR10_SPLITS[part]))
    if not paths:
        names = "data_batch_1.bin to data_batch_5.bin" if part == "train" else "test_batch.bin"
        raise UserError(
            f"--data_dir {folder} has {len(archives)} .npz files and no {names}: it needs the one "
            f"or the other"
        )
    batches = []
    for path in paths:
        content = np.fromfile(path, np.uint8)
        if not content.size or content.size % CIFAR10_RECORD:
            raise UserError(
                f"{path} has {content.size:,} bytes, which is no multiple of {CIFAR10_RECORD:,}, "
                f"the size of CIFAR-10's records"
            )
        batches.append(content.reshape(-1, CIFAR10_RECORD))
    records = np.concatenate(batches)
    if kind == IDX_LABELS:
        return records[:, 0].copy()
    return records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).copy()


def read_npz(
    path: Path,
    part: str = "train",
    kind: int = IDX_IMAGES,
    shape: tuple[int, int, int] = (28, 28, 1),
) -> np.ndarray:
    """Reads `x_train`, `x_test`, `y_train` or `y_test` of a .npz in Keras's layout.

    Args:
        path: the file.
        part: "train" or "test".
        kind: IDX_IMAGES or IDX_LABELS.
        shape: of one image; a single channel may be left out in the file.

    Returns:
        uint8 [N, H, W, C] in [0, 255], or the labels, uint8 [N].

    Raises:
        UserError: the file is damaged, or has no such array.
    """
    if kind == IDX_LABELS:
        return read_npz_labels(path, part)
    images = read_npz_array(path, f"x_{part}")
    flat = shape[:2] if shape[2] == 1 else shape
    if images.dtype != np.uint8 or images.shape[1:] not in (shape, flat):
        raise UserError(
            f"{path}: x_{part} is {images.dtype} {list(images.shape)}, not uint8 [N, "
            f"{', '.join(map(str, flat))}]"
        )
    return images.reshape(-1, *shape)


def read_npz_labels(path: Path, part: str) -> np.ndarray:
    """Reads `y_train` or `y_test` of a .npz in Keras's layout: uint8 [N].

    Raises:
        UserError: the file is damaged, or has no such array.
    """
    labels = read_npz_array(path, f"y_{part}")
    if labels.dtype.kind not in "iu" or labels.size != len(labels):
        raise UserError(f"{path}: y_{part} is {labels.dtype} {list(labels.shape)}, not integer [N]")
    return labels.reshape(-1).astype(np.uint8)


def read_npz_array(path: Path, name: str) -> np.ndarray:
    """Reads one array of a .npz.

    Raises:
        UserError: the file is damaged, or has no such array.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            values = archive[name]
            if not isinstance(values, np.ndarray):  # numpy gives bytes where there is no header
                raise ValueError(f"{name} is no array")
            return values
    except KeyError:
        raise UserError(f"{path} has no array {name}, which Keras's layout has") from None
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # what the parsers of .zip and .npy raise is no small set
        raise UserError(f"{path} is not an intact .npz: {first_line(error)}") from None
