"""Precision, recall, density and coverage of repeated images, whose distances equal radii."""

import numpy as np
import pytest

from dcgan_tf.evaluation.metrics import manifolds
from tests.conftest import thorough


def exact(real, fake):
    """The four metrics of points with integer coordinates, so squared distances are exact."""

    def squares(a, b):
        return (a**2).sum(axis=1)[:, None] - 2 * a @ b.T + (b**2).sum(axis=1)  # of int64

    def radii(points, k):
        # The first is the point itself, or one just like it.
        return np.sort(squares(points, points), axis=1)[:, k]

    apart = squares(fake, real)
    return (
        (apart <= radii(real, 3)).any(axis=1).mean(),
        (apart <= radii(fake, 3)[:, None]).any(axis=0).mean(),
        (apart <= radii(real, 5)).sum() / (5 * len(fake)),
        (apart <= radii(real, 5)).any(axis=0).mean(),
    )


@pytest.mark.parametrize("features", [3, 128, *thorough(2048)])
@pytest.mark.parametrize("scale", [1.0, 1 / 3, 1e-6, 1e6])
def test_distances_that_are_just_the_radius_are_in_the_ball(features, scale):
    rng = np.random.default_rng(0)
    real = rng.integers(-9, 10, (40, features)).repeat(6, axis=0)
    near = real + (rng.random(real.shape) < 0.5 / features)
    for fake in (real, real[::-1], real[:1].repeat(50, axis=0), near):
        # A third is no float, so that squares are rounded, in another order for each routine.
        assert manifolds(scale * real, scale * fake) == pytest.approx(exact(real, fake), abs=1e-12)


def test_a_set_against_itself_is_perfect_however_often_its_images_repeat():
    points = np.random.default_rng(0).standard_normal((40, 64)).repeat(6, axis=0)
    assert manifolds(points, points) == (1, 1, 6 / 5, 1)


def test_the_same_images_computed_twice_in_float32():
    rng = np.random.default_rng(0)
    real = rng.standard_normal((40, 64)).astype(np.float32).repeat(6, axis=0)
    again = np.nextafter(real, np.inf)
    assert manifolds(real, again) == (1, 1, 6 / 5, 1)


def test_one_real_image_as_all_generated_ones():
    rng = np.random.default_rng(0)
    counts = [35, *[13] * 5]
    real = rng.standard_normal((6, 32)).repeat(counts, axis=0)
    found = manifolds(real, real[:1].repeat(100, axis=0))
    assert found == (1, 35 / 100, 35 / 5, 35 / 100)


def test_points_slightly_outside_a_ball_are_outside():
    rng = np.random.default_rng(0)
    real = rng.standard_normal((40, 64)).repeat(6, axis=0)
    assert manifolds(real, real * (1 + 1e-4)) == (0, 0, 0, 0)
