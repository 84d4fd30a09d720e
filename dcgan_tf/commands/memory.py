"""Settings of glibc's memory allocator."""

import contextlib
import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
THRESHOLD = 2**30  # bytes


def keep_freed_memory() -> None:
    """Makes glibc keep freed memory for the next step.

    By default, glibc returns every freed array of more than a few MiB to the system, and each step
    causes page faults again. Has no effect with other C libraries.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_THRESHOLD, THRESHOLD)
        library.mallopt(M_TRIM_THRESHOLD, THRESHOLD)
