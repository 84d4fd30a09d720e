"""The adversarial losses: pure functions of the discriminator's logits.

Each takes the logits of real and of generated images, float32 [batch / pack, 1], and returns a
float32 scalar. Only the relativistic generator loss uses the logits of real images. D is
sigmoid(logits). The tutorial's losses are the first two.
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
    """The mean of −t log D − (1 − t) log(1 − D) over one replica's batch.

    `keras.losses.BinaryCrossentropy` would also divide by the number of replicas, which the
    optimizer already does.
    """
    losses = keras.losses.binary_crossentropy(targets, logits, from_logits=True)
    return tf.reduce_mean(losses)


def discriminator_loss(
    real_logits: tf.Tensor, fake_logits: tf.Tensor, label_smoothing: float = 0.0
) -> tf.Tensor:
    """Cross-entropy with a target of 1 for real images and 0 for generated images.

    The mean of −log D(x) plus the mean of −log(1 − D(G(z))). It is 2 log 2 = 1.386 if the
    discriminator can't tell them apart. Label smoothing is one-sided (Salimans et al., 2016,
    section 3.4): the target of real images becomes 1 − label_smoothing.
    """
    real_targets = tf.ones_like(real_logits) * (1.0 - label_smoothing)
    real_loss = cross_entropy(real_targets, real_logits)
    fake_loss = cross_entropy(tf.zeros_like(fake_logits), fake_logits)
    return real_loss + fake_loss


def generator_loss(real_logits: tf.Tensor | None, fake_logits: tf.Tensor) -> tf.Tensor:
    """Cross-entropy with a target of 1 for generated images: the mean of −log D(G(z)).

    This is the non-saturating loss of Goodfellow et al., 2014, section 3. It is log 2 = 0.693 if
    the discriminator can't tell real from generated images.
    """
    return cross_entropy(tf.ones_like(fake_logits), fake_logits)


def minimax_generator_loss(real_logits: tf.Tensor | None, fake_logits: tf.Tensor) -> tf.Tensor:
    """The mean of log(1 − D(G(z))), Goodfellow et al., 2014, equation 1.

    Its gradient vanishes when the discriminator is confident, just when the generator needs it.
    """
    return -cross_entropy(tf.zeros_like(fake_logits), fake_logits)


def least_squares_discriminator_loss(
    real_logits: tf.Tensor, fake_logits: tf.Tensor, label_smoothing: float = 0.0
) -> tf.Tensor:
    """Half the mean squared error with a target of 1 for real images and 0 for generated images.

    Mao et al., 2017, equation 9. With label smoothing, the target of real images is
    1 − label_smoothing.
    """
    real_loss = tf.reduce_mean((real_logits - (1.0 - label_smoothing)) ** 2)
    return 0.5 * (real_loss + tf.reduce_mean(fake_logits**2))


def least_squares_generator_loss(
    real_logits: tf.Tensor | None, fake_logits: tf.Tensor
) -> tf.Tensor:
    """Half the mean squared error with a target of 1 for generated images (Mao et al., 2017)."""
    return 0.5 * tf.reduce_mean((fake_logits - 1.0) ** 2)


def hinge_discriminator_loss(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """The mean of max(0, 1 − D(x)) plus the mean of max(0, 1 + D(G(z))), with D the logits.

    Lim and Ye, 2017.
    """
    return tf.reduce_mean(tf.nn.relu(1.0 - real_logits)) + tf.reduce_mean(
        tf.nn.relu(1.0 + fake_logits)
    )


def relativistic_discriminator_loss(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """The mean of −log sigmoid(D(x) − D(G(z))) over pairs of images, with D the logits.

    Jolicoeur-Martineau, 2018; used with R1 and R2 by Huang et al., 2024 (R3GAN). It is
    log 2 = 0.693 if the discriminator can't tell them apart.
    """
    return tf.reduce_mean(tf.math.softplus(fake_logits - real_logits))


def relativistic_generator_loss(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """The mean of −log sigmoid(D(G(z)) − D(x)) over pairs of images, with D the logits."""
    return tf.reduce_mean(tf.math.softplus(real_logits - fake_logits))


def wasserstein_critic_loss(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """The mean score of generated images minus that of real images (Arjovsky et al., 2017).

    Its negative estimates the Wasserstein distance if the critic is 1-Lipschitz.
    """
    return tf.reduce_mean(fake_logits) - tf.reduce_mean(real_logits)


def score_generator_loss(real_logits: tf.Tensor | None, fake_logits: tf.Tensor) -> tf.Tensor:
    """The negative mean score of generated images, for the hinge and Wasserstein losses."""
    return -tf.reduce_mean(fake_logits)


class Losses(NamedTuple):
    """The losses of both models, functions of the logits of real and of generated images.

    Attributes:
        discriminator, generator: the losses.
        relative: whether the generator's loss depends on the logits of real images. If not, they
            may be None.
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
