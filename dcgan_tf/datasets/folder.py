"""Folders and .zip files of images, decoded once before training and then read by index."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import math
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from tqdm import tqdm

from dcgan_tf.datasets.array_images import file_of
from dcgan_tf.datasets.cache import default_cache_dir, locked
from dcgan_tf.datasets.decoding import ImageFormat, decode, parse_color
from dcgan_tf.datasets.disk_images import DiskImages, Images, Split, fingerprint
from dcgan_tf.datasets.extensions import readable
from dcgan_tf.datasets.image_files import Files, open_source
from dcgan_tf.datasets.layout import class_folders, held_out_folders, pick_split, unclear_folders
from dcgan_tf.datasets.report import Damaged, Report, check_damage, count, warn_of_unread
from dcgan_tf.datasets.survey import Survey, survey_images
from dcgan_tf.datasets.workers import in_parallel
from dcgan_tf.files.atomic_files import atomic_write
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.image_size import show_size

DEFAULT_SIZE = (64, 64)
MEMORY_LIMIT = 64 << 20
KNOWN_DAMAGE: dict[tuple, Damaged] = {}  # found when this process decoded the files
CACHE_VERSION = 2  # raise it when images are decoded differently


class Folder(NamedTuple):
    """The images of a config, found but not decoded yet.

    Attributes:
        files: the files of both splits.
        image_format: the format to decode them to.
        survey: what they have in common.
        cache: the folder for decoded pixels.
    """

    files: Files
    image_format: ImageFormat
    survey: Survey
    cache: Path


def load_folder(config: Config, split: Split) -> Images:
    """Decodes the images of one split of the user's folder or .zip, including nested folders.

    Images are cropped, padded or stretched to `image_size`, according to `fit`. Hidden files and
    system folders are skipped. Images that exceed MEMORY_LIMIT, or whose labels are learned, go to
    a cache file, which later calls reuse while the source is unchanged.

    Returns:
        uint8 [N, H, W, C] in [0, 255], in the order of the sorted paths. C is `channels`; by
        default 1 if all images are gray, else 3.

    Raises:
        UserError: the source is missing, has no images or too many damaged ones, or the
            background is not a color.
        OSError: a folder can't be read, or the cache file can't be written.
    """
    with open_folder(config) as folder:
        if split == "train":
            warn_of_unread(folder.files)
        return load_with_names(config, folder, split)[0]


def load_folder_labels(config: Config, split: Split) -> np.ndarray:
    """The class ids of `load_folder`'s images, int64 [N]; same errors."""
    with open_folder(config) as folder:
        classes = class_folders(folder.files)
        _, names = load_with_names(config, folder, split)
    ids = {name: i for i, name in enumerate(sorted({*classes.values()}))}
    return np.array([ids[classes[name]] for name in names])


def folder_class_names(config: Config) -> Sequence[str]:
    """The names of the classes of the user's folder, by id.

    Raises:
        UserError: the source is missing, or its images are not in a folder for each class.
    """
    with open_source(source_of(config), config.reading) as files:
        return sorted({*class_folders(files).values()})


def folder_report(config: Config) -> Report:
    """Counts the pictures and how each is used; decodes the training images once.

    Damaged held-out images are found only when they are evaluated, and count as held out here.

    Raises:
        UserError, OSError: see `load_folder`.
    """
    with open_folder(config) as folder:
        trained = pick_split(folder.files, config.held_out, "train", config.conditional)
        damaged = damage_of(config, folder, trained)
        classes = class_folders(folder.files) if config.conditional else {}
        notes = [*folder.files.notes, *folder.survey.notes]
        if held_out := held_out_folders(folder.files):
            notes.append(f"the folders {', '.join(map(readable, held_out))} are held out")
        if unclear := unclear_folders(folder.files):
            shown = ", ".join(map(readable, unclear[:5]))
            notes.append(f"folders such as {shown} are not treated as splits")
        return count(folder.files, trained.names, [name for name, _ in damaged], classes, notes)


def source_of(config: Config) -> Path:
    """The user's folder or .zip.

    Raises:
        UserError: none is given.
    """
    if config.data_dir is None:
        raise UserError("`dataset` folder needs `data_dir`: the folder or .zip of your images")
    return Path(config.data_dir)


@contextlib.contextmanager
def open_folder(config: Config) -> Iterator[Folder]:
    """Finds the images of a config and the format to decode them to; errors as in `load_folder`."""
    source, background = source_of(config), parse_color(config.background)
    cache = Path(config.cache_dir) if config.cache_dir else default_cache_dir()
    with open_source(source, config.reading) as files, warnings.catch_warnings():
        # Pillow warns about odd files; those that it can't decode are reported elsewhere.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        size = config.height_and_width or DEFAULT_SIZE
        image_format = ImageFormat(size, 3, background, config.fit, config.reading)
        is_kept = not fit_in_memory(files, image_format)
        note = cache / f"{digest(files, image_format)}.survey" if is_kept else None
        survey = survey_images(files, image_format, note)
        image_format = image_format._replace(
            channels=config.channels or survey.channels, white=survey.white
        )
        yield Folder(files, image_format, survey, cache)


def fit_in_memory(files: Files, image_format: ImageFormat) -> bool:
    return len(files.names) * math.prod(image_format.shape) <= MEMORY_LIMIT


def load_with_names(config: Config, folder: Folder, split: Split) -> tuple[Images, list[str]]:
    """The images of `load_folder`, and the names of their files; same errors."""
    files = pick_split(folder.files, config.held_out, split, config.conditional)
    images, damaged = decoded(config, folder, files)
    allowed = math.floor(config.max_bad_images * len(folder.files.names) + 1e-9)
    check_damage(files, damaged, allowed)
    left_out = {name for name, _ in damaged}
    return images, [name for name in files.names if name not in left_out]


def decoded(config: Config, folder: Folder, files: Files) -> tuple[Images, Damaged]:
    """Decodes some of a folder's files; returns the images, and what is damaged."""
    image_format = folder.image_format
    if fit_in_memory(files, image_format) and not config.conditional:
        images, damaged = decode_to_memory(files, image_format)
    else:
        cache = folder.cache / f"{digest(files, image_format)}.pixels"
        with locked(cache):
            images, damaged = read_cache(cache) or decode_to_cache(files, image_format, cache)
    KNOWN_DAMAGE[key_of(files, image_format)] = damaged
    return images, damaged


def key_of(files: Files, image_format: ImageFormat) -> tuple:
    """A key for these files in this format, within a process."""
    return str(files.source), image_format, hash(tuple(files.names))


def damage_of(config: Config, folder: Folder, files: Files) -> Damaged:
    """The damaged ones among a folder's files; decodes them if this process has not yet."""
    known = KNOWN_DAMAGE.get(key_of(files, folder.image_format))
    return decoded(config, folder, files)[1] if known is None else known


def decode_into(file: BinaryIO, files: Files, image_format: ImageFormat) -> Damaged:
    """Writes the pixels of all intact images, and returns the damaged ones."""
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
    """Decodes into the file `cache`, and describes it in a .json file beside it."""
    with atomic_write(cache) as file:
        damaged = decode_into(file, files, image_format)
    shape = (len(files.names) - len(damaged), *image_format.shape)
    images = DiskImages([cache], shape)
    with atomic_write(cache.with_suffix(".json")) as file:
        note = {"source": str(files.source), "shape": shape, "damaged": damaged}
        file.write(json.dumps(note | {"sha256": fingerprint(images)}).encode())
    return images, damaged


def read_cache(cache: Path) -> tuple[Images, Damaged] | None:
    """What an earlier call wrote, if it is intact."""
    try:
        note = json.loads(cache.with_suffix(".json").read_bytes())
        damaged = [[str(name), str(reason)] for name, reason in note["damaged"]]
        images = DiskImages([cache], tuple(note["shape"]))
        return (images, damaged) if fingerprint(images) == note["sha256"] else None
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError):
        return None


def digest(files: Files, image_format: ImageFormat) -> str:
    """A name that changes with the format, and with the sizes and times of the source's files."""
    is_folder = files.source.is_dir()
    states = []
    for name in files.names if is_folder else [""]:
        with contextlib.suppress(OSError):  # a broken link counts as a damaged image
            state = (files.source / file_of(name)).stat()
            states.append([name, state.st_size, state.st_mtime_ns])
    names = [] if is_folder else files.names
    # For square images and for reading 1, the names are those of earlier versions.
    form = [show_size(image_format.size), *image_format[1:]]
    form = form[:4] if image_format.reading == 1 else form
    what = [CACHE_VERSION, form, str(files.source.resolve()), states, names]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]
