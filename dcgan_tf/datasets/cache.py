"""The cache folder, and locks that make processes take turns filling it."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dcgan_tf.files.atomic_files import open_no_link
from dcgan_tf.files.locks import lock
from dcgan_tf.settings.errors import UserError


def default_cache_dir() -> Path:
    """The user's cache folder, or one in the temporary folder if it isn't writable.

    Raises:
        UserError: the folder in the temporary folder is not the user's alone.
    """
    with contextlib.suppress(OSError, RuntimeError):
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dcgan_tf"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    folder = Path(tempfile.gettempdir()) / f"dcgan_tf-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    is_private = stat.S_ISDIR(found.st_mode) and not found.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    if not is_private or found.st_uid != os.getuid():
        raise UserError(
            f"{folder} can't be used as a cache, because it is not a folder that only you can "
            f"access: delete it, or set the environment variable XDG_CACHE_HOME to another folder"
        )
    return folder


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Makes processes that need the same file take turns: one writes it, the others read it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "a", opener=open_no_link) as file:
        if not lock(file, path):
            print(f"waiting for another process that is writing {path}", flush=True)
            lock(file, path, wait=True)
        yield
