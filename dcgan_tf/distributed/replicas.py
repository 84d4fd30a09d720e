"""What each replica does of a training step: its part of the batch and of the random numbers.

With N replicas, each takes its part of every batch, of the noise and of the other random numbers of
a step, and the optimizers take the mean of their gradients: together they do what one replica does
with the whole batch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf


def replica_slice(draw: Callable[[list[int]], tf.Tensor], shape: list[int]) -> tf.Tensor:
    """This replica's part of random numbers that are drawn for all.

    Args:
        draw: from a shape to random numbers; the same on every replica.
        shape: of one replica's numbers.
    """
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    if replicas == 1:
        return draw(shape)
    drawn = draw([replicas * shape[0], *shape[1:]])
    return tf.reshape(drawn, [replicas, *shape])[context.replica_id_in_sync_group]


def on_all_replicas(step: Callable[[tf.Tensor], Any]) -> Callable[[Any], Any]:
    """A training step that every replica takes with its part of the batch.

    Args:
        step: what one replica does, from its images to a named tuple, whose first member is a
            named tuple of scalars; the other members are per image.

    Returns:
        A function of the strategy's batches. Scalars become their means over all replicas; the rest
        are those of this worker's replicas, concatenated.
    """
    strategy = tf.distribute.get_strategy()
    return tf.function(functools.partial(step_of_all, step, strategy), autograph=False)


def step_of_all(
    step: Callable[[tf.Tensor], Any], strategy: tf.distribute.Strategy, images: Any
) -> Any:
    """What `on_all_replicas` makes of a step."""

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
    """The batches of all replicas of this process, step by step.

    Args:
        make: called with `replicas`, some replicas' numbers, and `num_replicas`, how many there are
            in all: the batches of these, in turn.
    """
    strategy = tf.distribute.get_strategy()

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        count = context.num_replicas_in_sync // context.num_input_pipelines
        first = context.input_pipeline_id * count
        return make(replicas=range(first, first + count), num_replicas=context.num_replicas_in_sync)

    return iter(strategy.distribute_datasets_from_function(of_worker))
