"""The probability of augmentations, as it follows a discriminator."""

import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.regularization.adaptive import IMAGES, INTERVAL, AdaptiveProbability, make_adaptive
from dcgan_tf.settings.config import Config
from tests.small import batches, dense_trainer, eagerly

CHANGE = INTERVAL * 10 / IMAGES


def logits(right, of=10):
    """Logits above 0 for so many images, below for the others."""
    return tf.constant(np.where(np.arange(of) < right, 2.0, -3.0), tf.float32, shape=[of, 1])


def test_it_rises_while_too_many_real_images_are_told_right_and_falls_while_fewer():
    """A mean sign of 0.6 is 8 right of 10; of four steps together, 31 of 40 are too few."""
    adaptive = AdaptiveProbability(0.6, 0.0, batch_size=10)
    found = []
    for step, right in enumerate([9, 7, 9, 8, *[8, 8, 8, 7], *[0] * 4, *[10] * 8]):
        adaptive.update(logits(right), logits(0), tf.constant(step, tf.int64))
        found.append(float(adaptive.value))
    expected = [0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2]
    np.testing.assert_allclose(found, CHANGE * np.array(expected), rtol=1e-5)


@pytest.mark.parametrize(
    "loss, told_right",
    [("bce", 1.0), ("hinge", 1.0), ("least_squares", -1.0), ("relativistic", 1.0)],
)
def test_what_is_told_right_depends_on_the_loss(loss, told_right):
    """Real images at 0.3, generated ones at 0.1: real by logits from 0 on, not from ½ on."""
    adaptive = make_adaptive(Config(loss=loss, augment="color", augment_target=0.6, batch_size=2))
    adaptive.update(tf.fill([2, 1], 0.3), tf.fill([2, 1], 0.1), tf.constant(0, tf.int64))
    assert float(adaptive.signs) == told_right


def test_a_step_takes_its_logits_into_account_and_its_probability(mnist):
    trainer = dense_trainer(mnist, augment="color", augment_target=0.6)
    gan, images = trainer.gan, next(batches(trainer))
    assert gan.augment(images, images)[0] is not images
    np.testing.assert_array_equal(gan.augment(images, images)[0], images)  # never, at first
    output = eagerly(trainer)(images)
    assert float(gan.adaptive.signs) == pytest.approx(np.sign(output.real_logits).mean())
    gan.adaptive.value.assign(1.0)
    always = dense_trainer(mnist, augment="color").gan
    always.step.assign(1)
    np.testing.assert_array_equal(gan.augment(images, images)[0], always.augment(images, images)[0])
