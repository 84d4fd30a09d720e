"""Reads images from files of raw arrays: IDX, .npz, and CIFAR-10's binary batches."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from pathlib import Path

import numpy as np

from dcgan_tf.errors import UserError

IDX_IMAGES = 2051
IDX_LABELS = 2049


CIFAR10_RECORD = 1 + 3 * 32 * 32


def read_array_folder(folder: Path) -> np.ndarray:
    """Reads the training images of a folder that holds IDX files or one Keras-layout .npz.

    Returns:
        uint8 [N, 28, 28, 1] in [0, 255].

    Raises:
        UserError: there is no such file, or it is not what it should be.
    """
    if not folder.is_dir():
        raise UserError(f"--data_dir {folder} is not a folder")
    for name in ("train-images-idx3-ubyte", "train-images.idx3-ubyte"):
        for path in (folder / name, folder / f"{name}.gz"):
            if path.exists():
                return read_idx(path)
    archives = sorted(folder.glob("*.npz"))
    if len(archives) == 1:
        return read_npz(archives[0])
    raise UserError(
        f"--data_dir {folder} has {len(archives)} .npz files and no train-images-idx3-ubyte[.gz]: "
        f"it needs the one or the other"
    )


def read_idx(path: Path) -> np.ndarray:
    """Reads an IDX file of 28×28 images, plain or gzipped (http://yann.lecun.com/exdb/mnist).

    Returns:
        uint8 [N, 28, 28, 1] in [0, 255].

    Raises:
        UserError: the file is damaged, cut short, or holds something else.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            header = file.read(16)
            magic, *shape = [int.from_bytes(header[i : i + 4], "big") for i in range(0, 16, 4)]
            if magic != IDX_IMAGES:
                what = "labels" if magic == IDX_LABELS else "no IDX images"
                raise UserError(
                    f"{path} holds {what}: it starts with {magic}, IDX images with {IDX_IMAGES}"
                )
            if len(header) < 16 or shape[0] == 0 or shape[1:] != [28, 28]:
                raise UserError(f"{path} says its images are {shape}, not N×28×28")
            size = shape[0] * 28 * 28
            content = bytearray()
            while len(content) <= size and (chunk := file.read(1 << 20)):
                content += chunk
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is damaged or cut short: {error}") from None
    if len(content) != size:
        found = "more" if len(content) > size else f"{len(content):,}"
        raise UserError(f"{path} should hold {size:,} bytes of pixels and holds {found}")
    return np.frombuffer(content, np.uint8).reshape(-1, 28, 28, 1)


def read_cifar10_folder(folder: Path) -> np.ndarray:
    """Reads CIFAR-10's training images, from its binary version or one Keras-layout .npz.

    The binary version is five files `data_batch_N.bin` of records: a label, then 32×32 bytes of
    red, of green and of blue. The Python version is a pickle, which could run code, and is not
    read.

    Returns:
        uint8 [N, 32, 32, 3] in [0, 255].

    Raises:
        UserError: there is no such file, or it is not what it should be.
    """
    if not folder.is_dir():
        raise UserError(f"--data_dir {folder} is not a folder")
    archives = sorted(folder.glob("*.npz"))
    if len(archives) == 1:
        return read_npz(archives[0], (32, 32, 3))
    paths = sorted(folder.glob("data_batch_*.bin"))
    if not paths:
        raise UserError(
            f"--data_dir {folder} has {len(archives)} .npz files and no data_batch_1.bin to "
            f"data_batch_5.bin: it needs the one or the others"
        )
    batches = []
    for path in paths:
        content = np.fromfile(path, np.uint8)
        if not content.size or content.size % CIFAR10_RECORD:
            raise UserError(
                f"{path} has {content.size:,} bytes, which is no multiple of {CIFAR10_RECORD:,}, "
                f"the size of CIFAR-10's records"
            )
        batches.append(content.reshape(-1, CIFAR10_RECORD)[:, 1:].reshape(-1, 3, 32, 32))
    return np.concatenate(batches).transpose(0, 2, 3, 1).copy()


def read_npz(path: Path, shape: tuple[int, int, int] = (28, 28, 1)) -> np.ndarray:
    """Reads `x_train` of a .npz in Keras's layout.

    Args:
        path: the file.
        shape: of one image; a single channel may be left out in the file.

    Returns:
        uint8 [N, H, W, C] in [0, 255].

    Raises:
        UserError: the file is damaged, or has no such array.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            images = archive["x_train"]
    except KeyError:
        raise UserError(f"{path} has no array x_train, which Keras's layout has") from None
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise UserError(f"{path} is not an intact .npz: {error}") from None
    flat = shape[:2] if shape[2] == 1 else shape
    if images.dtype != np.uint8 or images.shape[1:] not in (shape, flat):
        raise UserError(
            f"{path}: x_train is {images.dtype} {list(images.shape)}, not uint8 [N, "
            f"{', '.join(map(str, flat))}]"
        )
    return images.reshape(-1, *shape)
