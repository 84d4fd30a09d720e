"""The optimizers of both models."""

from __future__ import annotations

import keras
import tensorflow as tf

from dcgan_tf.settings.config import Config
from dcgan_tf.settings.keras_settings import compute_in


def make_optimizer(
    config: Config, learning_rate: float | None, updates: int = 1
) -> keras.optimizers.Optimizer:
    """Adam, within a `LossScaleOptimizer` for float16.

    Args:
        config: the settings.
        learning_rate: the model's own learning rate; None for the config's.
        updates: the number of updates per step.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    with compute_in("float32"):
        optimizer = keras.optimizers.Adam(
            schedule(config, learning_rate or config.learning_rate, updates),
            beta_1=config.beta_1,
            # Gradients are summed over replicas, then divided by this.
            loss_scale_factor=float(replicas) if replicas > 1 else None,
        )
        if config.precision == "float16":
            return keras.optimizers.LossScaleOptimizer(optimizer)
        return optimizer


def schedule(
    config: Config, rate: float, updates: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """A constant learning rate, or one that decays to 0 along a cosine if `decay_steps` is set."""
    if config.decay_steps is None:
        return rate
    constant = config.decay_from * updates
    # A warm-up from the rate to the same rate holds it constant before the decay.
    warm_up = {"warmup_target": rate, "warmup_steps": constant} if constant else {}
    return keras.optimizers.schedules.CosineDecay(rate, config.decay_steps * updates, **warm_up)
