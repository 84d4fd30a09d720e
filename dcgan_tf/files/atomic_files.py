"""Files and folders that are written whole or not at all, and say why they were not."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from dcgan_tf.files.locks import lock
from dcgan_tf.settings.errors import UserError, first_line

PART = ".part"  # of a folder that is not whole yet
CANNOT_FLUSH = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)  # some file systems say so of folders


def open_no_link(path: str, flags: int) -> int:
    """Opens a file as `os.open`, but no link that another user may have put in its place."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def open_alone(path: str, flags: int) -> int:
    """Opens a file as `open_no_link`, to be emptied only if no other process is writing it.

    Raises:
        BlockingIOError: another process is writing it.
    """
    descriptor = open_no_link(path, flags & ~os.O_TRUNC)
    # The other may have given it its name by now: then what was opened is a finished file.
    if not lock(descriptor, None) or not is_still(descriptor, path):
        os.close(descriptor)
        raise BlockingIOError(errno.EAGAIN, "another process is writing it")
    os.truncate(descriptor, 0)
    return descriptor


def is_still(descriptor: int, path: str) -> bool:
    """Whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Opens a file that takes its place only when it is complete and on the disk.

    Raises:
        OSError: it can't be written; the path is that of the file.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with open(part, "wb", opener=open_alone) as file:
            try:
                yield file
                file.flush()
                flush(part)
                os.replace(part, path)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        flush(path.parent)
    except OSError as error:
        raise OSError(error.errno, first_line(error), str(path)) from error


def check_file(path: Path, flag: str) -> None:
    """Refuses a file that can't be written, before the work is done that it is for.

    Args:
        path: the file.
        flag: by which the user names it.

    Raises:
        UserError: its folder is not there, or it is a folder itself.
    """
    if not path.parent.is_dir():
        raise UserError(f"{flag} {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise UserError(f"{flag} {path} is a folder: give a file")


@contextlib.contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, whose files are in `folder`, new or empty, once it is whole.

    A new one takes its place at once; into one that is there, the files are moved. What a process
    that was killed left is deleted by the next.

    Raises:
        UserError: another process is filling it.
        OSError: it can't be written, or is not empty; the path is that of the folder.
    """
    is_new = not folder.exists()
    part = folder.with_name(f".{folder.name}{PART}") if is_new else folder / PART
    try:
        made = make_folders(part)
        with locked_folder(part, folder):
            try:
                for path in part.iterdir():
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                yield part
                if is_new:
                    part.rename(folder)
                elif not is_free(folder):
                    raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
                else:
                    for path in [*part.iterdir()]:
                        path.replace(folder / path.name)
                    part.rmdir()
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)
                with contextlib.suppress(OSError):  # another's files are in it
                    for parent in made[1:]:
                        parent.rmdir()
                raise
    except OSError as error:
        raise OSError(error.errno, first_line(error), str(folder)) from error


def is_free(folder: Path) -> bool:
    """Whether a folder is new or empty, but for what a process that was killed left in it."""
    return not folder.exists() or (
        folder.is_dir() and all(path.name == PART for path in folder.iterdir())
    )


@contextlib.contextmanager
def locked_folder(folder: Path, name: Path | None = None) -> Iterator[None]:
    """Keeps other processes from filling a folder at the same time.

    Args:
        folder: the folder.
        name: what the user calls it, if that is another.

    Raises:
        UserError: another process is filling it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not lock(descriptor, name or folder):
            raise UserError(
                f"another process is writing to {name or folder}: wait for it to end, or give "
                f"another folder"
            )
        yield
    finally:
        os.close(descriptor)


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
        OSError: in place of TensorFlow's error.
    """
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        code, reason = errno.EIO, first_line(error)
        for known, told in ((errno.ENOSPC, "No space left"), (errno.EDQUOT, "Disk quota exceeded")):
            if told in error.message:
                code, reason = known, os.strerror(known)
        raise OSError(code, f"{what} not written ({reason})", str(path)) from error
