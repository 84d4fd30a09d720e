"""The adversarial losses: pure functions of the discriminator's logits.

Each takes the logits of real and of generated images, float32 [batch / pack, 1], and returns a
float32 scalar. With D = sigmoid(logits), the tutorial's are the first two.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from dcgan_tf.settings.choices import LOSSES, resolve
from dcgan_tf.settings.config import Config


def cross_entropy(targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """The mean of −t log D − (1 − t) log(1 − D), on any number of replicas.

    `keras.losses.BinaryCrossentropy` would also divide by the number of replicas, and the optimizer
    does that already.
    """
    losses = keras.losses.binary_crossentropy(targets, logits, from_logits=True)
    return tf.reduce_mean(losses)


def discriminator_loss(
    real_logits: tf.Tensor, fake_logits: tf.Tensor, label_smoothing: float = 0.0
) -> tf.Tensor:
    """How far the discriminator is from calling real images 1 and generated ones 0.

    The mean of −log D(x) plus the mean of −log(1 − D(G(z))): 2 log 2 = 1.386 where it can't tell
    them apart. Smoothing is one-sided, as in Salimans et al., 2016, section 3.4: the target of
    real images is 1 − label_smoothing, that of generated ones stays 0.
    """
    real_targets = tf.ones_like(real_logits) * (1.0 - label_smoothing)
    real_loss = cross_entropy(real_targets, real_logits)
    fake_loss = cross_entropy(tf.zeros_like(fake_logits), fake_logits)
    return real_loss + fake_loss


def generator_loss(real_logits: tf.Tensor | None, fake_logits: tf.Tensor) -> tf.Tensor:
    """How far the generator is from having its images called 1: the mean of −log D(G(z)).

    This is the non-saturating loss of Goodfellow et al., 2014, section 3: log 2 = 0.693 where the
    discriminator can't tell.
    """
    return cross_entropy(tf.ones_like(fake_logits), fake_logits)


def minimax_generator_loss(real_logits: tf.Tensor | None, fake_logits: tf.Tensor) -> tf.Tensor:
    """The mean of log(1 − D(G(z))), Goodfellow et al., 2014, equation 1.

    Its gradient vanishes where the discriminator is sure, which is when the generator needs it.
    """
    return -cross_entropy(tf.zeros_like(fake_logits), fake_logits)


def least_squares_discriminator_loss(
    real_logits: tf.Tensor, fake_logits: tf.Tensor, label_smoothing: float = 0.0
) -> tf.Tensor:
    """Half the mean squared distances of real logits from 1 and of generated ones from 0.

    Mao et al., 2017, equation 9. Smoothing moves the target of real images to 1 − label_smoothing.
    """
    real_loss = tf.reduce_mean((real_logits - (1.0 - label_smoothing)) ** 2)
    return 0.5 * (real_loss + tf.reduce_mean(fake_logits**2))


def least_squares_generator_loss(
    real_logits: tf.Tensor | None, fake_logits: tf.Tensor
) -> tf.Tensor:
    """Half the mean squared distance of generated images' logits from 1 (Mao et al., 2017)."""
    return 0.5 * tf.reduce_mean((fake_logits - 1.0) ** 2)


def hinge_discriminator_loss(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """The mean by which real logits fall short of 1, and generated ones exceed −1.

    Lim and Ye, 2017.
    """
    return tf.reduce_mean(tf.nn.relu(1.0 - real_logits)) + tf.reduce_mean(
        tf.nn.relu(1.0 + fake_logits)
    )


def relativistic_discriminator_loss(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """How far real images are from looking more real than generated ones, pair by pair.

    The mean of −log sigmoid(D(x) − D(G(z))), log 2 where the discriminator can't tell them apart
    (Jolicoeur-Martineau, 2018; with R1 and R2 in Huang et al., 2024, R3GAN).
    """
    return tf.reduce_mean(tf.math.softplus(fake_logits - real_logits))


def relativistic_generator_loss(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """How far generated images are from looking more real than real ones, pair by pair."""
    return tf.reduce_mean(tf.math.softplus(real_logits - fake_logits))


def wasserstein_critic_loss(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """The mean score of generated images less that of real ones (Arjovsky et al., 2017).

    Its negative estimates the Wasserstein distance, as far as the critic is 1-Lipschitz.
    """
    return tf.reduce_mean(fake_logits) - tf.reduce_mean(real_logits)


def score_generator_loss(real_logits: tf.Tensor | None, fake_logits: tf.Tensor) -> tf.Tensor:
    """The negative mean score of generated images, for the hinge and the Wasserstein loss."""
    return -tf.reduce_mean(fake_logits)


class Losses(NamedTuple):
    """The losses of both models, functions of the logits of real and of generated images.

    Attributes:
        discriminator, generator: the losses.
        relative: whether the generator's depends on the logits of real images; else it may be
            given None for them.
    """

    discriminator: Callable[..., tf.Tensor]
    generator: Callable[..., tf.Tensor]
    relative: bool = False


TUTORIAL_LOSSES = Losses(discriminator_loss, generator_loss)


def make_losses(config: Config) -> Losses:
    """The losses that the config names."""
    row = LOSSES[config.loss]
    discriminator, generator = resolve(row.discriminator), resolve(row.generator)
    if config.label_smoothing:
        discriminator = functools.partial(discriminator, label_smoothing=config.label_smoothing)
    return Losses(discriminator, generator, row.relative)
