"""Splits a training step over replicas.

Each of N replicas takes its part of every batch, of the noise and of the step's other random
numbers. The optimizers average the gradients. Together, the replicas compute what one would compute
from the entire batch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf


def replica_slice(draw: Callable[[list[int]], tf.Tensor], shape: list[int]) -> tf.Tensor:
    """This replica's part of random numbers that are drawn for all replicas.

    Args:
        draw: returns random numbers of a shape, the same on every replica.
        shape: the shape of one replica's part.
    """
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    if replicas == 1:
        return draw(shape)
    drawn = draw([replicas * shape[0], *shape[1:]])
    return tf.reshape(drawn, [replicas, *shape])[context.replica_id_in_sync_group]


def on_all_replicas(step: Callable[[tf.Tensor], Any]) -> Callable[[Any], Any]:
    """Makes every replica take a training step with its part of the batch.

    Args:
        step: one replica's step, from its images to a named tuple. Its first member is a named
            tuple of scalars; the other members are per image.

    Returns:
        A function of the strategy's batches. Scalars are averaged over all replicas; the other
        members are those of this worker's replicas, concatenated.
    """
    strategy = tf.distribute.get_strategy()
    return tf.function(functools.partial(step_of_all, step, strategy), autograph=False)


def step_of_all(
    step: Callable[[tf.Tensor], Any], strategy: tf.distribute.Strategy, images: Any
) -> Any:
    """Runs a step on all replicas, see `on_all_replicas`."""

    def replica_step(images: tf.Tensor) -> Any:
        output = step(images)
        context = tf.distribute.get_replica_context()
        means = context.all_reduce("MEAN", tf.stack(output.scalars))
        return output._replace(scalars=type(output.scalars)(*tf.unstack(means)))

    output = strategy.run(replica_step, args=(images,))
    scalars = [strategy.experimental_local_results(values)[0] for values in output.scalars]
    per_image = [strategy.experimental_local_results(values) for values in output[1:]]
    return type(output)(
        type(output.scalars)(*scalars), *(tf.concat(values, 0) for values in per_image)
    )


def distribute(make: Callable[..., tf.data.Dataset]) -> Iterator[Any]:
    """The batches of this process's replicas, step by step.

    Args:
        make: returns the batches of some replicas, in turn. It is called with their indices
            `replicas`, and the number of all replicas `num_replicas`.
    """
    strategy = tf.distribute.get_strategy()

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        count = context.num_replicas_in_sync // context.num_input_pipelines
        first = context.input_pipeline_id * count
        return make(replicas=range(first, first + count), num_replicas=context.num_replicas_in_sync)

    return iter(strategy.distribute_datasets_from_function(of_worker))
