import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.gan import Gan, separate_gradients
from dcgan_tf.settings.config import Config

MNIST = (28, 28, 1)


def make_gan(**settings):
    config = Config.from_flags({"base_filters": 4, "batch_size": 8} | settings)
    return Gan(config, MNIST, separate_gradients)


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

    real_logits, fake_logits = gan.discriminate(real, fake, brightness)
    assert np.array_equal(real_logits, np.ones([8, 1]))
    assert np.array_equal(fake_logits, np.zeros([8, 1]))


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
        gan.end_step()
        expected = decay * expected + (1 - decay) * 1.0
        assert int(gan.step) == step + 1
        np.testing.assert_allclose(mean, np.full(mean.shape, expected), rtol=1e-6)
        assert np.array_equal(gan.ema_generator.variables[1], still)
    assert np.array_equal(weight, np.ones(weight.shape))


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
