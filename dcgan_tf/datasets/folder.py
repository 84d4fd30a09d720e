"""Folders and .zips of images, decoded once before training and then read by index."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import itertools
import json
import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np
from tqdm import tqdm

from dcgan_tf.conditional.labels import ALL_CLASSES
from dcgan_tf.datasets.cache import default_cache_dir, locked
from dcgan_tf.datasets.decoding import ImageFormat, decode, has_colour, parse_colour
from dcgan_tf.datasets.disk_images import DiskImages, Images, Split, fingerprint
from dcgan_tf.datasets.image_files import Files, open_source, readable
from dcgan_tf.files.atomic_files import atomic_write
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import DamagedImages, UserError

DEFAULT_SIZE = 64
MEMORY_LIMIT = 64 << 20
WORKERS = min(8, os.cpu_count() or 1)
IN_FLIGHT = 64
NAMED_WARNINGS = 10
CACHE_VERSION = 2  # to be raised when images are decoded differently

Damaged = list[list[str]]  # the name of each damaged file, and what is wrong with it

logger = logging.getLogger(__name__)


def load_folder(config: Config, split: Split) -> Images:
    """Decodes the images of one split of the user's folder, nested ones included, or .zip.

    Images are made square as `fit` says, and resized. Hidden files, `__MACOSX` and links to
    folders are left out. What takes more than MEMORY_LIMIT, or is to be labelled, goes into a file,
    which later calls use again for as long as the images stay the same.

    Returns:
        uint8 [N, image_size, image_size, C] in [0, 255], in the order of the sorted paths; C is 1
        where all images are grey, else 3.

    Raises:
        UserError: the source is missing, has no images or too many damaged ones, or the
            background is not a colour.
        OSError: a folder can't be read, or the file can't be written.
    """
    return load_with_names(config, split)[0]


def load_folder_labels(config: Config, split: Split) -> np.ndarray:
    """The numbers of the classes of `load_folder`'s images, int64 [N]; raises the same."""
    with open_source(source_of(config)) as files:
        classes = class_folders(files)
    numbers = {name: number for number, name in enumerate(sorted({*classes.values()}))}
    _, names = load_with_names(config, split)
    return np.array([numbers[classes[name]] for name in names])


def folder_class_names(config: Config) -> Sequence[str]:
    """The names of the classes of the user's folder, in the order of their numbers.

    Raises:
        UserError: the source is missing, or its images are not in a folder for each class.
    """
    with open_source(source_of(config)) as files:
        return sorted({*class_folders(files).values()})


def class_folders(files: Files) -> dict[str, str]:
    """Each image's class: the first folder on its path, below those that all images lie in.

    Raises:
        UserError: an image lies in no such folder.
    """
    folders = {name: PurePosixPath(name).parent.parts for name in files.names}
    first, last = min(folders.values()), max(folders.values())
    shared = len([*itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last))])
    for name, parts in folders.items():
        if len(parts) == shared:
            raise UserError(
                f"`data_dir` {files.source} does not tell the class of {readable(name)}: labelled "
                f"images are in two folders or more, one for each class"
            )
        if parts[shared] == ALL_CLASSES:
            raise UserError(
                f"`data_dir` {files.source}: a class can't be called {ALL_CLASSES}, which "
                f"`label` {ALL_CLASSES} takes for every class: give its folder another name"
            )
    return {name: readable(parts[shared]) for name, parts in folders.items()}


def source_of(config: Config) -> Path:
    """The user's folder or .zip.

    Raises:
        UserError: none is given.
    """
    if config.data_dir is None:
        raise UserError("`dataset` folder needs `data_dir`: the folder or .zip of your images")
    return Path(config.data_dir)


def load_with_names(config: Config, split: Split) -> tuple[Images, list[str]]:
    """The images of `load_folder`, and the names of their files; raises the same."""
    source, background = source_of(config), parse_colour(config.background)
    with open_source(source) as files, warnings.catch_warnings():
        # Pillow's remarks on odd files; what it can't decode is reported below.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        is_coloured = functools.partial(has_colour, files, background, config.fit)
        channels = 3 if any(in_parallel(is_coloured, files.names)) else 1
        size = config.image_size or DEFAULT_SIZE
        image_format = ImageFormat(size, channels, background, config.fit)
        total = len(files.names)
        files = pick_split(files, config.held_out, split)
        fit_in_memory = len(files.names) * math.prod(image_format.shape) <= MEMORY_LIMIT
        if fit_in_memory and not config.conditional:
            images, damaged = decode_to_memory(files, image_format)
        else:
            folder = Path(config.cache_dir) if config.cache_dir else default_cache_dir()
            cache = folder / f"{digest(files, image_format)}.pixels"
            with locked(cache):
                images, damaged = read_cache(cache) or decode_to_cache(files, image_format, cache)
    check_damage(files, damaged, math.floor(config.max_bad_images * total + 1e-9))
    left_out = {name for name, _ in damaged}
    return images, [name for name in files.names if name not in left_out]


def pick_split(files: Files, held_out: float, split: Split) -> Files:
    """The files of one split, by their names: more images move none to the other split.

    Raises:
        UserError: none are left.
    """

    def is_held_out(name: str) -> bool:
        number = int.from_bytes(
            hashlib.sha256(name.encode(errors="surrogateescape")).digest()[:8], "big"
        )
        return number < held_out * 2**64

    names = [name for name in files.names if is_held_out(name) == (split == "test")]
    if not names:
        raise UserError(
            f"`data_dir` {files.source}: of its {len(files.names):,} images `held_out` {held_out} "
            f"leaves none {'to train on' if split == 'train' else 'to compare with'}"
        )
    return files._replace(names=names)


def in_parallel(function: Callable[[str], Any], names: list[str]) -> Iterator[Any]:
    """Results in the order of the names, never more than IN_FLIGHT ahead of their use."""
    with ThreadPoolExecutor(WORKERS) as pool:
        for start in range(0, len(names), IN_FLIGHT):
            yield from pool.map(function, names[start : start + IN_FLIGHT])


def decode_into(file: BinaryIO, files: Files, image_format: ImageFormat) -> Damaged:
    """Writes the pixels of all images but the damaged ones, which it returns."""
    results = in_parallel(functools.partial(decode, files, image_format), files.names)
    bar = tqdm(results, "decoding", len(files.names), leave=False, disable=None, delay=1)
    damaged = []
    for name, result in zip(files.names, bar):
        if isinstance(result, str):
            damaged.append([name, result])
        else:
            file.write(result.tobytes())
    return damaged


def decode_to_memory(files: Files, image_format: ImageFormat) -> tuple[Images, Damaged]:
    content = io.BytesIO()
    damaged = decode_into(content, files, image_format)
    pixels = np.frombuffer(content.getbuffer(), np.uint8)
    return pixels.reshape(-1, *image_format.shape), damaged


def decode_to_cache(files: Files, image_format: ImageFormat, cache: Path) -> tuple[Images, Damaged]:
    """Decodes into the file `cache`, and puts a note beside it on what it holds."""
    with atomic_write(cache) as file:
        damaged = decode_into(file, files, image_format)
    shape = (len(files.names) - len(damaged), *image_format.shape)
    images = DiskImages([cache], shape)
    with atomic_write(cache.with_suffix(".json")) as file:
        note = {"source": str(files.source), "shape": shape, "damaged": damaged}
        file.write(json.dumps(note | {"sha256": fingerprint(images)}).encode())
    return images, damaged


def read_cache(cache: Path) -> tuple[Images, Damaged] | None:
    """What an earlier call left, if it is as it was written."""
    try:
        note = json.loads(cache.with_suffix(".json").read_bytes())
        damaged = [[str(name), str(reason)] for name, reason in note["damaged"]]
        images = DiskImages([cache], tuple(note["shape"]))
        return (images, damaged) if fingerprint(images) == note["sha256"] else None
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
        return None


def digest(files: Files, image_format: ImageFormat) -> str:
    """A name that changes with the images: with the files' sizes and times, or the .zip's own."""
    states = []
    for name in files.names if files.source.is_dir() else [""]:
        with contextlib.suppress(OSError):  # a link to nowhere is an image like any damaged one
            state = (files.source / name).stat()
            states.append([name, state.st_size, state.st_mtime_ns])
    names = [] if files.source.is_dir() else files.names
    what = [CACHE_VERSION, image_format, str(files.source.resolve()), states, names]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]


def check_damage(files: Files, damaged: Damaged, allowed: int) -> None:
    """Warns of damaged images.

    Args:
        files: of one split.
        damaged: those of them that are.
        allowed: how many may be, of both splits together.

    Raises:
        DamagedImages: there are more, or no others.
    """
    total, count = len(files.names), len(damaged)
    if count > min(allowed, total - 1):
        name, reason = readable(damaged[0][0]), damaged[0][1]
        raise DamagedImages(
            f"`data_dir` {files.source}: {count:,} of {total:,} images are damaged, first {name} "
            f"({reason}), and `max_bad_images` allows {min(allowed, total - 1):,}: mend or delete "
            f"them, or allow more"
        )
    for name, reason in damaged[:NAMED_WARNINGS]:
        logger.warning("%s in %s is damaged and left out: %s", readable(name), files.source, reason)
    if count > NAMED_WARNINGS:
        logger.warning("%d more images are damaged and left out", count - NAMED_WARNINGS)
