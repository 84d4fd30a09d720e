"""Steps as graphs: on one device or on all replicas, one by one or several at once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import tensorflow as tf

from dcgan_tf.data import Batch
from dcgan_tf.distributed.replicas import on_all_replicas
from dcgan_tf.train_step import StepOutput, StepScalars

# TensorFlow counts how often the code of a function is traced, and warns of more than four times: a
# `functools.partial` is an object of its own, so that each training in a process counts anew.


def compile_step(
    step: Callable[..., StepOutput], jit_compile: bool = False
) -> Callable[[Batch], StepOutput]:
    """A step as a graph, on every replica of the strategy.

    Args:
        step: a function of images, and of labels where there are any.
        jit_compile: whether XLA compiles it, on one device.
    """

    take = functools.partial(take_batch, step)
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        return on_all_replicas(take)
    return tf.function(take, jit_compile=jit_compile or None, autograph=False)


def take_batch(step: Callable[..., StepOutput], batch: Batch) -> StepOutput:
    """What a step returns for a batch."""
    images, labels = batch if isinstance(batch, tuple) else (batch, None)
    return step(images, labels)


def repeat_step(
    step: Callable[[Batch], StepOutput],
) -> Callable[[Iterator[Batch], tf.Tensor], StepOutput]:
    """Several steps as one graph, without Python in between.

    Args:
        step: what `compile_step` returned.

    Returns:
        A function of an iterator of a dataset, and the number of steps, int scalar; it returns what
        the steps do, stacked: float32 [steps, …].
    """

    return tf.function(functools.partial(take_batches, step), autograph=False)


def take_batches(
    step: Callable[[Batch], StepOutput], batches: Iterator[Batch], count: tf.Tensor
) -> StepOutput:
    """What a step returns for several batches, stacked."""
    scalars = StepScalars(*[tf.float32] * len(StepScalars._fields))
    return tf.map_fn(
        lambda _: step(next(batches)),
        tf.range(count),
        fn_output_signature=StepOutput(scalars, tf.float32, tf.float32),
        parallel_iterations=1,
    )
