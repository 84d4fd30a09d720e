"""Augmentation as strong as the discriminator is overconfident (ADA).

Karras et al., 2020, Training Generative Adversarial Networks with Limited Data, section 3: a
discriminator that learns its few images by heart tells real ones right almost always.
"""

from __future__ import annotations

import tensorflow as tf

from dcgan_tf.settings.choices import LOSSES
from dcgan_tf.settings.config import Config

INTERVAL = 4  # in steps, between two changes
IMAGES = 100_000  # that take the probability from 0 to 1 (500,000 in the paper)


class AdaptiveProbability(tf.Module):
    """How often each augmentation is made of an image: follows the discriminator.

    A checkpoint holds its variables.

    Args:
        target: the mean sign of real images' logits, 1 where each is taken for real, up to which
            the discriminator is not overconfident.
        threshold: of the logits' signs; None to compare them with those of generated images.
        batch_size: images in a batch, of all replicas together.

    Attributes:
        value: the probability, a float32 variable.
        signs: the sum of the mean signs of the steps since the last change, a float32 variable.
    """

    def __init__(self, target: float, threshold: float | None, batch_size: int) -> None:
        super().__init__()
        self.target = target
        self.threshold = threshold
        self.change = INTERVAL * batch_size / IMAGES
        self.value, self.signs = (
            tf.Variable(0.0, trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)
            for _ in range(2)
        )

    def update(self, real_logits: tf.Tensor, fake_logits: tf.Tensor, step: tf.Tensor) -> None:
        """Takes a step's logits into account.

        Args:
            real_logits, fake_logits: of this replica, float32 [batch / pack, 1].
            step: int64, the number of steps taken before.
        """
        wrong_up_to = fake_logits if self.threshold is None else self.threshold
        mean_sign = tf.reduce_mean(tf.sign(real_logits - wrong_up_to))
        context = tf.distribute.get_replica_context()
        if context.num_replicas_in_sync > 1:
            mean_sign = context.all_reduce("MEAN", mean_sign)
        signs = self.signs + mean_sign
        is_due = (step + 1) % INTERVAL == 0
        change = self.change * tf.sign(signs / INTERVAL - self.target)
        changed = tf.clip_by_value(self.value + change, 0.0, 1.0)
        self.value.assign(tf.where(is_due, changed, self.value))
        self.signs.assign(tf.where(is_due, 0.0, signs))


def make_adaptive(config: Config) -> AdaptiveProbability | None:
    """What adapts the probability of a run's augmentations, if the config asks for it."""
    if config.augment_target is None:
        return None
    threshold = LOSSES[config.loss].threshold
    return AdaptiveProbability(config.augment_target, threshold, config.batch_size)
