"""Finds the images of a folder or .zip, and opens them."""

from __future__ import annotations

import collections
import contextlib
import functools
import io
import os
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn, cast

from dcgan_tf.datasets.array_images import ArrayImages
from dcgan_tf.datasets.extensions import (
    ARRAYS,
    NEWEST,
    OTHERS,
    PACKED,
    READINGS,
    TIFF,
    UNREAD,
    extension,
    is_hidden,
    is_picture,
    readable,
)
from dcgan_tf.settings.errors import UserError

MAX_MEMBER_BYTES = 256 << 20
HEAD = 16  # bytes that identify a file's format
READ_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
DEFLATE64 = {9: "Deflate64"}
ENCRYPTED = 1  # a bit of a .zip member's flags


class Files(NamedTuple):
    """The images of a folder or .zip.

    Attributes:
        source: the folder or .zip.
        names: the sorted paths of the images in it.
        open: opens an image by its name.
        peek: opens an image to read only its first bytes.
        reading: the version of the rules that found them, see `Config.reading`.
        left_out: the names of pictures that are not read.
        links: the paths of links to folders that are not followed.
        notes: remarks for the report.
    """

    source: Path
    names: list[str]
    open: Callable[[str], BinaryIO]
    peek: Callable[[str], BinaryIO]
    reading: int = 1
    left_out: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Found(NamedTuple):
    """The paths of the files in a source, and of the links to folders that are not followed."""

    names: list[str]
    links: list[str]


@contextlib.contextmanager
def open_source(source: Path, reading: int = 1) -> Iterator[Files]:
    """Lists the images of a folder, a .zip or an array file; they can be opened within the context.

    Raises:
        UserError: it is none of these, or has no images.
        OSError: it can't be read.
    """
    if not source.exists():
        raise UserError(f"`data_dir` {source} does not exist: use a folder or .zip of images")
    if source.is_dir():
        found = walk(source, reading)
        yield pick_images(source, found, lambda name: open_regular(f"{source}/{name}"), reading)
    elif reading > 1 and extension(source.name) in ARRAYS:
        found = Found([source.name], [])
        yield pick_images(source, found, lambda name: open_regular(source.parent / name), reading)
    else:
        with open_zip(source) as archive:
            members = members_of(archive, reading)
            found = Found([*members], [])

            def peek(name: str) -> BinaryIO:
                return cast(BinaryIO, archive.open(members[name]))

            files = pick_images(
                source, found, functools.partial(unpack, archive, members), reading, peek
            )
            check_archive(source, [members[name] for name in files.names])
            yield files


def open_regular(path: str | Path) -> BinaryIO:
    """Opens a regular file.

    Raises:
        ValueError: it is a pipe or a device, which could block.
    """
    return open(path, "rb", opener=_regular)


def _regular(path: str, flags: int) -> int:
    file = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise ValueError("not a regular file")
    return file


def open_zip(source: Path) -> zipfile.ZipFile:
    """Opens a .zip.

    Raises:
        UserError: it is not a .zip, or is damaged.
    """
    try:
        if not source.is_file():
            raise ValueError("not a regular file")
        return zipfile.ZipFile(source)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise UserError(
            f"`data_dir` {source} is neither a folder nor an intact .zip: {error}"
        ) from None


def members_of(archive: zipfile.ZipFile, reading: int) -> dict[str, zipfile.ZipInfo]:
    """The files in a .zip by their paths, with / in place of Windows's \\."""
    members = {}
    for info in archive.infolist():
        # Python itself replaces only the separator of this system.
        name = info.filename.replace("\\", "/") if reading > 1 else info.filename
        if not name.endswith("/"):
            members[name] = info
    return members


def unpack(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str) -> BinaryIO:
    """Reads a member into memory, which also verifies its checksum."""
    info = members[name]
    if info.file_size > MAX_MEMBER_BYTES:
        raise ValueError(f"{info.file_size:,} bytes, more than {MAX_MEMBER_BYTES:,}")
    return io.BytesIO(archive.read(info))


def check_archive(source: Path, images: list[zipfile.ZipInfo]) -> None:
    """Checks that not all images in a .zip are unreadable for the same reason.

    Raises:
        UserError: all are encrypted, or compressed by a method that Python does not support.
    """
    unknown = {info.compress_type for info in images if info.compress_type not in READ_METHODS}
    if all(info.flag_bits & ENCRYPTED for info in images):
        how = "is encrypted"
    elif all(info.compress_type in unknown for info in images):
        names = {DEFLATE64.get(method, f"method {method}") for method in unknown}
        how = f"is compressed by a method that Python can't read ({', '.join(sorted(names))})"
    else:
        return
    raise UserError(f"`data_dir` {source} {how}: unpack it and use the folder")


def walk(source: Path, reading: int) -> Found:
    """The files in a folder and in nested folders, by their paths relative to it.

    Run directories are skipped: their grids and plots are not training images. From reading 2 on,
    links to folders are followed after all real folders. No folder is read twice, and the
    folders above the source are not read.
    """
    names, links = [], []
    read = {identity(folder) for folder in source.resolve().parents}
    tops = collections.deque([""])
    while tops:
        top = tops.popleft()
        for folder, folders, files in os.walk(source / top, onerror=fail):
            path = os.path.relpath(folder, source)
            prefix = "" if path == "." else f"{path}/"
            if identity(folder) in read:
                links.append(path)
                folders.clear()
                continue
            read.add(identity(folder))
            names += [prefix + name for name in files if not is_hidden(name, reading)]
            nested = [
                name
                for name in sorted(folders)
                if not is_hidden(name, reading) and not is_run(Path(folder, name))
            ]
            linked = [name for name in nested if os.path.islink(os.path.join(folder, name))]
            (tops if reading > 1 else links).extend(prefix + name for name in linked)
            folders[:] = [name for name in nested if name not in linked]
    return Found(names, links)


def identity(folder: str | Path) -> tuple[int, int]:
    """The device and inode of a folder, which are the same for all paths to it."""
    state = os.stat(folder)
    return state.st_dev, state.st_ino


def fail(error: OSError) -> NoReturn:
    raise error


def is_run(folder: Path) -> bool:
    """Whether a folder is a run directory, see `dcgan_tf/run/run_directory.py`."""
    return (folder / "config.json").is_file() and (folder / "checkpoints").is_dir()


def pick_images(
    source: Path,
    found: Found,
    open_file: Callable[[str], BinaryIO],
    reading: int,
    peek: Callable[[str], BinaryIO] | None = None,
) -> Files:
    """The images among files, including those in array files.

    Raises:
        UserError: there are none, or arrays that are not images.
    """

    def is_shown(name: str) -> bool:
        return not any(is_hidden(part, reading) for part in name.split("/"))

    names = sorted(filter(is_shown, found.names))
    kinds: dict[str | None, list[str]] = collections.defaultdict(list)
    for name in names:
        kinds[kind_of(name, peek or open_file, reading)].append(name)
    images, arrays, left_out = kinds["image"], kinds["array"], kinds["left out"]
    if arrays and peek:  # arrays are memory-mapped, which a .zip does not allow
        left_out, arrays = sorted(left_out + arrays), []
    files = Files(
        source, images, open_file, peek or open_file, reading, tuple(left_out), tuple(found.links)
    )
    if not arrays:
        if not images:
            raise_no_images(source, names, reading)
        return files
    folder = source if source.is_dir() else source.parent
    stacks = ArrayImages(source, {name: folder / name for name in arrays})

    def open_image(name: str) -> BinaryIO:
        return stacks.open(name) if name in stacks.places else open_file(name)

    return files._replace(
        names=sorted([*images, *stacks.places]),
        open=open_image,
        peek=open_image,
        notes=tuple(stacks.notes),
    )


def kind_of(name: str, open_file: Callable[[str], BinaryIO], reading: int) -> str | None:
    """Whether a file is an "image", an "array", a picture that is "left out", or none (None)."""
    kind = extension(name)
    if name.lower().endswith(READINGS[reading].extensions):
        return "image"
    if kind in ARRAYS and reading > 1:
        return "array"
    if kind in PACKED or kind in ARRAYS or kind in READINGS[NEWEST].extensions:
        return "left out"
    if kind in OTHERS:
        return None
    head = b""
    # A broken link, a pipe or a damaged member is not a picture.
    with contextlib.suppress(Exception), open_file(name) as file:
        head = file.read(HEAD)
    if kind in UNREAD:  # some programs save JPEGs under these extensions
        return "image" if is_picture(head) and reading > 1 else "left out"
    if not (is_picture(head) or head.startswith(TIFF)):
        return None
    return "left out" if kind or reading == 1 else "image"


def raise_no_images(source: Path, names: Sequence[str], reading: int) -> NoReturn:
    """Reports what a source without images contains.

    Raises:
        UserError: always.
    """
    kinds = sorted({extension(name) or "no suffix" for name in names})
    shown = ", ".join([*map(readable, kinds[:5]), *["…"] * (len(kinds) > 5)])
    found = f"{len(names):,} file{'s' * (len(names) > 1)}: {shown}" if names else "no files"
    if ".tfrecord" in kinds:
        found += "; for TFRecords, add `dataset=tfrecords`"
    elif any(kind in PACKED for kind in kinds):
        found += "; unpack the archives"
    elif {".heic", ".heif"} & {*kinds}:
        found += "; convert them to PNG or JPEG"
    wanted = READINGS[reading].wanted
    raise UserError(f"`data_dir` {source} has no images ({wanted}); it has {found}")
