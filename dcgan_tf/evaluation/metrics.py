"""How two sets of images compare, as pure functions of their features.

Features are float [N, features], of real or of generated images. All is computed in float64.
scikit-learn is imported where it is used, since that takes seconds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dcgan_tf.datasets.disk_images import DiskImages
from dcgan_tf.datasets.transparency import premultiplied

KID_BLOCKS = 10
PRECISION_NEIGHBOURS = 3
DENSITY_NEIGHBOURS = 5
NEAREST_CHUNK = 1000
CHUNK_MIB = 32
ROUNDING = 1e-12  # of squared distances, in units of the largest squared length


def frechet_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """How far two sets are apart, if each were a Gaussian: Heusel et al., 2017, equation 6.

    ‖m₁ − m₂‖² + tr C₁ + tr C₂ − 2 tr (C₁ C₂)^½, from 0 up. The last trace is that of
    (C₁^½ C₂ C₁^½)^½, which has the same eigenvalues and is symmetric.
    """
    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    covariance, other = (np.atleast_2d(np.cov(each, rowvar=False)) for each in (real, fake))
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    product = np.linalg.eigvalsh(root @ other @ root)
    apart = ((real.mean(axis=0) - fake.mean(axis=0)) ** 2).sum()
    distance = apart + np.trace(covariance) + np.trace(other)
    return max(0.0, float(distance - 2 * np.sqrt(np.clip(product, 0, None)).sum()))


def kernel_distance(real: np.ndarray, fake: np.ndarray) -> tuple[float, float]:
    """KID, the squared maximum mean discrepancy: Bińkowski et al., 2018, section 4.

    Its kernel is (x·y / features + 1)³. The estimate is unbiased, so it may be below 0. It is the
    mean over KID_BLOCKS pairs of blocks that share no image, hence independent.

    Returns:
        The distance and its standard error.

    Raises:
        ValueError: a set has fewer than two images a block.
    """
    from sklearn.metrics.pairwise import polynomial_kernel

    size = min(len(real), len(fake)) // KID_BLOCKS
    if size < 2:
        raise ValueError(f"{min(len(real), len(fake))} images are too few")
    # In random order, since the blocks of sets that are sorted by class are too alike by chance.
    real, fake = (
        np.random.default_rng(seed).permutation(np.asarray(each, np.float64))
        for seed, each in enumerate((real, fake))
    )
    values = []
    for i in range(KID_BLOCKS):
        x, y = real[i::KID_BLOCKS][:size], fake[i::KID_BLOCKS][:size]
        within = sum(
            (kernel.sum() - np.trace(kernel)) / (size * (size - 1))
            for kernel in (polynomial_kernel(x), polynomial_kernel(y))
        )
        values.append(within - 2 * polynomial_kernel(x, y).mean())
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(KID_BLOCKS))


class Manifolds(NamedTuple):
    """How two sets overlap, by balls that reach to each image's k-th nearest neighbour.

    Attributes:
        precision: the fraction of generated images that lie in a ball of a real one, k = 3
            (Kynkäänniemi et al., 2019).
        recall: the fraction of real images that lie in a ball of a generated one, k = 3.
        density: in how many balls of real images a generated one lies, divided by k = 5; 1 is
            normal, and more is possible (Naeem et al., 2020).
        coverage: the fraction of real images with a generated one in their ball, k = 5.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifolds(real: np.ndarray, fake: np.ndarray) -> Manifolds:
    """Precision, recall, density and coverage of generated images.

    Where images repeat, a distance is often just the radius that it is compared with, and rounding
    must not decide: an image lies in a ball, too, if its squared distance is larger than the
    squared radius by no more than ROUNDING times the largest squared length of all features. What
    ‖x‖² − 2 x·y + ‖y‖² is off by is less, for up to 2,000 features: at most 4 · (features + 3)
    times float64's 1.1e-16, in the same unit. So is what float32 features of an image that was
    computed twice, in other batches, are apart.

    Raises:
        ValueError: a set has no more than DENSITY_NEIGHBOURS images.
    """
    from sklearn.metrics import pairwise_distances_chunked

    real, fake = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    margin = ROUNDING * max(np.einsum("ij,ij->i", each, each).max() for each in (real, fake))
    real_radii, real_wide_radii = (radii + margin for radii in squared_radii(real))
    fake_radii = squared_radii(fake)[0] + margin
    covered = np.zeros(len(real), bool)
    recalled = np.zeros(len(real), bool)
    precise, hits = 0, 0

    def count(squares: np.ndarray, start: int) -> None:
        nonlocal precise, hits, covered, recalled
        precise += (squares <= real_radii).any(axis=1).sum()
        in_balls = squares <= real_wide_radii
        hits += in_balls.sum()
        covered |= in_balls.any(axis=0)
        radii = fake_radii[start : start + len(squares), np.newaxis]
        recalled |= (squares <= radii).any(axis=0)

    chunks = pairwise_distances_chunked(
        fake, real, reduce_func=count, working_memory=CHUNK_MIB, squared=True
    )
    for _ in chunks:
        pass
    return Manifolds(
        float(precise / len(fake)),
        float(recalled.mean()),
        float(hits / (DENSITY_NEIGHBOURS * len(fake))),
        float(covered.mean()),
    )


def squared_radii(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The squares of each image's distances to its PRECISION_ and DENSITY_NEIGHBOURS-th neighbour.

    Raises:
        ValueError: there are no more than DENSITY_NEIGHBOURS images.
    """
    from sklearn.neighbors import NearestNeighbors

    if len(features) <= DENSITY_NEIGHBOURS:
        raise ValueError(f"{len(features)} images have no {DENSITY_NEIGHBOURS} neighbours each")
    neighbours = NearestNeighbors(
        n_neighbors=DENSITY_NEIGHBOURS, algorithm="brute", metric="sqeuclidean"
    )
    squares, _ = neighbours.fit(features).kneighbors()
    return squares[:, PRECISION_NEIGHBOURS - 1], squares[:, DENSITY_NEIGHBOURS - 1]


class ClassScores(NamedTuple):
    """What a classifier makes of a set of images.

    Attributes:
        score: exp of the mean divergence of an image's class probabilities from their mean, 1 to
            the number of classes: the Inception score with this classifier in Inception's place
            (Salimans et al., 2016).
        distribution: the fraction of images in each class, float64 [classes].
        divergence: the Kullback-Leibler divergence of the distribution from the uniform one, in
            nats, 0 at best.
        missed: how many classes no image is in.
    """

    score: float
    distribution: np.ndarray
    divergence: float
    missed: int


def class_scores(probabilities: np.ndarray) -> ClassScores:
    """Scores of class probabilities, float [N, classes]."""
    probabilities = np.asarray(probabilities, np.float64)
    classes = probabilities.shape[1]
    ratio = np.clip(probabilities, 1e-30, None) / probabilities.mean(axis=0).clip(1e-30)
    score = np.exp((probabilities * np.log(ratio)).sum(axis=1).mean())
    counts = np.bincount(probabilities.argmax(axis=1), minlength=classes)
    distribution = counts / len(probabilities)
    present = distribution[counts > 0]
    divergence = (present * np.log(classes * present)).sum()
    return ClassScores(float(score), distribution, float(divergence), int((counts == 0).sum()))


def nearest(
    images: np.ndarray, others: np.ndarray | DiskImages, mirrored: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Each image's nearest among others, by the root mean square of their pixels' differences.

    Args:
        images: uint8 [N, H, W, C].
        others: uint8 [M, H, W, C]; read in chunks, and may stay on disk.
        mirrored: whether an image turned left to right is as near as the image itself.

    Returns:
        Distances, float [N], in units of [0, 255]; and which, int [N].
    """
    if mirrored:
        found = [nearest(each, others) for each in (images, images[:, :, ::-1])]
        (distances, which), (other_distances, other_which) = found
        turned = other_distances < distances
        return np.minimum(distances, other_distances), np.where(turned, other_which, which)
    least, which = np.full(len(images), np.inf, np.float32), np.zeros(len(images), int)
    for start in range(0, len(others), NEAREST_CHUNK):
        chunk = flatten(others[start : start + NEAREST_CHUNK])
        lengths, doubled = np.einsum("ij,ij->i", chunk, chunk), -2 * chunk.T
        for first in range(0, len(images), NEAREST_CHUNK):
            some = slice(first, first + NEAREST_CHUNK)
            # ‖a − b‖² is this plus ‖a‖², which is the same for every b.
            squares = flatten(images[some]) @ doubled + lengths
            smallest, found = squares.min(axis=1), start + squares.argmin(axis=1)
            which[some] = np.where(smallest < least[some], found, which[some])
            least[some] = np.minimum(smallest, least[some])
    apart = flatten(images) - flatten(others[which])
    return np.sqrt((apart**2).mean(axis=1)), which


def flatten(images: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, C] to float32 [N, H · W · C], colors times their alpha."""
    return premultiplied(images.astype(np.float32)).reshape(len(images), -1)
