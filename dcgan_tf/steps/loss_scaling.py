"""Gradients in float16, scaled up so that the small ones don't become 0."""

from __future__ import annotations

import tensorflow as tf

from dcgan_tf.gan import Gan, Gradients


def scaled_gradients(
    gan: Gan,
    tape: tf.GradientTape,
    images: tuple[tf.Tensor, tf.Tensor],
    logits: tuple[tf.Tensor, tf.Tensor],
    losses: tuple[tf.Tensor, tf.Tensor],
) -> tuple[Gradients, Gradients]:
    """As `separate_gradients`, of losses times the optimizers' scales (Micikevicius et al., 2018).

    An optimizer divides the gradients by its scale again, and leaves out an update whose gradients
    are infinite.

    Args:
        gan: its optimizers are `LossScaleOptimizer`s.
    """
    scaled = []
    optimizers = gan.generator_optimizer, gan.discriminator_optimizer
    for optimizer, loss, model in zip(optimizers, losses, (gan.generator, gan.discriminator)):
        scale = tf.convert_to_tensor(optimizer.dynamic_scale)
        weights = model.trainable_variables
        scaled.append(tape.gradient(loss, weights, output_gradients=scale))
    return scaled[0], scaled[1]
