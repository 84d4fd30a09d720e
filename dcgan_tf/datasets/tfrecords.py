"""Images in sharded TFRecords: written once, read by index from any number of machines.

Each record is a `tf.train.Example` whose one feature, `image`, holds the pixels: all records
are of one length, and the place of each is known. A training that picks images by number goes on
from any step, in the same order as from any other source.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from pathlib import Path

import numpy as np

from dcgan_tf.cli.atomic_files import atomic_write, disk_errors
from dcgan_tf.cli.errors import UserError
from dcgan_tf.datasets.disk_images import CHUNK, DiskImages, Images
from dcgan_tf.datasets.settings import DataSettings, Split

LENGTH = 8
CHECKSUM = 4


def write_tfrecords(images: Images, folder: Path, split: Split, shards: int) -> None:
    """Writes images as `SPLIT-00000-of-SHARDS.tfrecord` …, and what they are as `SPLIT.json`.

    Args:
        images: uint8 [N, H, W, C] in [0, 255].
        folder: to which the files go; made if it is not there.
        split: "train" or "test".
        shards: how many files, of as nearly as possible the same number of images.

    Raises:
        UserError: the folder has some already.
        OSError: they can't be written, for want of room or rights; nothing is left of them.
    """
    import tensorflow as tf

    if (folder / f"{split}.json").exists():
        raise UserError(f"--output {folder} has a {split}.json already: give another folder")
    folder.mkdir(parents=True, exist_ok=True)
    total = hashlib.sha256()
    paths = [folder / f"{split}-{shard:05}-of-{shards:05}.tfrecord" for shard in range(shards)]
    try:
        with disk_errors("TFRecords", folder):
            for path, numbers in zip(paths, np.array_split(np.arange(len(images)), shards)):
                with tf.io.TFRecordWriter(str(path)) as file:
                    for start in range(0, len(numbers), CHUNK):
                        for image in images[numbers[start : start + CHUNK]]:
                            pixels = image.tobytes()
                            total.update(pixels)
                            file.write(example(pixels))
        note = {"shape": images.shape, "shards": shards, "sha256": total.hexdigest()}
        with atomic_write(folder / f"{split}.json") as file:
            file.write((json.dumps(note) + "\n").encode())
    except BaseException:
        for path in paths:
            path.unlink(missing_ok=True)
        raise


def load_tfrecords(settings: DataSettings, split: Split) -> DiskImages:
    """The images of the user's folder of TFRecords, which stay on disk.

    Returns:
        uint8 [N, H, W, C] in [0, 255].

    Raises:
        UserError: they are not there, not as they were written, or of another size than asked for.
    """
    if settings.data_dir is None:
        raise UserError("--dataset tfrecords needs --data_dir: the folder they were written to")
    images = read_tfrecords(Path(settings.data_dir), split)
    if settings.image_size not in (None, images.shape[1]):
        raise UserError(
            f"--image_size {settings.image_size}: the images in {settings.data_dir} have "
            f"{images.shape[1]} pixels a side; write them anew with that size"
        )
    return images


def read_tfrecords(folder: Path, split: Split) -> DiskImages:
    """The images that `write_tfrecords` wrote, which stay on disk.

    Raises:
        UserError: they are not there, or not as they were written.
    """
    note_file = folder / f"{split}.json"
    try:
        note = json.loads(note_file.read_text())
        shape = tuple(int(size) for size in note["shape"])
        shards = int(note["shards"])
        paths = [folder / f"{split}-{shard:05}-of-{shards:05}.tfrecord" for shard in range(shards)]
        pixels = math.prod(shape[1:])
        content = example(bytes(pixels))
        before = content[: len(content) - pixels]
        with paths[0].open("rb") as file:
            length, checksum, start = (file.read(n) for n in (LENGTH, CHECKSUM, len(before)))
        if length + start != struct.pack("<Q", len(content)) + before:
            raise ValueError(f"{paths[0]} does not begin with an image of that shape")
        header = length + checksum + start
        return DiskImages(paths, shape, header, CHECKSUM, str(note["sha256"]))
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is not there: write it with dcgan tfrecords") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{note_file} can't be used: {error}") from None


def example(pixels: bytes) -> bytes:
    """A `tf.train.Example` of one image; the pixels are its last bytes."""
    import tensorflow as tf

    image = tf.train.Feature(bytes_list=tf.train.BytesList(value=[pixels]))
    return tf.train.Example(
        features=tf.train.Features(feature={"image": image})
    ).SerializeToString()
