"""Locks by which processes keep out of each other's way."""

from __future__ import annotations

import errno
import fcntl
import logging
from pathlib import Path
from typing import IO

CANNOT_LOCK = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)  # some network file systems say so

logger = logging.getLogger(__name__)


def lock(file: IO | int, name: Path | None, wait: bool = False) -> bool:
    """Locks an open file or folder, until it is closed, against other processes that lock it.

    On a file system that has no locks, it goes on without.

    Args:
        file: the file, or a descriptor.
        name: what a warning, where there are no locks, calls it; None for no warning.
        wait: whether to wait until another process has let it go.

    Returns:
        Whether it could be locked; false if another process has locked it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in CANNOT_LOCK:
            raise
        if name:
            logger.warning(
                "%s can't be locked on its file system: see to it that no other process uses it",
                name,
            )
    return True
