"""The averaged generator: an exponential moving average of the weights over the steps."""

from __future__ import annotations

import keras
import tensorflow as tf


def make_average(model: keras.Sequential) -> keras.Sequential:
    """A copy of a model, with weights of its own that start at the same values."""
    average = keras.models.clone_model(model)
    average.set_weights(model.get_weights())
    return average


def update_average(
    average: keras.Sequential, model: keras.Sequential, decay: float, step: tf.Tensor
) -> None:
    """Moves every value of the average a little towards the model's.

    The decay is warmed up, (1 + step) / (10 + step) at most, so that the average does not cling
    to the first steps' weights.

    Args:
        average: what `make_average` made.
        model: the model that is trained.
        decay: in [0, 1): the share of the old average that is kept.
        step: int64, how many steps were taken before this one.
    """
    step = tf.cast(step, tf.float32)
    decay = tf.minimum(decay, (1.0 + step) / (10.0 + step))
    for mean, value in zip(average.variables, model.variables):
        mean.assign(decay * mean + (1.0 - decay) * value)
