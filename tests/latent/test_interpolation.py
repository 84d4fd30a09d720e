import itertools

import numpy as np
import pytest

from dcgan_tf.latent import interpolation


def angle(a, b):
    return np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))


def test_slerp_by_hand():
    # A quarter circle, cut in three: 30° each; lengths 1 to 3 grow evenly.
    points = interpolation.slerp([1, 0], [0, 3], np.arange(4) / 3)
    np.testing.assert_allclose(points[0], [1, 0], atol=1e-6)
    np.testing.assert_allclose(points[3], [0, 3], atol=1e-6)
    for i, length in enumerate((1, 5 / 3, 7 / 3, 3)):
        expected = length * np.array([np.cos(np.pi * i / 6), np.sin(np.pi * i / 6)])
        np.testing.assert_allclose(points[i], expected, atol=1e-6)


def test_slerp_between_vectors_of_one_length_is_the_textbooks():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 100))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    omega = np.arccos(a @ b)
    fractions = np.linspace(0, 1, 7)[:, None]
    slerp = (np.sin((1 - fractions) * omega) * a + np.sin(fractions * omega) * b) / np.sin(omega)
    np.testing.assert_allclose(interpolation.slerp(a, b, fractions[:, 0]), slerp, atol=1e-6)


@pytest.mark.parametrize("factor", [1, 2.5, -1, -0.5])
def test_slerp_of_parallel_and_opposite_vectors(factor):
    a = np.random.default_rng(0).standard_normal(10)
    points = interpolation.slerp(a, factor * a, np.linspace(0, 1, 5))
    np.testing.assert_allclose(points[0], a, rtol=1e-5)
    np.testing.assert_allclose(points[-1], factor * a, rtol=1e-4, atol=1e-5)
    between = [angle(p, q) for p, q in itertools.pairwise(points)]
    np.testing.assert_allclose(between, 45 if factor < 0 else 0, atol=0.1)
    assert np.linalg.norm(points, axis=1).min() > 0.4 * np.linalg.norm(a)


def test_path_passes_every_point_and_closes():
    noises = np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)
    strip = interpolation.interpolate_through(noises, 4, "normal", closed=False)
    assert len(strip) == 2 * 4 + 1
    np.testing.assert_allclose(strip[[0, 4, 8]], noises, rtol=1e-5)
    loop = interpolation.interpolate_through(noises, 4, "normal", closed=True)
    assert len(loop) == 3 * 4
    np.testing.assert_allclose(loop[:9], strip, rtol=1e-5)
    cube = interpolation.interpolate_through(np.sign(noises), 4, "uniform", closed=True)
    assert np.abs(cube).max() <= 1


@pytest.mark.parametrize("a, b", [(0.5, 2.0), (0.5, -1.0), (-1.0, -1.0)])
def test_slerp_of_single_numbers_is_straight(a, b):
    points = interpolation.slerp([a], [b], np.linspace(0, 1, 5))
    np.testing.assert_allclose(points[:, 0], np.linspace(a, b, 5), rtol=1e-6)
