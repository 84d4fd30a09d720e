import math

import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.losses import discriminator_loss, generator_loss


def logits(*values):
    return tf.constant(values, tf.float32, shape=(len(values), 1))


def test_where_the_discriminator_cannot_tell():
    assert float(generator_loss(logits(0, 0))) == pytest.approx(math.log(2))
    assert float(discriminator_loss(logits(0, 0), logits(0, 0))) == pytest.approx(2 * math.log(2))


def test_against_numbers_worked_out_by_hand():
    # sigmoid(log 3) = 3/4, sigmoid(-log 3) = 1/4.
    third = math.log(3)
    assert float(generator_loss(logits(third, -third))) == pytest.approx(
        -(math.log(3 / 4) + math.log(1 / 4)) / 2
    )
    assert float(discriminator_loss(logits(third, 0), logits(third, -third))) == pytest.approx(
        -(math.log(3 / 4) + math.log(1 / 2)) / 2 - (math.log(1 / 4) + math.log(3 / 4)) / 2
    )


def test_gradients_are_those_of_the_non_saturating_game():
    real, fake = logits(0.5, -2), logits(1, -3)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([real, fake])
        gen, disc = generator_loss(fake), discriminator_loss(real, fake)
    sigmoid = lambda x: 1 / (1 + np.exp(-x.numpy()))  # noqa: E731
    np.testing.assert_allclose(tape.gradient(gen, fake), (sigmoid(fake) - 1) / 2, rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(disc, fake), sigmoid(fake) / 2, rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(disc, real), (sigmoid(real) - 1) / 2, rtol=1e-5)


def test_huge_logits_stay_finite():
    huge = logits(1e4, -1e4)
    assert float(discriminator_loss(huge, huge)) == pytest.approx(1e4)
