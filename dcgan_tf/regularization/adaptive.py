"""Adaptive discriminator augmentation (ADA).

Karras et al., 2020, Training Generative Adversarial Networks with Limited Data, section 3: a
discriminator that overfits to few images recognizes almost all real ones, and gets more
augmentation.
"""

from __future__ import annotations

import tensorflow as tf

from dcgan_tf.settings.choices import LOSSES
from dcgan_tf.settings.config import Config

INTERVAL = 4  # steps between changes
IMAGES = 100_000  # over which the probability can rise from 0 to 1 (500,000 in the paper)


class AdaptiveProbability(tf.Module):
    """The probability of each augmentation, adapted to the discriminator's overfitting.

    Its variables are saved in checkpoints.

    Args:
        target: the mean sign of real images' logits above which the discriminator is considered
            overconfident; a mean of 1 means that it classifies all of them as real.
        threshold: subtracted from the logits; None to subtract the logits of generated images.
        batch_size: images per batch, over all replicas.

    Attributes:
        value: the probability, a float32 variable.
        signs: the sum of the mean signs since the last change, a float32 variable.
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
        """Updates the probability from a step's logits.

        Args:
            real_logits, fake_logits: this replica's logits, float32 [batch / pack, 1].
            step: the number of steps taken before, int64.
        """
        threshold = fake_logits[:, :1] if self.threshold is None else self.threshold
        mean_sign = tf.reduce_mean(tf.sign(real_logits[:, :1] - threshold))
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
    """The adaptive probability of a run's augmentations; None without `augment_target`."""
    if config.augment_target is None:
        return None
    threshold = LOSSES[config.loss].threshold
    return AdaptiveProbability(config.augment_target, threshold, config.batch_size)
