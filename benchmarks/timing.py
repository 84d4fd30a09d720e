"""Timing things in alternation, which holds on a machine whose speed drifts."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from dcgan_tf.commands.program import quiet_tensorflow

with quiet_tensorflow():  # once: whatever imports TensorFlow imports this before
    import keras
    import tensorflow as tf

    from dcgan_tf.run.devices import device_name

PRODUCT_SIZE = 2048


def alternate(functions: Sequence[Callable], rounds: int) -> np.ndarray:
    """Calls functions in turn, after one call each that is not counted.

    The order is reversed from round to round, so that none always follows the same other.

    Returns:
        float64 [rounds, functions]: the seconds of each.
    """
    for function in functions:
        function()
    seconds = np.empty((rounds, len(functions)))
    for i in range(rounds):
        for which in list(range(len(functions)))[:: 1 if i % 2 else -1]:
            start = time.perf_counter()
            functions[which]()
            seconds[i, which] = time.perf_counter() - start
    return seconds


def forget(path: Path) -> None:
    """Has the system's cache forget a file."""
    file = os.open(path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def spread(values: np.ndarray) -> str:
    """The median of some values, and their quartiles."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"{middle:.3f} ({low:.3f}–{high:.3f})"


def product_rate(dtype: tf.DType) -> float:
    """Multiply-adds a second of a matrix product, the median of ten: the machine's limit."""
    size = PRODUCT_SIZE
    matrix = tf.cast(tf.random.stateless_normal([size, size], [0, 0]), dtype)
    return size**3 / float(np.median(alternate([lambda: (matrix @ matrix).numpy()], 10)))


def setup() -> str:
    """What the figures are measured with."""
    return (
        f"{device_name()}, {os.cpu_count()} cores, {platform.machine()}; "
        f"Python {platform.python_version()}, TensorFlow {tf.__version__}, "
        f"Keras {keras.__version__}"
    )


def print_setup() -> None:
    """Prints what the figures were measured with."""
    print(setup())
