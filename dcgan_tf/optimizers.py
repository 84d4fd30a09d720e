"""The optimizers of both models."""

from __future__ import annotations

import keras
import tensorflow as tf

from dcgan_tf.models import compute_in
from dcgan_tf.settings.config import Config


def make_optimizer(config: Config, learning_rate: float | None) -> keras.optimizers.Optimizer:
    """Adam; in float16, within a `LossScaleOptimizer`.

    Args:
        config: the settings.
        learning_rate: the model's own, if it has one; else it is the config's.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    with compute_in("float32"):
        optimizer = keras.optimizers.Adam(
            learning_rate or config.learning_rate,
            beta_1=config.beta_1,
            # The replicas' gradients are added up, and divided by this.
            loss_scale_factor=float(replicas) if replicas > 1 else None,
        )
        if config.precision == "float16":
            return keras.optimizers.LossScaleOptimizer(optimizer)
        return optimizer
