"""The adversarial objectives: pure functions of the discriminator's logits."""

import keras
import tensorflow as tf

cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)


def discriminator_loss(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """How far the discriminator is from calling real images 1 and generated ones 0.

    The mean of −log D(x) plus the mean of −log(1 − D(G(z))), with D = sigmoid(logits).

    Args:
        real_logits: float32 [batch, 1], the discriminator's output on real images.
        fake_logits: float32 [batch, 1], the same on generated images.

    Returns:
        A float32 scalar, 0 or more; 2 log 2 = 1.386 where it can't tell them apart.
    """
    real_loss = cross_entropy(tf.ones_like(real_logits), real_logits)
    fake_loss = cross_entropy(tf.zeros_like(fake_logits), fake_logits)
    return real_loss + fake_loss


def generator_loss(fake_logits: tf.Tensor) -> tf.Tensor:
    """How far the generator is from having its images called 1: the mean of −log D(G(z)).

    This is the non-saturating loss of Goodfellow et al., 2014, section 3.

    Args:
        fake_logits: float32 [batch, 1], the discriminator's output on generated images.

    Returns:
        A float32 scalar, 0 or more; log 2 = 0.693 where the discriminator can't tell.
    """
    return cross_entropy(tf.ones_like(fake_logits), fake_logits)
