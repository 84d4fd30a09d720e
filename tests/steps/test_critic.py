import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.layers import Pack
from dcgan_tf.steps.critic import gradient_penalty
from tests.small import make_trainer, train

SEED = tf.constant([0, 0], tf.int64)


def test_penalty_of_a_critic_whose_gradient_is_known():
    """D(x) = 3·x₁ + 4·x₂ has the gradient (3, 4), of length 5, everywhere: (5 − 1)² = 16."""
    real, fake = tf.random.stateless_normal([2, 6, 2], [1, 2])

    def critic(images, training):
        return 3 * images[:, :1] + 4 * images[:, 1:]

    assert float(gradient_penalty(critic, real, fake, SEED, 2)) == pytest.approx(16)


def test_penalty_is_taken_between_real_and_fake():
    """D(x) = x²/2 has the gradient x; between 2 and 4 that is 2 + 2u with u from 0 to 1."""
    real, fake = tf.fill([4000, 1], 2.0), tf.fill([4000, 1], 4.0)
    penalty = gradient_penalty(lambda images, training: images**2 / 2, real, fake, SEED, 1)
    # The mean of (1 + 2u)² is 1 + 2 + 4/3.
    assert float(penalty) == pytest.approx(13 / 3, rel=0.05)


def test_no_penalty_for_a_critic_of_packs_that_is_1_lipschitz():
    """D(x₁, x₂) = w·(x₁, x₂) with ‖w‖ = 1 has a gradient of length 1 with respect to a pack."""
    real, fake = tf.random.stateless_normal([2, 8, 4, 4, 1], [1, 2])
    weights = tf.random.stateless_normal([32, 1], [3, 4])
    weights /= tf.norm(weights)
    pack = Pack(2)

    def critic(images, training):
        return tf.reshape(pack(images), [-1, 32]) @ weights

    penalty = gradient_penalty(critic, real, fake, SEED, 1, pack=2)
    assert float(penalty) == pytest.approx(0, abs=1e-9)


def test_a_pack_lies_at_one_point_between_real_and_generated_ones():
    """Points between packs of zeros and packs of ones: both images of a pack are the same."""
    seen = []

    def critic(images, training):
        seen.append(images)
        return tf.reshape(images, [4, -1])

    gradient_penalty(critic, tf.zeros([8, 2, 2, 1]), tf.ones([8, 2, 2, 1]), SEED, 1, pack=2)
    points = seen[0][:, 0, 0, 0].numpy()
    np.testing.assert_array_equal(points[::2], points[1::2])
    assert len(set(points)) == 4


def test_labels_are_no_part_of_the_slope_and_are_the_real_ones():
    """With a label of 1, D(x) = Σx / 2 of 2×2 pixels has a slope of 1, and any of the label."""
    pixels = tf.random.stateless_normal([2, 4, 2, 2, 1], [1, 2])
    real, fake = (
        tf.concat([each, tf.fill([4, 2, 2, 1], label)], axis=3)
        for each, label in zip(pixels, (1.0, 0.0))
    )

    def critic(images, training):
        return tf.reduce_sum(images[..., 0] * images[..., 1], axis=[1, 2]) / 2

    assert float(gradient_penalty(critic, real, fake, SEED, 1)) == pytest.approx(0, abs=1e-9)


def test_critic_takes_its_own_images_and_keeps_its_weights_clipped(mnist):
    trainer = make_trainer(mnist, batch_size=4, loss="wasserstein", discriminator_steps=2)
    gan = trainer.gan
    train(trainer, 2)
    assert trainer.steps_per_epoch == 50 // 8
    assert int(gan.discriminator_optimizer.iterations) == 4
    assert int(gan.generator_optimizer.iterations) == trainer.step == 2
    weights = np.concatenate([w.ravel() for w in gan.discriminator.get_weights()])
    assert np.abs(weights).max() == pytest.approx(0.01)
    noises = []
    for step in (0, 1):
        gan.step.assign(step)
        noises += [gan.noise(update).numpy().tobytes() for update in range(3)]
    assert len(set(noises)) == 6


def test_penalty_trains_without_clipping(mnist):
    trainer = make_trainer(mnist, loss="wasserstein", gradient_penalty=10.0, discriminator_steps=1)
    train(trainer, 1)
    assert max(np.abs(w).max() for w in trainer.gan.discriminator.get_weights()) > 0.02
