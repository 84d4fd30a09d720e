"""Settings that are left to the device: what is faster is measured once a machine, and kept.

A run's config.json says what was taken. What was measured is in `measured.json` in the user's cache
folder, so that the same command computes the same the next time: a timing varies, and a ratio near
PAYS would be above it once and below it another time. Deleting the file has all measured anew.
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

PAYS = 1.15
TRIES = 25  # the median of so many is off by a few percent beside other programs
CONVOLVED = 128
FEW = 16
CPU_INFO = Path("/proc/cpuinfo")
OF_MODEL = (
    *("vendor_id", "cpu family", "model", "model name", "stepping", "flags"),  # x86
    *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "Features"),  # Arm
)

Trial = Callable[[Config], float]

logger = logging.getLogger(__name__)


def resolve_auto(config: Config, run: RunDirectory) -> Config:
    """Puts a value in place of each "auto", and says which: the run's own, or what is faster.

    Of several workers, the chief's decides.

    Args:
        config: as the user gave it.
        run: where it is to be trained; may not exist yet.

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
            print(f"{name:<14} {value} (as the run began)")
        return dataclasses.replace(config, **settled)
    for name in unsettled:
        usual, other, trial = TRIALS[name]
        ratio, before = measure_once(name, trial, config) if is_chief() else (0.0, False)
        ratio, before = broadcast(ratio), broadcast(before) > 0
        value = other if ratio > PAYS else usual
        where = ", measured on this processor before" if before else " here"
        print(f"{name:<14} {value} ({other} ran at {ratio:.1f}× the speed of {usual}{where})")
        settled = {name: value}
        config = dataclasses.replace(config, **settled)
    return config


def measure_once(name: str, trial: Trial, config: Config) -> tuple[float, bool]:
    """What a trial found the first time that it was made on this machine.

    Args:
        name: the trial's setting.
        trial: from a config to a ratio; it depends on no other setting than `precision`.
        config: for the trial.

    Returns:
        The ratio, and whether it was read: if not, it was measured now.
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
        logger.warning("what was measured is not kept, so that a next run measures anew: %s", error)
    return (trial(config) if ratio is None else ratio), False


def read_measured(path: Path) -> dict[str, float]:
    """The ratios that were measured before, by what was measured; none if they can't be read."""
    try:
        known = {str(key): float(ratio) for key, ratio in json.loads(path.read_text()).items()}
    except (OSError, *VALUE_ERRORS):
        return {}
    return {key: ratio for key, ratio in known.items() if ratio > 0 and math.isfinite(ratio)}


def machine() -> str:
    """What the speeds depend on: the device, the processor, TensorFlow, and whose kernels it has.

    The number at the end stands for all that the system says of the processor's model, with the
    instructions that it has.
    """
    lines = [platform.machine(), platform.processor()]
    try:
        first, *_ = CPU_INFO.read_text().split("\n\n")
        lines += [line for line in first.split("\n") if line.split("\t")[0] in OF_MODEL]
    except OSError:  # no Linux
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    software = f"TensorFlow {tf.__version__} with {cpu_kernels()}"
    model = zlib.crc32("\n".join(lines).encode())
    return f"{device_name()}, {cores} cores, {software}, {model:08x}"


def speed_of_bfloat16(_: Config) -> float:
    """The speed of a convolution and its gradients in bfloat16, in units of that in float32.

    It is the tutorial's second convolution, for FEW images: where bfloat16 is emulated, products
    are about as fast as in float32, and gradients take twenty times as long.
    """
    images = tf.random.stateless_normal([FEW, 14, 14, 64], [0, 0])
    kernel = tf.random.stateless_normal([5, 5, 64, 128], [0, 1])

    def convolve(images: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        return tf.nn.conv2d(images, kernel, 2, "SAME")

    in_bfloat16 = [tf.cast(each, tf.bfloat16) for each in (images, kernel)]
    return ratio(both_ways(convolve, images, kernel), both_ways(convolve, *in_bfloat16))


def speed_of_subpixel(config: Config) -> float:
    """The speed of a sub-pixel convolution and its gradients, in units of TensorFlow's kernels.

    It is the paper's first transposed convolution, of half as many filters, for CONVOLVED images,
    in the run's own precision: in bfloat16, the one may be faster, and in float32 the other.
    """
    shape = [CONVOLVED, 8, 8, 128]
    maps = tf.random.stateless_normal([CONVOLVED, 4, 4, 256], [0, 0])
    kernel = tf.random.stateless_normal([4, 4, 128, 256], [0, 1])
    inputs = [tf.cast(each, config.precision) for each in (maps, kernel)]
    native = both_ways(lambda maps, kernel: tf.nn.conv2d_transpose(maps, kernel, shape, 2), *inputs)
    return ratio(native, both_ways(lambda maps, kernel: transpose(maps, kernel, 2), *inputs))


def both_ways(convolution: Callable[..., tf.Tensor], *inputs: tf.Tensor) -> Callable[[], tf.Tensor]:
    """A convolution and its gradients with respect to its inputs, as one number."""

    @tf.function
    def gradients() -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = convolution(*inputs)
        return tf.add_n([tf.reduce_sum(each) for each in tape.gradient(outputs, inputs, outputs)])

    return gradients


def ratio(first: Callable[[], tf.Tensor], second: Callable[[], tf.Tensor]) -> float:
    """How many times as fast the second is as the first: the median of some tries in turn."""
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
