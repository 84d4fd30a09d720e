import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.config import Config
from dcgan_tf.data import make_batches
from dcgan_tf.layers import Pack
from dcgan_tf.steps.critic import gradient_penalty
from dcgan_tf.training import Trainer

SEED = tf.constant([0, 0], tf.int64)


def test_no_penalty_for_a_critic_of_packs_that_is_1_lipschitz():
    """D(x₁, x₂) = w·(x₁, x₂) with ‖w‖ = 1 has a gradient of length 1 with respect to a pack."""
    real, fake = tf.random.stateless_normal([2, 8, 4, 4, 1], [1, 2])
    weights = tf.random.stateless_normal([32, 1], [3, 4])
    weights /= tf.norm(weights)
    pack = Pack(2)

    def critic(images, training):
        return tf.reshape(pack(images), [-1, 32]) @ weights

    assert float(gradient_penalty(critic, real, fake, SEED, pack=2)) == pytest.approx(0, abs=1e-9)


def test_a_pack_lies_at_one_point_between_real_and_generated_ones():
    """Points between packs of zeros and packs of ones: both images of a pack are the same."""
    seen = []

    def critic(images, training):
        seen.append(images)
        return tf.reshape(images, [4, -1])

    gradient_penalty(critic, tf.zeros([8, 2, 2, 1]), tf.ones([8, 2, 2, 1]), SEED, pack=2)
    points = seen[0][:, 0, 0, 0].numpy()
    np.testing.assert_array_equal(points[::2], points[1::2])
    assert len(set(points)) == 4


def test_no_two_draws_of_a_step_are_the_same_numbers(mnist, monkeypatch):
    config = Config(
        loss="wasserstein", gradient_penalty=10.0, discriminator_steps=2, noise="uniform",
        batch_size=8, base_filters=4, flip=True,
    )  # fmt: skip
    drawn = []
    uniform = tf.random.stateless_uniform

    def spy(shape, seed, *args, **kwargs):
        drawn.append(tuple(np.ravel(seed).tolist()))
        return uniform(shape, seed, *args, **kwargs)

    trainer = Trainer(config, mnist[:50, ..., np.newaxis])
    batch = next(iter(make_batches(trainer.images, config, 0, 1)))
    monkeypatch.setattr(tf.random, "stateless_uniform", spy)
    tf.config.run_functions_eagerly(True)
    try:
        trainer.train_step(batch)
    finally:
        tf.config.run_functions_eagerly(False)
    assert len(drawn) == len(set(drawn)) == 5  # three noises, two places between
