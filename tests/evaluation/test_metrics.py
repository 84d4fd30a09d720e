import math

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial

from dcgan_tf.datasets.disk_images import DiskImages
from dcgan_tf.evaluation import metrics


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def exact_sample(mean, covariance, count, rng):
    """A sample with exactly this mean and covariance."""
    points = rng.standard_normal((count, len(mean)))
    points -= points.mean(axis=0)
    points = points @ np.linalg.inv(np.linalg.cholesky(np.cov(points, rowvar=False))).T
    return points @ np.linalg.cholesky(covariance).T + mean


def test_frechet_distance_of_gaussians_with_a_closed_form(rng):
    # Diagonal covariances commute: ‖m₁ − m₂‖² + Σ (σ₁ − σ₂)² = 9 + 16 + (1 − 2)² + (3 − 5)².
    real = exact_sample([0, 0], np.diag([1.0, 9.0]), 50, rng)
    fake = exact_sample([3, 4], np.diag([4.0, 25.0]), 70, rng)
    assert metrics.frechet_distance(real, fake) == pytest.approx(30)
    assert metrics.frechet_distance(real[:, :1], fake[:, :1]) == pytest.approx(10)


def test_frechet_distance_is_that_of_the_general_square_root(rng):
    mix = rng.standard_normal((2, 6, 6))
    real, fake = rng.standard_normal((200, 6)) @ mix[0], rng.standard_normal((300, 6)) @ mix[1] + 1
    one, other = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    root = scipy.linalg.sqrtm(one @ other).real
    expected = ((real.mean(0) - fake.mean(0)) ** 2).sum() + np.trace(one + other - 2 * root)
    assert metrics.frechet_distance(real, fake) == pytest.approx(expected, rel=1e-9)
    assert metrics.frechet_distance(fake, real) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_with_features_that_never_change(rng):
    real = np.c_[rng.standard_normal((30, 2)), np.zeros((30, 3))].astype(np.float32)
    assert metrics.frechet_distance(real, real) == pytest.approx(0, abs=1e-9)
    assert metrics.frechet_distance(real, real + np.array([0, 0, 0, 0, 2])) == pytest.approx(4)


def slow_kid(x, y):
    """The unbiased estimate of Bińkowski et al., with explicit sums."""
    kernel = lambda a, b: (a @ b / len(a) + 1) ** 3  # noqa: E731
    n, m = len(x), len(y)
    xx = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return xx + yy - 2 * sum(kernel(a, b) for a in x for b in y) / (n * m)


def test_kernel_distance_is_the_mean_of_independent_blocks(rng):
    real, fake = rng.standard_normal((53, 4)), rng.standard_normal((60, 4)) + 0.3
    distance, error = metrics.kernel_distance(real, fake)
    real = np.random.default_rng(0).permutation(real)
    fake = np.random.default_rng(1).permutation(fake)
    blocks = [slow_kid(real[i::10][:5], fake[i::10][:5]) for i in range(10)]
    assert distance == pytest.approx(np.mean(blocks))
    assert error == pytest.approx(np.std(blocks, ddof=1) / math.sqrt(10))


def test_kernel_distance_is_unbiased(rng):
    distance, error = metrics.kernel_distance(*rng.standard_normal((2, 4000, 8)))
    assert abs(distance) < 4 * error < 0.1
    far, _ = metrics.kernel_distance(
        *(rng.standard_normal((2, 4000, 8)) + np.array([[[0]], [[1]]]))
    )
    assert far > 20 * error
    # Sets that are sorted by class are no further apart, and no nearer.
    classes = 3 * rng.standard_normal((2, 1, 8)) + rng.standard_normal((1, 10, 8))
    by_class = [
        np.repeat(classes[0], 100, axis=0) + 0.1 * rng.standard_normal((1000, 8)) for _ in range(2)
    ]
    distance, error = metrics.kernel_distance(*by_class)
    assert abs(distance) < 4 * error
    with pytest.raises(ValueError, match="19 images"):
        metrics.kernel_distance(*rng.standard_normal((2, 19, 8)))


def slow_manifolds(real, fake):
    """The four metrics as defined in their papers, with explicit loops."""
    apart = lambda a, b: math.dist(a, b)  # noqa: E731

    def radius(points, i, k):
        return sorted(apart(points[i], points[j]) for j in range(len(points)) if j != i)[k - 1]

    def inside(point, points, k):
        return sum(apart(point, points[i]) <= radius(points, i, k) for i in range(len(points)))

    return (
        np.mean([inside(point, real, 3) > 0 for point in fake]),
        np.mean([inside(point, fake, 3) > 0 for point in real]),
        np.mean([inside(point, real, 5) for point in fake]) / 5,
        np.mean([min(apart(real[i], f) for f in fake) <= radius(real, i, 5) for i in range(30)]),
    )


def test_manifolds_against_a_slow_reference(rng):
    real, fake = rng.standard_normal((30, 3)), rng.standard_normal((40, 3)) * 1.2 + 0.6
    expected = slow_manifolds(real, fake)
    assert metrics.manifolds(real, fake) == pytest.approx(expected)
    assert min(expected) > 0 and expected[0] < 1 and expected[3] < 1


def test_manifolds_that_coincide_and_that_are_apart(rng):
    points = rng.standard_normal((50, 3))
    same = metrics.manifolds(points, points)
    assert same.precision == same.recall == same.coverage == 1 and same.density > 1
    assert metrics.manifolds(points, points + 100) == (0, 0, 0, 0)
    with pytest.raises(ValueError, match="5 images"):
        metrics.manifolds(points[:5], points)


def test_chunks_of_the_distances_change_nothing(rng, monkeypatch):
    real, fake = rng.standard_normal((300, 3)), rng.standard_normal((200, 3)) + 0.5
    whole = metrics.manifolds(real, fake)
    monkeypatch.setattr(metrics, "CHUNK_MIB", 0.05)  # 21 rows of 300 distances
    assert metrics.manifolds(real, fake) == whole


def test_class_scores_by_hand():
    # Two images sure of class 0, one of class 1, one torn between 0 and 2.
    probabilities = np.array([[1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0.6, 0, 0.4, 0]])
    scores = metrics.class_scores(probabilities)
    assert scores.distribution.tolist() == [0.75, 0.25, 0, 0] and scores.missed == 2
    assert scores.divergence == pytest.approx(0.75 * math.log(3) + 0.25 * math.log(1))
    divergences = [
        math.log(1 / 0.65),
        math.log(1 / 0.65),
        math.log(1 / 0.25),
        0.6 * math.log(0.6 / 0.65) + 0.4 * math.log(0.4 / 0.1),
    ]
    assert scores.score == pytest.approx(math.exp(sum(divergences) / 4))


def test_class_scores_at_their_best_and_worst():
    best = metrics.class_scores(np.eye(10).repeat(3, axis=0))
    assert best.score == pytest.approx(10) and best.divergence == pytest.approx(0)
    worst = metrics.class_scores(np.tile(np.eye(10)[3], (30, 1)))
    assert worst.score == pytest.approx(1) and worst.missed == 9
    assert worst.divergence == pytest.approx(math.log(10))


def test_nearest_finds_each_images_own_copy(rng):
    others = rng.integers(0, 256, (1200, 4, 4, 3), np.uint8)
    chosen = rng.permutation(1200)[:700]
    images = others[chosen].copy()
    images[0, 0, 0, 0] ^= 1
    distances, which = metrics.nearest(images, others)
    assert np.array_equal(which, chosen)
    assert distances[0] == pytest.approx(1 / math.sqrt(48)) and not distances[1:].any()


def test_nearest_finds_mirrored_copies(rng):
    others = rng.integers(0, 256, (50, 4, 4, 3), np.uint8)
    images = others[[7, 3, 9]].copy()
    images[1:] = images[1:, :, ::-1]
    distances, which = metrics.nearest(images, others, mirrored=True)
    assert which.tolist() == [7, 3, 9] and not distances.any()
    distances, _ = metrics.nearest(images, others)
    assert distances[0] == 0 and distances[1:].min() > 0


def test_nearest_among_images_on_disk_is_that_of_every_pair(rng, tmp_path):
    others = rng.integers(0, 256, (2300, 3, 3, 1), np.uint8)
    (tmp_path / "images").write_bytes(others.tobytes())
    images = rng.integers(0, 256, (1100, 3, 3, 1), np.uint8)
    distances, which = metrics.nearest(images, DiskImages([tmp_path / "images"], others.shape))
    pairs = scipy.spatial.distance.cdist(images.reshape(1100, 9), others.reshape(2300, 9))
    np.testing.assert_allclose(distances, pairs.min(axis=1) / 3, rtol=1e-5)
    np.testing.assert_allclose(pairs[np.arange(1100), which], pairs.min(axis=1), rtol=1e-5)
    assert which.min() < 1000 and which.max() >= 2000
