import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.noise import seeded_noise, training_noise


@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_noise_of_an_image_depends_on_seed_and_index_alone(kind):
    whole = seeded_noise(kind, 7, range(20), 100)
    assert whole.shape == (20, 100) and whole.dtype == np.float32
    assert np.array_equal(seeded_noise(kind, 7, range(5, 9), 100), whole[5:9])
    assert not np.array_equal(seeded_noise(kind, 8, range(20), 100), whole)
    assert len(np.unique(whole)) > 1990
    assert np.abs(np.corrcoef(whole)[np.triu_indices(20, 1)]).max() < 0.5


def draw(kind):
    seeded = seeded_noise(kind, 0, range(500), 100)
    trained = training_noise(kind, [500, 100], 0, tf.constant(0, tf.int64)).numpy()
    return seeded, trained


def test_normal_noise_is_standard():
    for noise in draw("normal"):
        assert abs(noise.mean()) < 0.02 and abs(noise.std() - 1) < 0.02 and noise.max() > 3


def test_uniform_noise_fills_minus_one_to_one():
    for noise in draw("uniform"):
        assert noise.min() >= -1 and noise.max() <= 1
        assert abs(noise.mean()) < 0.02 and abs(noise.std() - 1 / np.sqrt(3)) < 0.01


@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_training_noise_is_a_function_of_seed_and_step(kind):
    def noise(seed, step):
        return training_noise(kind, [4, 10], seed, tf.constant(step, tf.int64)).numpy()

    assert np.array_equal(noise(1, 5), noise(1, 5))
    assert not np.array_equal(noise(1, 5), noise(1, 6))
    assert not np.array_equal(noise(1, 5), noise(2, 5))
