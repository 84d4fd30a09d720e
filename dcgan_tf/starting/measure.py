"""Measures once per machine which value of a setting with "auto" is faster.

A run's config.json has the chosen value. The measured ratios are kept in `measured.json` in
the user's cache folder. Timings vary, and a ratio near MIN_SPEEDUP could change the choice, so
without the file, the same command could compute something else next time. Delete the file to
measure again.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import os
import platform
import statistics
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from dcgan_tf.datasets.cache import default_cache_dir, locked
from dcgan_tf.distributed.cluster import broadcast, is_chief
from dcgan_tf.fast.subpixel import transpose
from dcgan_tf.files.atomic_files import atomic_write
from dcgan_tf.run.devices import cpu_kernels, device_name
from dcgan_tf.run.run_directory import VALUE_ERRORS, RunDirectory
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError

MIN_SPEEDUP = 1.15
TRIES = 25  # their median is off by a few percent if other programs run
SUBPIXEL_BATCH = 128
BFLOAT16_BATCH = 16
CPU_INFO = Path("/proc/cpuinfo")
CPU_MODEL_FIELDS = (
    *("vendor_id", "cpu family", "model", "model name", "stepping", "flags"),  # x86
    *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "Features"),  # Arm
)

Trial = Callable[[Config], float]

logger = logging.getLogger(__name__)


def resolve_auto(config: Config, run: RunDirectory) -> Config:
    """Replaces each "auto" with the run's own value or else the faster one, and prints it.

    If there are several workers, the chief's measurement counts.

    Args:
        config: the settings of the user.
        run: the run directory, which may not exist yet.

    Raises:
        UserError: the run's config.json can't be used.
    """
    unsettled = [name for name in TRIALS if getattr(config, name) == "auto"]
    if not unsettled:
        return config
    if run.config_file.exists():
        saved, _ = run.read_config()
        settled: dict[str, Any] = {name: getattr(saved, name) for name in unsettled}
        for name, value in settled.items():
            print(f"{name:<14} {value} (as when the run began)")
        return dataclasses.replace(config, **settled)
    for name in unsettled:
        usual, other, trial = TRIALS[name]
        ratio, before = measure_once(name, trial, config) if is_chief() else (0.0, False)
        ratio, before = broadcast(ratio), broadcast(before) > 0
        value = other if ratio > MIN_SPEEDUP else usual
        where = ", measured on this processor before" if before else " here"
        print(f"{name:<14} {value} ({other} ran at {ratio:.1f}× the speed of {usual}{where})")
        settled = {name: value}
        config = dataclasses.replace(config, **settled)
    return config


def measure_once(name: str, trial: Trial, config: Config) -> tuple[float, bool]:
    """The ratio that a trial gave when it first ran on this machine.

    Args:
        name: the setting that is tried.
        trial: a function from a config to a ratio. It may depend on `precision`, but on no other
            setting.
        config: the argument of the trial.

    Returns:
        The ratio, and whether it was read from the file. If not, it was measured now.
    """
    key, ratio = f"{name}, precision {config.precision}, {machine()}", None
    try:
        path = default_cache_dir() / "measured.json"
        with locked(path):
            known = read_measured(path)
            if key in known:
                return known[key], True
            ratio = trial(config)
            with atomic_write(path) as file:
                file.write((json.dumps(known | {key: ratio}, indent=2) + "\n").encode())
    except (OSError, UserError) as error:
        logger.warning(
            "the measured speeds can't be saved, so the next run will measure again: %s", error
        )
    return (trial(config) if ratio is None else ratio), False


def read_measured(path: Path) -> dict[str, float]:
    """The ratios of earlier trials by their keys; empty if they can't be read."""
    try:
        known = {str(key): float(ratio) for key, ratio in json.loads(path.read_text()).items()}
    except (OSError, *VALUE_ERRORS):
        return {}
    return {key: ratio for key, ratio in known.items() if ratio > 0 and math.isfinite(ratio)}


def machine() -> str:
    """What the speeds depend on: the device, the processor, TensorFlow and its kernels.

    The checksum at the end covers the model of the processor and its instruction sets.
    """
    lines = [platform.machine(), platform.processor()]
    try:
        first, *_ = CPU_INFO.read_text().split("\n\n")
        lines += [line for line in first.split("\n") if line.split("\t")[0] in CPU_MODEL_FIELDS]
    except OSError:  # not Linux
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    software = f"TensorFlow {tf.__version__} with {cpu_kernels()}"
    model = zlib.crc32("\n".join(lines).encode())
    return f"{device_name()}, {cores} cores, {software}, {model:08x}"


def speed_of_bfloat16(_: Config) -> float:
    """The speed of a convolution and its gradients in bfloat16, relative to float32.

    It is the tutorial's second convolution, for BFLOAT16_BATCH images. With emulated bfloat16,
    products are about as fast as in float32, but gradients take twenty times as long.
    """
    images = tf.random.stateless_normal([BFLOAT16_BATCH, 14, 14, 64], [0, 0])
    kernel = tf.random.stateless_normal([5, 5, 64, 128], [0, 1])

    def convolve(images: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return tf.nn.conv2d(images, kernel, 2, "SAME")

    in_bfloat16 = [tf.cast(each, tf.bfloat16) for each in (images, kernel)]
    return ratio(both_ways(convolve, images, kernel), both_ways(convolve, *in_bfloat16))


def speed_of_subpixel(config: Config) -> float:
    """The speed of a sub-pixel convolution and its gradients, relative to TensorFlow's kernels.

    It is the paper's first transposed convolution with half the filters, for SUBPIXEL_BATCH images,
    in the precision of the run: the faster one in bfloat16 can be the slower one in float32.
    """
    shape = [SUBPIXEL_BATCH, 8, 8, 128]
    maps = tf.random.stateless_normal([SUBPIXEL_BATCH, 4, 4, 256], [0, 0])
    kernel = tf.random.stateless_normal([4, 4, 128, 256], [0, 1])
    inputs = [tf.cast(each, config.precision) for each in (maps, kernel)]
    native = both_ways(lambda maps, kernel: tf.nn.conv2d_transpose(maps, kernel, shape, 2), *inputs)
    return ratio(native, both_ways(lambda maps, kernel: transpose(maps, kernel, 2), *inputs))


def both_ways(convolution: Callable[..., tf.Tensor], *inputs: tf.Tensor) -> Callable[[], tf.Tensor]:
    """A function that computes a convolution and the sum of its gradients."""

    @tf.function
    def gradients() -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = convolution(*inputs)
        return tf.add_n([tf.reduce_sum(each) for each in tape.gradient(outputs, inputs, outputs)])

    return gradients


def ratio(first: Callable[[], tf.Tensor], second: Callable[[], tf.Tensor]) -> float:
    """The speed of the second relative to the first: the median over alternating tries."""
    times = [(seconds(first), seconds(second)) for _ in range(1 + TRIES)]
    return statistics.median(one / other for one, other in times[1:])


def seconds(call: Callable[[], tf.Tensor]) -> float:
    began = time.perf_counter()
    call().numpy()
    return time.perf_counter() - began


TRIALS = {
    "precision": ("float32", "bfloat16", speed_of_bfloat16),
    "convolutions": ("native", "subpixel", speed_of_subpixel),
}
