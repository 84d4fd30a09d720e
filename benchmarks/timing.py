"""Timing two things in alternation, which holds on a machine whose speed drifts."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.run_directory import device_name


def alternate(first: Callable, second: Callable, rounds: int) -> np.ndarray:
    """Calls two functions in turn, after one call each that is not counted.

    The order changes from round to round, so that neither always follows the other.

    Returns:
        float64 [rounds, 2]: the seconds of each.
    """
    functions = (first, second)
    for function in functions:
        function()
    seconds = np.empty((rounds, 2))
    for i in range(rounds):
        for which in (0, 1) if i % 2 else (1, 0):
            start = time.perf_counter()
            functions[which]()
            seconds[i, which] = time.perf_counter() - start
    return seconds


def spread(values: np.ndarray) -> str:
    """The median of some values, and their quartiles."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"{middle:.3f} ({low:.3f}–{high:.3f})"


def print_setup() -> None:
    """Prints what the figures were measured with."""
    print(
        f"{device_name()}, {os.cpu_count()} cores, {platform.machine()}; "
        f"Python {platform.python_version()}, TensorFlow {tf.__version__}, "
        f"Keras {keras.__version__}"
    )
