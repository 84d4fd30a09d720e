"""Labels that nobody gave: clusters of similar images (self-conditioning, Liu et al., 2020).

A generator that is asked for an image of a cluster need not learn at once how all images differ,
and leaves out none of them. The clusters are those of k-means on the principal components of the
pixels, which are those of their centers in pixels: a principal component that two images share
tells no center from another.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import threadpoolctl

from dcgan_tf.conditional.labels import Labels

COMPONENTS = 50
INITIALIZATIONS = 4  # of k-means, of which the best is taken


class Clusters(NamedTuple):
    """The clusters of a run's images.

    Attributes:
        numbers: of each image's cluster, int [N]; that of the largest is 0.
        centers: of the clusters, float32 [clusters, H, W, C] in [0, 255], small images.
    """

    numbers: np.ndarray
    centers: np.ndarray

    @property
    def labels(self) -> Labels:
        """The clusters as classes, which are called by their numbers."""
        return Labels(self.numbers, [*map(str, range(len(self.centers)))])


def find_centers(images: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """The centers of k-means, those of the largest clusters first.

    They are a function of the images and the seed on one machine; another may round otherwise.

    Args:
        images: uint8 [N, H, W, C], at least as many as clusters.
        clusters: their number.
        seed: of the first centers.

    Returns:
        float32 [clusters, H, W, C]; fewer where fewer images differ.
    """
    from sklearn.cluster import KMeans  # takes a second, which other runs are spared
    from sklearn.decomposition import PCA
    from sklearn.exceptions import ConvergenceWarning

    pixels = images.reshape(len(images), -1).astype(np.float32)
    pca = PCA(min(COMPONENTS, *pixels.shape), svd_solver="covariance_eigh")
    k_means = KMeans(clusters, n_init=INITIALIZATIONS, random_state=seed)
    # Several threads add up in any order.
    with threadpoolctl.threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer images differ
        numbers = k_means.fit_predict(pca.fit_transform(pixels))
        centers = pca.inverse_transform(k_means.cluster_centers_)
    sizes = np.bincount(numbers, minlength=clusters)
    largest_first = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
    return centers[largest_first].reshape(-1, *images.shape[1:]).astype(np.float32)


def nearest_centers(images: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """The number of the center that is nearest to each image, int64 [N].

    Args:
        images: uint8 [N, H, W, C].
        centers: float32 [clusters, H, W, C].
    """
    pixels, flat = (each.reshape(len(each), -1).astype(np.float64) for each in (images, centers))
    with threadpoolctl.threadpool_limits(1):
        return ((flat**2).sum(axis=1) - 2 * pixels @ flat.T).argmin(axis=1)
