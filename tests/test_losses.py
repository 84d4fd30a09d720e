import math

import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf import losses
from dcgan_tf.conditional.auxiliary_classifier import with_auxiliary_classifier
from dcgan_tf.losses import discriminator_loss, generator_loss
from dcgan_tf.settings.choices import LOSSES
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError


def logits(*values):
    return tf.constant(values, tf.float32, shape=(len(values), 1))


def test_losses_if_the_discriminator_cannot_tell():
    assert float(generator_loss(None, logits(0, 0))) == pytest.approx(math.log(2))
    assert float(discriminator_loss(logits(0, 0), logits(0, 0))) == pytest.approx(2 * math.log(2))


def test_against_numbers_worked_out_by_hand():
    # sigmoid(log 3) = 3/4, sigmoid(-log 3) = 1/4.
    third = math.log(3)
    assert float(generator_loss(None, logits(third, -third))) == pytest.approx(
        -(math.log(3 / 4) + math.log(1 / 4)) / 2
    )
    assert float(discriminator_loss(logits(third, 0), logits(third, -third))) == pytest.approx(
        -(math.log(3 / 4) + math.log(1 / 2)) / 2 - (math.log(1 / 4) + math.log(3 / 4)) / 2
    )


def test_gradients_are_those_of_the_non_saturating_game():
    real, fake = logits(0.5, -2), logits(1, -3)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([real, fake])
        gen, disc = generator_loss(None, fake), discriminator_loss(real, fake)
    sigmoid = lambda x: 1 / (1 + np.exp(-x.numpy()))  # noqa: E731
    np.testing.assert_allclose(tape.gradient(gen, fake), (sigmoid(fake) - 1) / 2, rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(disc, fake), sigmoid(fake) / 2, rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(disc, real), (sigmoid(real) - 1) / 2, rtol=1e-5)


def test_huge_logits_stay_finite():
    huge = logits(1e4, -1e4)
    assert float(discriminator_loss(huge, huge)) == pytest.approx(1e4)


def test_label_smoothing_is_one_sided():
    # Target 0.9 at D(x) = 3/4; generated images keep the target 0 at D(G(z)) = 1/4.
    third = math.log(3)
    assert float(discriminator_loss(logits(third), logits(-third), 0.1)) == pytest.approx(
        -(0.9 * math.log(3 / 4) + 0.1 * math.log(1 / 4)) - math.log(3 / 4)
    )
    loss = losses.least_squares_discriminator_loss(logits(3), logits(2), 0.1)
    assert float(loss) == pytest.approx((2.1**2 + 2**2) / 2)


def test_auxiliary_classifier_adds_its_cross_entropy():
    """Real images have their labels' log-likelihoods of −1 and −3, generated ones of −2 and −6."""
    third = math.log(3)
    real, fake = logits(third, 0), logits(third, -third)
    both = with_auxiliary_classifier(discriminator_loss, generator_loss, 0.25)
    real_pairs, fake_pairs = (
        tf.concat([each, logits(*values)], axis=1)
        for each, values in ((real, (-1, -3)), (fake, (-2, -6)))
    )
    disc, gen = both[0](real_pairs, fake_pairs), both[1](None, fake_pairs)
    assert float(disc) == pytest.approx(float(discriminator_loss(real, fake)) + (1 + 3) / 2)
    assert float(gen) == pytest.approx(float(generator_loss(None, fake)) + 0.25 * (2 + 6) / 2)
    relativistic = losses.make_losses(Config(loss="relativistic"))
    _, relative = with_auxiliary_classifier(*relativistic[:2], 0.25)
    # softplus(real − fake) of 0 and log 3: log 2 and log 4.
    assert float(relative(real_pairs, fake_pairs)) == pytest.approx(
        (math.log(2) + math.log(4)) / 2 + 0.25 * 4
    )


def test_minimax_saturates_and_the_usual_loss_does_not():
    third = math.log(3)
    assert float(losses.minimax_generator_loss(None, logits(third, -third))) == pytest.approx(
        (math.log(1 / 4) + math.log(3 / 4)) / 2
    )
    sure = logits(-10)  # D(G(z)) = 1 / (1 + e^10) = 4.54e-5
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(sure)
        minimax, usual = losses.minimax_generator_loss(None, sure), generator_loss(None, sure)
    assert float(tape.gradient(minimax, sure)[0, 0]) == pytest.approx(-4.54e-5, rel=1e-3)
    assert float(tape.gradient(usual, sure)[0, 0]) == pytest.approx(-1, rel=1e-3)


@pytest.mark.parametrize(
    "name, disc_loss, gen_loss",
    [
        # Real logits 3 and 0, generated 0.5 and -2.
        ("least_squares", ((4 + 1) / 2 + (0.25 + 4) / 2) / 2, (0.25 + 9) / 2 / 2),
        ("hinge", (0 + 1) / 2 + (1.5 + 0) / 2, 0.75),
        ("wasserstein", -0.75 - 1.5, 0.75),
    ],
)
def test_other_losses_against_numbers_worked_out_by_hand(name, disc_loss, gen_loss):
    discriminator, generator, relative = losses.make_losses(config_of(name))
    real, fake = logits(3, 0), logits(0.5, -2)
    assert float(discriminator(real, fake)) == pytest.approx(disc_loss)
    assert float(generator(None, fake)) == pytest.approx(gen_loss) and not relative


def test_a_relative_loss_by_hand():
    """Real logits of 0 and log 3, generated ones of 0: log(1 + 1) and log(1 + 3^∓1)."""
    real, fake = logits(0, math.log(3)), logits(0, 0)
    discriminator, generator, relative = losses.make_losses(config_of("relativistic"))
    assert relative
    expected = (math.log(2) + math.log(4 / 3)) / 2, (math.log(2) + math.log(4)) / 2
    assert float(discriminator(real, fake)) == pytest.approx(expected[0])
    assert float(generator(real, fake)) == pytest.approx(expected[1])


def config_of(loss, **settings):
    """A config with this loss, and what it needs."""
    return Config.from_flags({"loss": loss} | settings)


@pytest.mark.parametrize("name", LOSSES)
def test_a_row_of_every_loss_is_true_of_its_functions(name):
    """Whether it takes smoothing, and whether the generator's loss depends on real logits."""
    row = LOSSES[name]
    real, other, fake = logits(3, -1), logits(-2, 0.5), logits(0.5, -2)
    discriminator, generator, relative = losses.make_losses(config_of(name))
    assert relative == row.relative
    if not relative:
        assert float(generator(real, fake)) == float(generator(other, fake))
        assert float(generator(None, fake)) == float(generator(other, fake))
    if row.smoothable:
        smoothed, _, _ = losses.make_losses(config_of(name, label_smoothing=0.1))
        assert float(smoothed(real, fake)) != float(discriminator(real, fake))
    else:
        with pytest.raises(UserError, match=f"`loss={name}` has no target"):
            config_of(name, label_smoothing=0.1)
    for loss in (discriminator(real, fake), generator(real, fake)):
        assert loss.shape == () and loss.dtype == tf.float32
    assert not losses.TUTORIAL_LOSSES.relative


def test_a_config_names_its_losses_and_their_smoothing():
    real, fake = logits(3), logits(2)
    for smoothing in (0.0, 0.1):
        config = Config(loss="least_squares", label_smoothing=smoothing)
        discriminator, generator, _ = losses.make_losses(config)
        expected = ((3 - 1 + smoothing) ** 2 + 2**2) / 2
        assert float(discriminator(real, fake)) == pytest.approx(expected)
        assert float(generator(None, fake)) == pytest.approx((2 - 1) ** 2 / 2)
