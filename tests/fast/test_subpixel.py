"""Each operation against its definition, in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.fast.subpixel import convolve, kernel_gradient, phases, transpose

CASES = [(2, 5), (2, 4), (2, 3), (2, 2), (3, 5), (3, 4), (4, 6), (1, 3)]  # strides and kernels


def random(*shape, seed):
    return np.random.default_rng(seed).standard_normal(shape)


def terms(size, stride):
    """All (i, t, o): maps[i] · kernel[t] adds to image[o], of two maps along one axis."""
    before = (size - stride) // 2
    for i in range(2):
        for t in range(size):
            if 0 <= stride * i + t - before < 2 * stride:
                yield i, t, stride * i + t - before


@pytest.mark.parametrize("stride, size", CASES)
def test_operations_are_sums_of_products(stride, size):
    """Images of 2 × 2 strides with two channels, and maps of 2 × 2 with three filters."""
    images = random(1, 2 * stride, 2 * stride, 2, seed=0)
    maps = random(1, 2, 2, 3, seed=1)
    kernel = random(size, size, 2, 3, seed=2)
    convolved, transposed, gradient = np.zeros_like(maps), np.zeros_like(images), 0 * kernel
    for i, t, o in terms(size, stride):
        for j, u, p in terms(size, stride):
            convolved[0, i, j] += images[0, o, p] @ kernel[t, u]
            transposed[0, o, p] += kernel[t, u] @ maps[0, i, j]
            gradient[t, u] += np.outer(images[0, o, p], maps[0, i, j])
    images, maps, kernel = map(tf.constant, (images, maps, kernel))
    np.testing.assert_allclose(convolve(images, kernel, stride), convolved)
    np.testing.assert_allclose(transpose(maps, kernel, stride), transposed)
    np.testing.assert_allclose(kernel_gradient(images, maps, (size, size), stride), gradient)


@pytest.mark.parametrize("stride, size", CASES)
def test_phases_partition_the_kernel(stride, size):
    """Every tap is used exactly once, so the number of products is that of the definition."""
    taps = [tap for taken, _ in phases(size, stride) for tap in range(size)[taken]]
    assert sorted(taps) == list(range(size))
