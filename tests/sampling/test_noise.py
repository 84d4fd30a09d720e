import dataclasses

import numpy as np
import pytest
import scipy.stats

from dcgan_tf.distributed.step_random import StepRandom
from dcgan_tf.sampling.noise import seeded_noise
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError

NORMAL, UNIFORM = Config(noise="normal"), Config(noise="uniform")


@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_noise_of_an_image_depends_on_seed_and_index_alone(kind):
    whole = seeded_noise(Config(noise=kind), 7, range(20))
    assert whole.shape == (20, 100) and whole.dtype == np.float32
    assert np.array_equal(seeded_noise(Config(noise=kind), 7, range(5, 9)), whole[5:9])
    assert not np.array_equal(seeded_noise(Config(noise=kind), 8, range(20)), whole)
    assert len(np.unique(whole)) > 1990
    assert np.abs(np.corrcoef(whole)[np.triu_indices(20, 1)]).max() < 0.5


def draw(kind):
    seeded = seeded_noise(Config(noise=kind), 0, range(500))
    trained = StepRandom(seed=0, batch_size=500, noise_dim=100, noise=kind).noise().numpy()
    return seeded, trained


def test_normal_noise_is_standard():
    for noise in draw("normal"):
        assert abs(noise.mean()) < 0.02 and abs(noise.std() - 1) < 0.02 and noise.max() > 3


def test_uniform_noise_fills_minus_one_to_one():
    for noise in draw("uniform"):
        assert noise.min() >= -1 and noise.max() <= 1
        assert abs(noise.mean()) < 0.02 and abs(noise.std() - 1 / np.sqrt(3)) < 0.01


def test_truncated_noise_keeps_each_images_values_that_are_within():
    whole = seeded_noise(NORMAL, 3, range(40))
    within = seeded_noise(NORMAL, 3, range(40), truncation=0.7)
    assert np.abs(within).max() <= 0.7 < np.abs(whole).max()
    kept = np.abs(whole) <= 0.7
    assert np.array_equal(within[kept], whole[kept])
    # A normal value cut at ±0.7 has a standard deviation of 0.387.
    assert within.std() == pytest.approx(0.387, abs=0.01)
    assert np.array_equal(seeded_noise(NORMAL, 3, [7], truncation=0.7)[0], within[7])
    uniform = seeded_noise(UNIFORM, 3, range(4))
    assert np.array_equal(seeded_noise(UNIFORM, 3, range(4), truncation=0.5), uniform / 2)
    assert np.array_equal(seeded_noise(UNIFORM, 3, range(4), truncation=5.0), uniform)


@pytest.mark.parametrize("truncation", [1e-9, 1e-6, 0.012, 0.013])
def test_narrow_truncation_has_the_distribution_of_the_truncated_normal(truncation):
    noise = seeded_noise(NORMAL, 3, range(10), truncation=truncation)
    assert noise.dtype == np.float32 and np.abs(noise).max() <= truncation
    assert len(np.unique(noise)) > 990
    truncated = scipy.stats.truncnorm(-truncation, truncation)
    assert scipy.stats.kstest(noise.ravel(), truncated.cdf).pvalue > 0.01
    assert np.array_equal(seeded_noise(NORMAL, 3, [7], truncation=truncation)[0], noise[7])


def test_truncation_of_what_is_scaled_to_one_length_is_refused():
    config = dataclasses.replace(NORMAL, mapping_layers=2)
    assert seeded_noise(config, 3, [7]).shape == (1, NORMAL.noise_dim)
    with pytest.raises(UserError, match="`truncation` does not make images .* `mapping_layers`"):
        seeded_noise(config, 3, [7], truncation=0.5)
