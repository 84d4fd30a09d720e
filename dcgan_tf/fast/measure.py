"""Settings that are left to the device: what is faster is measured once, and kept with the run."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from dcgan_tf.config import Config
from dcgan_tf.distributed.cluster import broadcast
from dcgan_tf.fast.subpixel import transpose
from dcgan_tf.run_directory import RunDirectory

PAYS = 1.15
TRIES = 3
CONVOLVED = 64
FEW = 16


def resolve_auto(config: Config, run: RunDirectory) -> Config:
    """Puts a value in the place of each "auto", and says which: the run's own, or what is faster.

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
        ratio = broadcast(trial())
        settled[name] = other if ratio > PAYS else usual
        print(f"{name:<14} {settled[name]} ({other} ran at {ratio:.1f}× the speed of {usual} here)")
    return dataclasses.replace(config, **settled)


def speed_of_bfloat16() -> float:
    """The speed of a convolution and its gradients in bfloat16, in units of that in float32.

    It is the tutorial's second convolution, for FEW images: where bfloat16 is emulated, products
    are about as fast as in float32, and gradients take twenty times as long.
    """
    images = tf.random.stateless_normal([FEW, 14, 14, 64], [0, 0])
    kernel = tf.random.stateless_normal([5, 5, 64, 128], [0, 1])

    def both_ways(dtype: tf.DType) -> Callable[[], tf.Tensor]:
        inputs = [tf.cast(images, dtype), tf.cast(kernel, dtype)]

        @tf.function
        def gradients() -> tf.Tensor:
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                outputs = tf.nn.conv2d(*inputs, 2, "SAME")
            return tf.add_n(
                [tf.reduce_sum(each) for each in tape.gradient(outputs, inputs, outputs)]
            )

        return gradients

    return ratio(both_ways(tf.float32), both_ways(tf.bfloat16))


def speed_of_subpixel() -> float:
    """The speed of a sub-pixel convolution, in units of TensorFlow's own kernel.

    It is that of the tutorial's second convolution's gradient with respect to its inputs, for
    CONVOLVED images.
    """
    upstream = tf.random.stateless_normal([CONVOLVED, 7, 7, 128], [0, 0])
    kernel = tf.random.stateless_normal([5, 5, 64, 128], [0, 1])
    own = tf.function(lambda: tf.nn.conv2d_transpose(upstream, kernel, [CONVOLVED, 14, 14, 64], 2))
    return ratio(own, tf.function(lambda: transpose(upstream, kernel, 2)))


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
