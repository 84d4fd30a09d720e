"""Metrics that compare two sets of images, as pure functions of their features.

Features of real and of generated images are float [N, features]. Everything is computed in float64.
scikit-learn is imported inside functions because the import takes seconds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dcgan_tf.datasets.disk_images import DiskImages
from dcgan_tf.datasets.transparency import premultiplied

KID_BLOCKS = 10
PRECISION_NEIGHBORS = 3
DENSITY_NEIGHBORS = 5
NEAREST_CHUNK = 1000
CHUNK_MIB = 32
ROUNDING = 1e-12  # of squared distances, relative to the largest squared length


def frechet_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """The Fréchet distance between Gaussians fitted to both sets: Heusel et al., 2017, equation 6.

    ‖m₁ − m₂‖² + tr C₁ + tr C₂ − 2 tr (C₁ C₂)^½, at least 0. The last trace is computed from
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

    Its kernel is (x·y / features + 1)³. The estimate is unbiased, so it may be negative. It is
    the mean over KID_BLOCKS pairs of disjoint blocks, which are independent.

    Returns:
        The distance and its standard error.

    Raises:
        ValueError: a set has fewer than two images per block.
    """
    from sklearn.metrics.pairwise import polynomial_kernel

    size = min(len(real), len(fake)) // KID_BLOCKS
    if size < 2:
        raise ValueError(f"{min(len(real), len(fake))} images are too few")
    # Shuffled, as blocks of images that are sorted by class would be too similar.
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
    """The overlap of two sets: each image has a ball with its k-th nearest neighbor on the surface.

    Attributes:
        precision: the fraction of generated images that lie in a ball of a real one, k = 3
            (Kynkäänniemi et al., 2019).
        recall: the fraction of real images that lie in a ball of a generated one, k = 3.
        density: the mean number of balls of real images that a generated one lies in, divided by
            k = 5. It is 1 for an ideal generator, and can be larger (Naeem et al., 2020).
        coverage: the fraction of real images with a generated one in their ball, k = 5.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifolds(real: np.ndarray, fake: np.ndarray) -> Manifolds:
    """Precision, recall, density and coverage of generated images.

    If images repeat, a distance often equals the radius that it is compared with, and rounding must
    not decide. So an image also lies in a ball if its squared distance exceeds the squared radius
    by at most ROUNDING times the largest squared length of all features. For up to 2,000 features,
    the rounding error of ‖x‖² − 2 x·y + ‖y‖² is smaller: in the same unit, at most
    4 · (features + 3) times float64's 1.1e-16. The float32 features of one image computed in
    different batches also differ by less.

    Raises:
        ValueError: a set has at most DENSITY_NEIGHBORS images.
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
        float(hits / (DENSITY_NEIGHBORS * len(fake))),
        float(covered.mean()),
    )


def squared_radii(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The squares of each image's distances to its PRECISION_ and DENSITY_NEIGHBORS-th neighbor.

    Raises:
        ValueError: there are at most DENSITY_NEIGHBORS images.
    """
    from sklearn.neighbors import NearestNeighbors

    if len(features) <= DENSITY_NEIGHBORS:
        raise ValueError(f"{len(features)} images are too few for {DENSITY_NEIGHBORS} neighbors")
    neighbors = NearestNeighbors(
        n_neighbors=DENSITY_NEIGHBORS, algorithm="brute", metric="sqeuclidean"
    )
    squares, _ = neighbors.fit(features).kneighbors()
    return squares[:, PRECISION_NEIGHBORS - 1], squares[:, DENSITY_NEIGHBORS - 1]


class ClassScores(NamedTuple):
    """Scores of a set of images by a classifier.

    Attributes:
        score: exp of the mean KL divergence of an image's class probabilities from their mean, in
            [1, classes]: the Inception score (Salimans et al., 2016) with this classifier in place
            of Inception.
        distribution: the fraction of images in each class, float64 [classes].
        divergence: the Kullback-Leibler divergence of the distribution from the uniform one, in
            nats, 0 at best.
        missed: the number of classes without an image.
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
    """Finds each image's nearest among other images, by root mean square pixel difference.

    Args:
        images: uint8 [N, H, W, C].
        others: uint8 [M, H, W, C]; read in chunks, so they may be on disk.
        mirrored: whether to compare with the mirror images, too.

    Returns:
        Distances, float [N], for pixels in [0, 255]; and indices into `others`, int [N].
    """
    if mirrored:
        found = [nearest(each, others) for each in (images, images[:, :, ::-1])]
        (distances, which), (other_distances, other_which) = found
        turned = other_distances < distances
        return np.minimum(distances, other_distances), np.where(turned, other_which, which)
    least, which = np.full(len(images), np.inf, np.float32), np.zeros(len(images), int)
    for start in range(0, len(others), NEAREST_CHUNK):
        chunk = to_vectors(others[start : start + NEAREST_CHUNK])
        lengths, doubled = np.einsum("ij,ij->i", chunk, chunk), -2 * chunk.T
        for first in range(0, len(images), NEAREST_CHUNK):
            some = slice(first, first + NEAREST_CHUNK)
            # ‖a − b‖² is this plus ‖a‖², which is the same for every b.
            squares = to_vectors(images[some]) @ doubled + lengths
            smallest, found = squares.min(axis=1), start + squares.argmin(axis=1)
            which[some] = np.where(smallest < least[some], found, which[some])
            least[some] = np.minimum(smallest, least[some])
    apart = to_vectors(images) - to_vectors(others[which])
    return np.sqrt((apart**2).mean(axis=1)), which


def to_vectors(images: np.ndarray) -> np.ndarray:
    """Flattens uint8 [N, H, W, C] to float32 [N, H · W · C], with colors premultiplied by alpha."""
    return premultiplied(images.astype(np.float32)).reshape(len(images), -1)
