"""Files and folders that are written atomically, with errors that say why one was not."""

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

PART = ".part"  # the suffix of an incomplete folder
CANNOT_FLUSH = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)  # some file systems raise it for folders


def open_no_link(path: str, flags: int) -> int:
    """Like `os.open`, but refuses a link, which another user may have planted."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def open_exclusive(path: str, flags: int) -> int:
    """Like `open_no_link`; truncates the file only if no other process is writing it.

    Raises:
        BlockingIOError: another process is writing it.
    """
    descriptor = open_no_link(path, flags & ~os.O_TRUNC)
    # Another process may have renamed it in the meantime: then it is a finished file.
    if not lock(descriptor, None) or not has_path(descriptor, path):
        os.close(descriptor)
        raise BlockingIOError(errno.EAGAIN, "another process is writing it")
    os.truncate(descriptor, 0)
    return descriptor


def has_path(descriptor: int, path: str) -> bool:
    """Whether an open file still has this path."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Opens a file that gets its name only when it is complete and on the disk.

    Raises:
        OSError: it can't be written; the error names the file.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with open(part, "wb", opener=open_exclusive) as file:
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
    """Checks that a file can be written, before the work on its content.

    Args:
        path: the file.
        flag: the flag or argument that names it.

    Raises:
        UserError: its folder is missing, or it is a folder itself.
    """
    if not path.parent.is_dir():
        raise UserError(f"{flag} {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise UserError(f"{flag} {path} is a folder: use a file")


@contextlib.contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder to fill, whose files move to `folder`, new or empty, when it is complete.

    A new folder is renamed into place; files for an existing one are moved one by one. What a
    killed process left behind is deleted by the next.

    Raises:
        UserError: another process is filling it.
        OSError: it can't be written, or is not empty; the error names the folder.
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
                with contextlib.suppress(OSError):  # other processes have put files into it
                    for parent in made[1:]:
                        parent.rmdir()
                raise
    except OSError as error:
        raise OSError(error.errno, first_line(error), str(folder)) from error


def is_free(folder: Path) -> bool:
    """Whether a folder is new or empty, apart from what a killed process left in it."""
    return not folder.exists() or (
        folder.is_dir() and all(path.name == PART for path in folder.iterdir())
    )


@contextlib.contextmanager
def locked_folder(folder: Path, name: Path | None = None) -> Iterator[None]:
    """Keeps other processes from filling a folder at the same time.

    Args:
        folder: the folder.
        name: the folder to name in the error, if different.

    Raises:
        UserError: another process is filling it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not lock(descriptor, name or folder):
            raise UserError(
                f"another process is writing to {name or folder}: wait for it to finish, or use "
                f"another folder"
            )
        yield
    finally:
        os.close(descriptor)


def flush(path: Path) -> None:
    """Flushes the bytes of a file, or the names in a folder, to the disk (`fsync`).

    Raises:
        OSError: they could not be written.
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
    """Creates a folder and its parents if missing, and flushes their names to the disk.

    Returns:
        The folders that were created, innermost first.

    Raises:
        OSError: they can't be created.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        flush(folder.parent)
    return missing


@contextlib.contextmanager
def disk_errors(what: str, path: Path) -> Iterator[None]:
    """Turns TensorFlow's errors in writing into `OSError`.

    Args:
        what: a name for what is written.
        path: the file or folder to name in the error.

    Raises:
        OSError: in place of TensorFlow's error.
    """
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        code, reason = errno.EIO, first_line(error)
        for known, text in ((errno.ENOSPC, "No space left"), (errno.EDQUOT, "Disk quota exceeded")):
            if text in error.message:
                code, reason = known, os.strerror(known)
        raise OSError(code, f"{what} not written ({reason})", str(path)) from error
