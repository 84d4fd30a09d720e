"""File locks between processes."""

from __future__ import annotations

import errno
import fcntl
import logging
from pathlib import Path
from typing import IO

CANNOT_LOCK = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)  # some network file systems raise it

logger = logging.getLogger(__name__)


def lock(file: IO | int, name: Path | None, wait: bool = False) -> bool:
    """Locks an open file or folder until it is closed.

    On a file system without locks, it counts as locked.

    Args:
        file: the file, or a descriptor.
        name: its name in the warning that there are no locks; None for no warning.
        wait: whether to wait until another process releases it.

    Returns:
        False if another process has locked it, else True.
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
                "%s can't be locked on its file system: make sure that no other process uses it",
                name,
            )
    return True
