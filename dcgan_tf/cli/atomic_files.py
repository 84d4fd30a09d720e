"""Files that are written whole or not at all, survive a power cut, and say why they were not."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from dcgan_tf.cli.errors import first_line

CANNOT_FLUSH = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)  # some file systems say so of folders


def open_no_link(path: str, flags: int) -> int:
    """Opens a file as `os.open`, but no link that another user may have put in its place."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Opens a file that takes its place only when it is complete and on the disk.

    Raises:
        OSError: it can't be written; the path is that of the file.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with open(part, "wb", opener=open_no_link) as file:
            yield file
        flush(part)
        os.replace(part, path)
        flush(path.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        part.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Returns when the bytes of a file, or the names in a folder, are on the disk (`fsync`).

    Raises:
        OSError: the disk did not take them.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_FLUSH:
            raise OSError(error.errno, error.strerror, str(path)) from error


def make_folders(path: Path) -> list[Path]:
    """Makes a folder and those above it, if need be, and flushes their names to the disk.

    Returns:
        Those that were not there, innermost first.

    Raises:
        OSError: they can't be made.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        flush(folder.parent)
    return missing


@contextlib.contextmanager
def disk_errors(what: str, path: Path) -> Iterator[None]:
    """Makes TensorFlow's errors, in which something could not be written, the system's.

    Args:
        what: is being written.
        path: where to.

    Raises:
        OSError: in the place of TensorFlow's error.
    """
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        full = "No space left" in error.message
        reason = "No space left on device" if full else first_line(error)
        code = errno.ENOSPC if full else errno.EIO
        raise OSError(code, f"{what} not written ({reason})", str(path)) from error
