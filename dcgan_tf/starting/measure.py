"""Settings that are left to the device: what is faster is measured once, and kept with the run."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from dcgan_tf.distributed.cluster import broadcast
from dcgan_tf.fast.subpixel import transpose
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.settings.config import Config

PAYS = 1.15
TRIES = 3
CONVOLVED = 128
FEW = 16


def resolve_auto(config: Config, run: RunDirectory) -> Config:
    """Puts a value in place of each "auto", and says which: the run's own, or what is faster.

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
        return dataclasses.replace(config, **{name: getattr(saved, name) for name in unsettled})
    settled: dict[str, Any] = {}
    for name in unsettled:
        usual, other, trial = TRIALS[name]
        ratio = broadcast(trial(dataclasses.replace(config, **settled)))
        settled[name] = other if ratio > PAYS else usual
        print(f"{name:<14} {settled[name]} ({other} ran at {ratio:.1f}× the speed of {usual} here)")
    return dataclasses.replace(config, **settled)


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
    """How many times as fast the second is as the first: by the best of some tries in turn."""
    times = [(seconds(first), seconds(second)) for _ in range(1 + TRIES)]
    best, other_best = (min(column) for column in zip(*times[1:]))
    return best / other_best


def seconds(call: Callable[[], tf.Tensor]) -> float:
    began = time.perf_counter()
    call().numpy()
    return time.perf_counter() - began


TRIALS = {
    "precision": ("float32", "bfloat16", speed_of_bfloat16),
    "convolutions": ("native", "subpixel", speed_of_subpixel),
}
