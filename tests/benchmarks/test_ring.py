"""The ring of Gaussians: that both GANs train on it."""

import numpy as np

from benchmarks import ring


def test_both_gans_train():
    plain, unrolled = (ring.train(unroll_steps, ring.SHOWN) for unroll_steps in (0, 2))
    for samples in (plain, unrolled):
        assert [each.shape for each in samples] == [(2500, 2)] * ring.SHOWN
        assert not np.array_equal(samples[0], samples[-1])
    assert not np.array_equal(plain[-1], unrolled[-1])
