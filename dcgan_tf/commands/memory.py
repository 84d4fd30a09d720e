"""How this process keeps memory that it is done with."""

import contextlib
import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
MOST = 2**30


def keep_freed_memory() -> None:
    """Has glibc keep what is freed, which the next step asks for again.

    By default every array of more than a few MiB is given back to the system as soon as it is
    freed, and each step pays for all its pages again. Other C libraries are left as they are.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_THRESHOLD, MOST)
        library.mallopt(M_TRIM_THRESHOLD, MOST)
