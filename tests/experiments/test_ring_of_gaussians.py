"""Both GANs train on the ring of Gaussians, and its covered modes are counted."""

import numpy as np
import pytest

from experiments import ring_of_gaussians as ring


def test_both_gans_train():
    plain, unrolled = (ring.train(unroll_steps, ring.NUM_SNAPSHOTS) for unroll_steps in (0, 2))
    for samples in (plain, unrolled):
        assert [each.shape for each in samples] == [(2500, 2)] * ring.NUM_SNAPSHOTS
        assert not np.array_equal(samples[0], samples[-1])
    assert not np.array_equal(plain[-1], unrolled[-1])


def test_a_mode_of_the_ring_counts_from_one_percent_of_the_samples():
    samples = np.repeat(ring.MODES[:3], [500, 495, 5], axis=0)
    samples[:100] += 2.9 * ring.DEVIATION * np.array([0.6, 0.8])
    samples[100:200] += 3.1 * ring.DEVIATION * np.array([0.6, 0.8])
    assert ring.covered(samples) == (2, pytest.approx(0.9))
