"""Work on many files at once, by a few threads, which never run far ahead."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

WORKERS = min(8, os.cpu_count() or 1)
IN_FLIGHT = 64


T = TypeVar("T")


def in_parallel(function: Callable[[T], Any], values: list[T]) -> Iterator[Any]:
    """Results in the order of the values, never more than IN_FLIGHT ahead of their use."""
    with ThreadPoolExecutor(WORKERS) as pool:
        for start in range(0, len(values), IN_FLIGHT):
            yield from pool.map(function, values[start : start + IN_FLIGHT])
