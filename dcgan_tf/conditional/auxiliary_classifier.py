"""The losses of a GAN whose discriminator also classifies images.

Odena et al., 2017, Conditional Image Synthesis with Auxiliary Classifier GANs (AC-GAN). Here, the
discriminator learns from real images only, so it doesn't learn the generator's mistakes.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

Loss = Callable[..., tf.Tensor]


def with_auxiliary_classifier(
    discriminator_loss: Loss, generator_loss: Loss, weight: float
) -> tuple[Loss, Loss]:
    """Adds the cross-entropy of the discriminator's classifier to both losses.

    Args:
        discriminator_loss, generator_loss: functions of logits, float32 [batch, 1].
        weight: the weight of the term in the generator's loss.

    Returns:
        Both losses as functions of logits followed by the log-likelihood of the label, float32
        [batch, 2].
    """

    def discriminator(real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
        return discriminator_loss(real[:, :1], fake[:, :1]) - tf.reduce_mean(real[:, 1])

    def generator(real: tf.Tensor | None, fake: tf.Tensor) -> tf.Tensor:
        real_logits = None if real is None else real[:, :1]
        return generator_loss(real_logits, fake[:, :1]) - weight * tf.reduce_mean(fake[:, 1])

    return discriminator, generator
