import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from dcgan_tf import gan as gans
from dcgan_tf.distributed.step_random import StepRandom
from dcgan_tf.losses import TUTORIAL_LOSSES
from tests.small import make_config

MNIST = (28, 28, 1)


def make_gan(**settings):
    return gans.make_gan(make_config({"base_filters": 4, "batch_size": 8} | settings), MNIST)


def test_separate_and_joint_batches_differ_by_batch_norm_alone(mnist):
    """Without batch norm and dropout both give the same logits; with it, not the same."""
    real, fake = (mnist[i : i + 8, ..., np.newaxis] / np.float32(255) for i in (0, 8))
    for norm in (False, True):
        separately, jointly = (
            make_gan(preset="paper", discriminator_batch_norm=norm, discriminator_batch=batch)
            for batch in ("separate", "joint")
        )
        separate = separately.discriminate(real, fake)
        joint = jointly.discriminate(real, fake)
        same = [np.allclose(a, b, atol=1e-6) for a, b in zip(separate, joint)]
        assert same == [not norm] * 2
        alone = separately.discriminator(real, training=True)
        assert np.allclose(separate[0], alone, atol=1e-6)


@pytest.mark.parametrize("batch", ["separate", "joint"])
def test_another_discriminator_can_take_the_place_of_the_own(mnist, batch):
    gan = make_gan(discriminator_batch=batch)
    real, fake = tf.ones([8, 28, 28, 1]), tf.zeros([8, 28, 28, 1])

    def brightness(images, training):
        assert training
        return tf.reduce_mean(images, axis=[1, 2])

    real_logits, fake_logits = gan.discriminate(real, fake, discriminator=brightness)
    assert np.array_equal(real_logits, np.ones([8, 1]))
    assert np.array_equal(fake_logits, np.zeros([8, 1]))


def test_a_separate_generator_update_has_real_logits_if_its_loss_needs_them():
    """They cost a pass, and in a joint batch, generated images' logits depend on real images."""
    real, fake = tf.fill([4, 2, 2, 1], 3.0), tf.fill([4, 2, 2, 1], 5.0)
    sizes = []

    def brightness(images, training):
        sizes.append(len(images))
        return tf.reduce_mean(images, axis=[1, 2])

    for loss, joint, passes in (
        (TUTORIAL_LOSSES, False, [4]),
        (TUTORIAL_LOSSES, True, [8]),
        (TUTORIAL_LOSSES._replace(relative=True), False, [4, 4]),
    ):
        gan = gans.Gan(*foreign_parts(), losses=loss, joint_batch=joint)
        sizes.clear()
        needed = real if gan.generator_needs_real else None
        real_logits, fake_logits = gan.discriminate(needed, fake, discriminator=brightness)
        assert sizes == passes
        assert np.array_equal(fake_logits, np.full([4, 1], 5.0))
        if passes == [4]:
            assert real_logits is None
        else:
            assert np.array_equal(real_logits, np.full([4, 1], 3.0))


def foreign_parts():
    """Two models that this package knows nothing of, with all that a `Gan` needs."""
    generator = keras.Sequential([layers.Input((3,)), layers.Dense(4), layers.Reshape((2, 2, 1))])
    discriminator = keras.Sequential([layers.Input((2, 2, 1)), layers.Flatten(), layers.Dense(1)])
    optimizers = keras.optimizers.Adam(), keras.optimizers.Adam()
    return generator, discriminator, *optimizers, StepRandom(seed=0, batch_size=4, noise_dim=3)


@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_training_noise_is_a_function_of_seed_step_and_update(kind):
    def noise(seed, step, update=0):
        random = StepRandom(seed, batch_size=4, noise_dim=10, noise=kind, updates=3)
        random.step.assign(step)
        return random.noise(update).numpy()

    assert np.array_equal(noise(1, 5), noise(1, 5))
    assert not np.array_equal(noise(1, 5), noise(1, 6))
    assert not np.array_equal(noise(1, 5), noise(2, 5))
    every = [noise(1, step, update).tobytes() for step in range(4) for update in range(3)]
    assert len(set(every)) == 12


@pytest.mark.parametrize("settings", [{}, {"init_from": "other", "fade_in": 5000}])
def test_ema_follows_numbers_worked_out_by_hand(settings):
    gan = make_gan(ema_decay=0.75, **settings)
    weight, mean = gan.generator.variables[0], gan.ema_generator.variables[0]
    assert np.array_equal(weight, mean)
    weight.assign(tf.zeros_like(weight))
    mean.assign(tf.zeros_like(mean))
    weight.assign(tf.ones_like(weight))
    still = gan.generator.variables[1].numpy()
    # Step 0: the decay is warmed up to 1/10 only. Step 1: to 2/11. Step 1000: 0.75 as given.
    expected = 0.0
    for step, decay in ((0, 1 / 10), (1, 2 / 11), (1000, 0.75)):
        gan.step.assign(step)
        gan.update_ema()
        gan.step.assign_add(1)
        expected = decay * expected + (1 - decay) * 1.0
        assert int(gan.step) == step + 1
        np.testing.assert_allclose(mean, np.full(mean.shape, expected), rtol=1e-6)
        assert np.array_equal(gan.ema_generator.variables[1], still)
    assert np.array_equal(weight, np.ones(weight.shape))


def test_the_decay_is_not_warmed_up_for_weights_that_are_trained_already():
    gan = make_gan(ema_decay=0.75, init_from="other")
    weight, mean = gan.generator.variables[0], gan.ema_generator.variables[0]
    weight.assign(tf.ones_like(weight))
    mean.assign(tf.zeros_like(mean))
    gan.update_ema()
    gan.step.assign_add(1)
    np.testing.assert_allclose(mean, np.full(mean.shape, 0.25), rtol=1e-6)


def test_images_are_drawn_from_the_average_if_there_is_one():
    with_average, without = make_gan(ema_decay=0.75), make_gan()
    assert with_average.sampling_generator is with_average.ema_generator
    assert without.sampling_generator is without.generator and without.ema_generator is None


def test_same_seed_same_weights_and_another_seed_others():
    gans = [make_gan(seed=seed) for seed in (3, 3, 4)]
    for name in ("generator", "discriminator"):
        a, b, c = (getattr(gan, name).layers[0].kernel.numpy() for gan in gans)
        assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_learning_rates_of_their_own():
    gan = make_gan(learning_rate=1e-3, discriminator_learning_rate=4e-3)
    assert float(gan.generator_optimizer.learning_rate) == pytest.approx(1e-3)
    assert float(gan.discriminator_optimizer.learning_rate) == pytest.approx(4e-3)


def test_making_a_gan_leaves_the_users_random_states_alone():
    """And its weights are the same whatever these are."""

    def drawn():
        return random.random(), np.random.rand(), float(tf.random.uniform([]))

    weights, draws = [], []
    for seed, make in ((5, None), (5, make_gan), (6, make_gan)):
        random.seed(seed)
        np.random.seed(seed)
        tf.random.set_seed(seed)
        weights.append(make().generator.get_weights() if make else None)
        draws.append(drawn())
    assert draws[0] == draws[1] != draws[2]
    for ours, theirs in zip(weights[1], weights[2], strict=True):
        np.testing.assert_array_equal(ours, theirs)
