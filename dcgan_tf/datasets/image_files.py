"""Finds the images of a folder or .zip, and opens them one by one."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from dcgan_tf.settings.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp")
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
WANTED = "PNG, JPEG, GIF, BMP or WebP"
MAX_MEMBER_BYTES = 256 << 20


class Files(NamedTuple):
    """A folder or .zip, the sorted paths of the images in it, and what opens one of them."""

    source: Path
    names: list[str]
    open: Callable[[str], BinaryIO]


@contextlib.contextmanager
def open_source(source: Path) -> Iterator[Files]:
    """Lists the images of a folder or .zip, and lets them be opened.

    Raises:
        UserError: it is neither, or has no images.
        OSError: it can't be read.
    """
    if source.is_dir():
        names = pick_images(source, walk(source))
        yield Files(source, names, lambda name: open_regular(source / name))
        return
    if not source.exists():
        raise UserError(f"`data_dir` {source} does not exist: give a folder or .zip of images")
    try:
        if not source.is_file():
            raise ValueError("not a regular file")
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise UserError(
            f"`data_dir` {source} is neither a folder nor an intact .zip: {error}"
        ) from None
    with archive:
        members = {name for name in archive.namelist() if not name.endswith("/")}
        yield Files(source, pick_images(source, members), functools.partial(unpack, archive))


def open_regular(path: Path) -> BinaryIO:
    """Opens a file; a pipe or a device, which could be waited on for ever, is none."""
    if path.exists() and not path.is_file():
        raise ValueError("not a regular file")
    return path.open("rb")


def unpack(archive: zipfile.ZipFile, name: str) -> BinaryIO:
    """Reads a member into memory, which also compares its checksum."""
    size = archive.getinfo(name).file_size
    if size > MAX_MEMBER_BYTES:
        raise ValueError(f"{size:,} bytes, more than {MAX_MEMBER_BYTES:,}")
    return io.BytesIO(archive.read(name))


def walk(folder: Path, prefix: str = "") -> Iterator[str]:
    """The paths of the files in a folder and in those nested in it, relative to it.

    A run directory is left out: its grids and plots are not images to learn.
    """
    for entry in os.scandir(folder):
        if not entry.is_dir(follow_symlinks=False):
            yield prefix + entry.name
        elif not is_hidden(entry.name) and not is_run(folder / entry.name):
            yield from walk(folder / entry.name, f"{prefix}{entry.name}/")


def is_run(folder: Path) -> bool:
    """Whether a folder is a run directory, see `dcgan_tf/run_directory.py`."""
    return (folder / "config.json").is_file() and (folder / "checkpoints").is_dir()


def is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def readable(name: str) -> str:
    """A name of at most 200 characters, without line breaks and what moves a terminal's cursor."""
    name = name if len(name) <= 200 else f"{name[:100]}…{name[-100:]}"
    return repr(name)[1:-1]


def pick_images(source: Path, names: Iterable[str]) -> list[str]:
    """The names of images that aren't hidden, sorted.

    Raises:
        UserError: there are none.
    """
    names = sorted(name for name in names if not any(map(is_hidden, name.split("/"))))
    images = [name for name in names if name.lower().endswith(SUFFIXES)]
    if images:
        return images
    kinds = sorted({PurePosixPath(name).suffix.lower() or "no suffix" for name in names})
    shown = ", ".join([*map(readable, kinds[:5]), *["…"] * (len(kinds) > 5)])
    found = f"{len(names):,} file{'s' * (len(names) > 1)}: {shown}" if names else "no files"
    raise UserError(f"`data_dir` {source} has no images ({WANTED}); it has {found}")
