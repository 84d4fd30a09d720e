"""Images in sharded TFRecords: written once, read by index from any number of machines.

Each record is a `tf.train.Example` with one feature, `image`, that holds the pixels. All records
have the same length, so images can be read by index, and training resumes from any step in the
same order as with any other source.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import shutil
import struct
from pathlib import Path

import google_crc32c
import numpy as np

from dcgan_tf.datasets.disk_images import CHUNK, DiskImages, Images, Split, fingerprint, is_shape
from dcgan_tf.files.atomic_files import (
    PART,
    atomic_write,
    disk_errors,
    flush,
    locked_folder,
    make_folders,
)
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError, first_line
from dcgan_tf.settings.fields import AT_LEAST_ONE
from dcgan_tf.settings.image_size import show_size

MAX_VERIFIED_BYTES = 1 << 30  # larger sets are not verified as a whole before use


def write_tfrecords(images: Images, folder: Path, split: Split, shards: int) -> None:
    """Writes images as `SPLIT-00000-of-SHARDS.tfrecord` …, and their description as `SPLIT.json`.

    Does nothing if the same images are there already.

    Args:
        images: uint8 [N, H, W, C] in [0, 255].
        folder: the folder to write to; created if missing.
        split: "train" or "test".
        shards: the number of files; images are spread evenly.

    Raises:
        UserError: the folder has other images, or another process is writing to it.
        OSError: the files can't be written; none of them remain.
    """
    make_folders(folder)
    with locked_folder(folder):
        if (folder / f"{split}.json").exists():
            try:
                written = read_tfrecords(folder, split)
            except (UserError, OSError) as error:
                raise UserError(
                    f"`output` {folder} has damaged TFRecords ({first_line(error)}): delete "
                    f"{split}.json and the files of {split}, or use another folder"
                ) from None
            if (len(written.paths), fingerprint(written)) == (shards, fingerprint(images)):
                return
            raise UserError(
                f"`output` {folder} already has a {split}.json of other images: use another folder"
            )
        paths = [folder / f"{split}-{shard:05}-of-{shards:05}.tfrecord" for shard in range(shards)]
        if taken := next((path for path in paths if path.exists()), None):
            raise UserError(
                f"`output` {folder} already has a {taken.name}, but no {split}.json that "
                f"describes it: delete it, or use another folder"
            )
        part = folder / PART
        shutil.rmtree(part, ignore_errors=True)  # left by a killed process
        part.mkdir()
        try:
            with disk_errors("TFRecords", folder):
                sha256 = write_shards(images, [part / path.name for path in paths])
            for path in paths:
                (part / path.name).rename(path)
            note = {"shape": images.shape, "shards": shards, "sha256": sha256}
            with atomic_write(folder / f"{split}.json") as file:
                file.write((json.dumps(note) + "\n").encode())
        except BaseException:
            for path in paths:
                path.unlink(missing_ok=True)
            raise
        finally:
            shutil.rmtree(part, ignore_errors=True)


def write_shards(images: Images, paths: list[Path]) -> str:
    """Spreads images over files, and returns the SHA-256 of all pixels, in hexadecimal."""
    import tensorflow as tf

    total = hashlib.sha256()
    for path, indices in zip(paths, np.array_split(np.arange(len(images)), len(paths))):
        with tf.io.TFRecordWriter(str(path)) as file:
            for start in range(0, len(indices), CHUNK):
                for image in images[indices[start : start + CHUNK]]:
                    pixels = image.tobytes()
                    total.update(pixels)
                    file.write(example(pixels))
        flush(path)
    return total.hexdigest()


def load_tfrecords(config: Config, split: Split) -> DiskImages:
    """The images of the user's folder of TFRecords, which stay on disk.

    Returns:
        uint8 [N, H, W, C] in [0, 255].

    Raises:
        UserError: they are missing, damaged, or not of the config's image size.
        OSError: a record was cut short or changed.
    """
    if config.data_dir is None:
        raise UserError("`dataset` tfrecords needs `data_dir`: the folder with the TFRecords")
    images = read_tfrecords(Path(config.data_dir), split)
    if config.height_and_width not in (None, images.shape[1:3]):
        found = show_size(images.shape[1:3])
        raise UserError(
            f"`image_size` {config.image_size}: the images in {config.data_dir} have the size "
            f"{found}: set `image_size` {found}, or write them again at the other size"
        )
    return images


def read_tfrecords(folder: Path, split: Split) -> DiskImages:
    """The images that `write_tfrecords` wrote, which stay on disk.

    Reading a record verifies its checksum. The sha256 of all pixels is verified here, unless they
    exceed MAX_VERIFIED_BYTES.

    Raises:
        UserError: they are missing or damaged.
        OSError: a record was cut short or changed.
    """
    note_file = folder / f"{split}.json"
    try:
        shape, shards, sha256 = read_note(note_file)
        names = (f"{split}-{shard:05}-of-{shards:05}.tfrecord" for shard in range(shards))
        paths = [regular(folder / name) for name in names]
        if math.prod(shape) > sum(path.stat().st_size for path in paths):
            raise ValueError(f"the files are too small for images of shape {shape}")
        pixels = bytes(math.prod(shape[1:]))
        content = example(pixels)
        before = content.removesuffix(pixels)
        length = struct.pack("<Q", len(content))
        header = length + checksum(length) + before
        images = DiskImages(
            paths, shape, header, functools.partial(checksum, crc=google_crc32c.value(before))
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{note_file} can't be used: {error}") from None
    if math.prod(shape) > MAX_VERIFIED_BYTES:
        images.sha256 = sha256
        images[0]
    elif fingerprint(images) != sha256:
        raise UserError(
            f"{folder} does not hold the images that {note_file} describes (their sha256 "
            f"differs): write them to another folder with dcgan tfrecords"
        )
    return images


def read_note(path: Path) -> tuple[tuple[int, ...], int, str]:
    """The shape of a split's images, the number of shards, and the sha256, from its `SPLIT.json`.

    Raises:
        UserError: the file is missing.
        OSError, ValueError, KeyError, TypeError, RecursionError: it is damaged.
    """
    note = json.loads(regular(path).read_text())
    shape, shards, sha256 = note["shape"], note["shards"], note["sha256"]
    for value in (*shape, shards):
        if type(value) is not int or not AT_LEAST_ONE.holds(value):
            raise ValueError(f"{str(value)[:50]!r} is not {AT_LEAST_ONE.wanted()}")
    if not is_shape(shape[1:]):
        raise ValueError(f"{str(shape)[:50]} is not a shape of gray, color or RGBA images")
    return tuple(shape), shards, str(sha256)


def regular(path: Path) -> Path:
    """Returns the path if it is a regular file.

    Raises:
        UserError: it is missing, or is a folder, a pipe or a device.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing: write it with dcgan tfrecords")
    return path


def checksum(content: bytes, crc: int = 0) -> bytes:
    """The masked CRC-32C that a TFRecord stores after these bytes.

    Args:
        content: the bytes.
        crc: the CRC-32C of the bytes before them.
    """
    crc = google_crc32c.extend(crc, content)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def example(pixels: bytes) -> bytes:
    """A serialized `tf.train.Example` of one image; the pixels are its last bytes."""
    import tensorflow as tf

    image = tf.train.Feature(bytes_list=tf.train.BytesList(value=[pixels]))
    return tf.train.Example(
        features=tf.train.Features(feature={"image": image})
    ).SerializeToString()
