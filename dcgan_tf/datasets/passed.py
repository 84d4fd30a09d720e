"""Images that a program passes to `train`: arrays, datasets, anything that yields images.

They are read once, converted to uint8, and split into training and held-out images. A split of more
than MEMORY_LIMIT goes to an unnamed temporary file, which disappears with the process.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from dcgan_tf.datasets.cache import default_cache_dir
from dcgan_tf.datasets.disk_images import DiskImages, Images, Split
from dcgan_tf.datasets.elements import check_range, length_of, read_batches, read_labels, to_uint8
from dcgan_tf.datasets.loading import resize
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError

MEMORY_LIMIT = 1 << 30  # bytes, of a split
SPLITS: tuple[Split, Split] = ("train", "test")

ValueRange = tuple[float, float]


class Passed(NamedTuple):
    """The images and labels that a program passed.

    Attributes:
        images: the images of each split, uint8 [N, H, W, C] in [0, 255].
        labels: the class ids of each split, int64 [N]; None without labels.
        class_names: the passed labels as text, by id.
    """

    images: dict[Split, Images]
    labels: dict[Split, np.ndarray] | None = None
    class_names: Sequence[str] = ()


CURRENT: ContextVar[Passed | None] = ContextVar("passed", default=None)


@contextlib.contextmanager
def passing(passed: Passed | None) -> Iterator[None]:
    """Makes `passed` the images of `dataset=arrays` within the context."""
    token = CURRENT.set(passed)
    try:
        yield
    finally:
        CURRENT.reset(token)


def current() -> Passed:
    """The argument of the enclosing `passing`.

    Raises:
        UserError: there is none.
    """
    passed = CURRENT.get()
    if passed is None:
        raise UserError(
            "`dataset=arrays` takes images only in Python: pass them as in "
            "dcgan_tf.train(config, run_dir, images=…) or run.evaluate(images=…)"
        )
    return passed


def load_passed(config: Config, split: Split) -> Images:
    """The images of a split, uint8 [N, H, W, C] in [0, 255]; errors as in `current`."""
    return current().images[split]


def load_passed_labels(config: Config, split: Split) -> np.ndarray:
    """The class ids of a split, int64 [N]; errors as in `current`, or if there are no labels."""
    labels = current().labels
    if labels is None:
        raise UserError(
            "`conditional` needs labels, but the images have none: add `labels`, or pass a "
            "dataset of (image, label)"
        )
    return labels[split]


def passed_class_names(config: Config) -> Sequence[str]:
    """The names of the classes; errors as in `current`."""
    return current().class_names


def read_passed(
    config: Config, images: Any, labels: Any = None, value_range: ValueRange | None = None
) -> Passed | None:
    """Reads the images and labels that a program passes; None if it passes no images.

    Args:
        config: its `held_out`, `image_size`, `conditional` and `cache_dir` are used.
        images: [N, H, W, C] or gray [N, H, W]; or an iterable, such as a `tf.data.Dataset`, of
            images or batches, each with or without labels, in the same order each time.
        labels: the labels of all images, [N], integers or text.
        value_range: the values of black and white; None for uint8 in [0, 255].

    Raises:
        UserError: they can't be used.
        OSError: there are too many for memory, and the file for them can't be written.
    """
    if images is None:
        if labels is not None or value_range is not None:
            raise UserError("`labels` and `value_range` describe `images`: pass those, too")
        return None
    if config.dataset != "arrays":
        raise UserError(
            f"`images` are for `dataset=arrays`, but the config has `dataset={config.dataset}`"
        )
    if labels is not None and not config.conditional:
        raise UserError(
            "`labels` are for `conditional=True`: set it in the config, or leave them out"
        )
    check_range(value_range)
    pixels, is_held_out, own_labels = read_splits(config, images, labels is not None, value_range)
    labels = own_labels if labels is None else labels
    if labels is None or not config.conditional:
        return Passed(pixels)
    names, ids = np.unique(read_labels(labels, len(is_held_out)), return_inverse=True)
    of_splits = dict(zip(SPLITS, (ids[~is_held_out], ids[is_held_out])))
    return Passed(pixels, of_splits, [str(name) for name in names])


def read_splits(
    config: Config, images: Any, labeled: bool, value_range: ValueRange | None
) -> tuple[dict[Split, Images], np.ndarray, np.ndarray | None]:
    """The images of each split, whether each image is held out, bool [N], and their own labels."""
    contents: dict[Split, IO[bytes]] = {split: io.BytesIO() for split in SPLITS}
    shape: tuple[int, ...] = ()
    brightest, held_out, labels = 0, [], []
    random = np.random.default_rng(0)  # adding images does not change which are held out
    for batch, batch_labels in read_batches(images, labeled):
        pixels = resize(to_uint8(batch, value_range), config.height_and_width)[:]
        if shape and pixels.shape[1:] != shape:
            raise UserError(
                f"`images` have different shapes, {[*shape]} and {[*pixels.shape[1:]]}: resize them"
            )
        shape, brightest = pixels.shape[1:], max(brightest, pixels.max())
        is_held_out = random.random(len(pixels)) < config.held_out
        for split, chosen in zip(SPLITS, (~is_held_out, is_held_out)):
            contents[split].write(pixels[chosen].tobytes())
            contents[split] = on_disk_if_large(contents[split], images, config)
        held_out.append(is_held_out)
        if batch_labels is not None:
            labels.append(batch_labels)
    if not held_out:
        raise UserError("`images` are empty: pass at least one batch of them")
    if brightest <= 1:
        raise UserError(
            "`images` have no value above 1, but white is 255: pass `value_range=(0, 1)` if 1 is"
        )
    found = {split: as_images(content, shape) for split, content in contents.items()}
    return found, np.concatenate(held_out), np.concatenate(labels) if labels else None


def on_disk_if_large(content: IO[bytes], images: Any, config: Config) -> IO[bytes]:
    """Moves pixels from memory into a file if they exceed MEMORY_LIMIT.

    Raises:
        UserError: the images have no length, and may never end.
        OSError: the file can't be written.
    """
    if not isinstance(content, io.BytesIO) or content.tell() <= MEMORY_LIMIT:
        return content
    if not hasattr(images, "shape") and length_of(images) is None:
        raise UserError(
            f"`images` exceed {MEMORY_LIMIT >> 20:,} MiB and have no length, so they may never "
            f"end: set their length (tf.data has assert_cardinality)"
        )
    folder = Path(config.cache_dir) if config.cache_dir else default_cache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    file = tempfile.NamedTemporaryFile(dir=folder, prefix="passed-")  # noqa: SIM115
    file.write(content.getbuffer())
    return file


def as_images(content: IO[bytes], shape: tuple[int, ...]) -> Images:
    """The written pixels as images [N, *shape]."""
    count = content.tell() // int(np.prod(shape))
    if isinstance(content, io.BytesIO):
        return np.frombuffer(content.getbuffer(), np.uint8).reshape(count, *shape)
    with content:  # this deletes its name; the content stays while DiskImages has it open
        content.flush()
        return DiskImages([Path(content.name)], (count, *shape))
