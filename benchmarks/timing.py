"""Timing in alternation, which is robust against drifts of the machine's speed."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from dcgan_tf.commands.program import quiet_tensorflow

with quiet_tensorflow():  # other modules import this one before TensorFlow
    import keras
    import tensorflow as tf

    from dcgan_tf.run.devices import device_name

PRODUCT_SIZE = 2048


def alternate(functions: Sequence[Callable], rounds: int) -> np.ndarray:
    """Times functions in turn, after a warm-up call of each.

    The order is reversed every round, so that no function always follows the same one.

    Returns:
        Seconds, float64 [rounds, functions].
    """
    for function in functions:
        function()
    seconds = np.empty((rounds, len(functions)))
    for i in range(rounds):
        for index in list(range(len(functions)))[:: 1 if i % 2 else -1]:
            start = time.perf_counter()
            functions[index]()
            seconds[i, index] = time.perf_counter() - start
    return seconds


def forget(path: Path) -> None:
    """Drops a file from the page cache."""
    file = os.open(path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def spread(values: np.ndarray) -> str:
    """The median and quartiles of values, as text."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"{middle:.3f} ({low:.3f}–{high:.3f})"


def product_rate(dtype: tf.DType) -> float:
    """Multiply-adds per second of a matrix product, the median of ten: the machine's limit."""
    size = PRODUCT_SIZE
    matrix = tf.cast(tf.random.stateless_normal([size, size], [0, 0]), dtype)
    return size**3 / float(np.median(alternate([lambda: (matrix @ matrix).numpy()], 10)))


def setup() -> str:
    """The machine and library versions, as text."""
    return (
        f"{device_name()}, {os.cpu_count()} cores, {platform.machine()}; "
        f"Python {platform.python_version()}, TensorFlow {tf.__version__}, "
        f"Keras {keras.__version__}"
    )


def print_setup() -> None:
    """Prints the machine and library versions."""
    print(setup())
