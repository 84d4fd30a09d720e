"""Processes many files with a few threads, which never run far ahead."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

WORKERS = min(8, os.cpu_count() or 1)
IN_FLIGHT = 64
GROUP_SIZE = 4  # names per task, to amortize its overhead


def in_parallel(function: Callable[[str], Any], names: list[str]) -> Iterator[Any]:
    """Yields results in the order of the names, at most IN_FLIGHT ahead of their use."""

    def call(some: list[str]) -> list[Any]:
        return [function(name) for name in some]

    with ThreadPoolExecutor(WORKERS) as pool:
        for start in range(0, len(names), IN_FLIGHT):
            window = names[start : start + IN_FLIGHT]
            size = min(GROUP_SIZE, -(-len(window) // WORKERS))
            groups = [window[at : at + size] for at in range(0, len(window), size)]
            yield from itertools.chain.from_iterable(pool.map(call, groups))
