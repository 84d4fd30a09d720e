"""Compiles training steps: for one device or all replicas, one or several steps per call."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import tensorflow as tf

from dcgan_tf.data import Batch
from dcgan_tf.distributed.replicas import on_all_replicas
from dcgan_tf.train_step import StepOutput, StepScalars

# TensorFlow warns if a function is traced more than four times. Each `functools.partial` is a new
# function to it, so several trainings in one process don't trigger the warning.


def compile_step(
    step: Callable[..., StepOutput], jit_compile: bool = False
) -> Callable[[Batch], StepOutput]:
    """Compiles a step, for every replica of the strategy.

    Args:
        step: a function of images and labels; labels may be None.
        jit_compile: whether to use XLA; ignored for several replicas.
    """

    take = functools.partial(take_batch, step)
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        return on_all_replicas(take)
    return tf.function(take, jit_compile=jit_compile or None, autograph=False)


def take_batch(step: Callable[..., StepOutput], batch: Batch) -> StepOutput:
    """Calls a step on a batch."""
    images, labels = batch if isinstance(batch, tuple) else (batch, None)
    return step(images, labels)


def repeat_step(
    step: Callable[[Batch], StepOutput],
) -> Callable[[Iterator[Batch], tf.Tensor], StepOutput]:
    """Compiles several steps into one graph, without Python in between.

    Args:
        step: a step from `compile_step`.

    Returns:
        A function of a dataset's iterator and the number of steps, int scalar. It returns the
        stacked outputs of the steps, float32 [steps, …].
    """

    return tf.function(functools.partial(take_batches, step), autograph=False)


def take_batches(
    step: Callable[[Batch], StepOutput], batches: Iterator[Batch], count: tf.Tensor
) -> StepOutput:
    """Calls a step on several batches, and stacks its outputs."""
    scalars = StepScalars(*[tf.float32] * len(StepScalars._fields))
    return tf.map_fn(
        lambda _: step(next(batches)),
        tf.range(count),
        fn_output_signature=StepOutput(scalars, tf.float32, tf.float32),
        parallel_iterations=1,
    )
