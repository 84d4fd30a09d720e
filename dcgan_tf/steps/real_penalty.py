"""A penalty on the discriminator's slope at real images, R1 (Mescheder et al., 2018)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from dcgan_tf.gan import Gan, Gradients

INTERVAL = 8  # steps; see `with_real_penalty`


def with_real_penalty(
    backward: Callable[..., tuple[Gradients, Gradients]], factor: float
) -> Callable[..., tuple[Gradients, Gradients]]:
    """Adds the gradient of the penalty, times a factor, to the discriminator's.

    It is added in every `INTERVAL`-th step, and is `INTERVAL` times as large there: that costs
    little, and trains as well (Karras et al., 2020, section 3.1, "lazy regularization").

    Args:
        backward: as `gan.separate_gradients`.
        factor: γ in the paper.
    """

    def gradients(
        gan: Gan, tape: tf.GradientTape, images: tuple[tf.Tensor, tf.Tensor], *outcome: Any
    ) -> tuple[Gradients, Gradients]:
        gen_gradients, disc_gradients = backward(gan, tape, images, *outcome)
        weights = gan.discriminator.trainable_variables

        def penalized() -> Gradients:
            real, _ = gan.seen(*images)
            channels = images[1].shape[-1]
            with tf.GradientTape() as penalty_tape:
                penalty = real_penalty(gan.discriminator, real, channels, gan.config.pack)
                loss = INTERVAL * factor * penalty
            # A bias behind the last activation moves no slope, and has no gradient.
            pairs = zip(disc_gradients, penalty_tape.gradient(loss, weights))
            return [gradient if more is None else gradient + more for gradient, more in pairs]

        is_due = gan.step % INTERVAL == 0
        return gen_gradients, tf.cond(is_due, penalized, lambda: list(disc_gradients))

    return gradients


def real_penalty(
    discriminator: Callable, real: tf.Tensor, channels: int, pack: int = 1
) -> tf.Tensor:
    """Half the mean of ‖∇D‖² at real images, equation 9 of the paper without its factor γ.

    Args:
        discriminator: called with images and `training=True`.
        real: float32 [batch, H, W, C].
        channels: how many of them the gradient is with respect to; labels come after these.
        pack: how many images the discriminator sees at once; the gradient is with respect to all.
    """
    with tf.GradientTape() as tape:
        tape.watch(real)
        logits = discriminator(real, training=True)
    slopes = tape.gradient(logits, real)[..., :channels]
    return 0.5 * tf.reduce_sum(slopes**2) * pack / real.shape[0]
