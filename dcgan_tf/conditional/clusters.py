"""Labels from clusters of similar images (self-conditioning, Liu et al., 2020).

Conditioning on clusters simplifies the generator's task and keeps it from dropping modes. The
clusters are found by k-means on the principal components of histograms of oriented gradients,
which depend on shapes more than on brightness, position and thickness. Images are assigned to the
nearest center among the histograms, which is also the nearest in principal component space.
"""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import numpy as np
import threadpoolctl

from dcgan_tf.conditional.labels import Labels

CELL = 4  # pixels along each side
ORIENTATIONS = 8
COMPONENTS = 50
INITIALIZATIONS = 4  # of k-means; the best result is kept


class Clusters(NamedTuple):
    """The clusters of a run's images.

    Attributes:
        ids: the cluster of each image, int [N]; 0 is the largest.
        centers: the cluster centers, float32: features as `oriented_gradients` returns them,
            [clusters, rows, columns, C, ORIENTATIONS], or in older runs the means of small images,
            [clusters, H, W, C].
    """

    ids: np.ndarray
    centers: np.ndarray

    @property
    def labels(self) -> Labels:
        """The clusters as class labels, named "0", "1" and so on."""
        return Labels(self.ids, [*map(str, range(len(self.centers)))])


def oriented_gradients(images: np.ndarray) -> np.ndarray:
    """The square roots of histograms of oriented gradients (Dalal and Triggs, 2005).

    A histogram has the sums of the gradients' magnitudes in a cell of 4×4 pixels, by orientation.

    Args:
        images: uint8 or float [N, H, W, C], H and W multiples of CELL.

    Returns:
        float32 [N, H / CELL, W / CELL, C, ORIENTATIONS].
    """
    down, right = np.gradient(images.astype(np.float32), axis=(1, 2))
    magnitudes = np.hypot(down, right)
    # Modulo, because angles just below π are rounded to it.
    bins = (np.arctan2(down, right) % np.pi / np.pi * ORIENTATIONS).astype(int) % ORIENTATIONS
    image, row, column, channel = np.ix_(*map(np.arange, images.shape))
    count, height, width, channels = images.shape
    shape = (count, height // CELL, width // CELL, channels, ORIENTATIONS)
    cells = np.ravel_multi_index((image, row // CELL, column // CELL, channel, bins), shape)
    sums = np.bincount(cells.ravel(), magnitudes.ravel(), math.prod(shape))
    return np.sqrt(sums, dtype=np.float32).reshape(shape)


def find_centers(features: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """The centers found by k-means, sorted by decreasing cluster size.

    They are deterministic on one machine; another may round differently.

    Args:
        features: [N, ...], of at least as many images as `clusters`.
        clusters: the number of clusters.
        seed: the seed of the initial centers.

    Returns:
        float32 [clusters, ...], or fewer if there are fewer distinct images.
    """
    from sklearn.cluster import KMeans  # slow to import
    from sklearn.decomposition import PCA
    from sklearn.exceptions import ConvergenceWarning

    flat = features.reshape(len(features), -1).astype(np.float32)
    pca = PCA(min(COMPONENTS, *flat.shape), svd_solver="covariance_eigh")
    k_means = KMeans(clusters, n_init=INITIALIZATIONS, random_state=seed)
    # One thread, because the order of sums affects rounding.
    with threadpoolctl.threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct images than clusters
        components = pca.fit_transform(flat)
        assigned = k_means.fit_predict(components)
        sizes = np.bincount(assigned, minlength=clusters)
        largest_first = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
        # Not `cluster_centers_`, which may be wrong if fewer images differ (scikit-learn 1.9).
        means = [components[assigned == cluster].mean(axis=0) for cluster in largest_first]
        centers = pca.inverse_transform(np.stack(means))
    return centers.reshape(-1, *features.shape[1:]).astype(np.float32)


def nearest_centers(features: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """The index of the center nearest to each image, int64 [N].

    Args:
        features: [N, ...].
        centers: [clusters, ...].
    """
    flat, means = (each.reshape(len(each), -1).astype(np.float64) for each in (features, centers))
    with threadpoolctl.threadpool_limits(1):
        return ((means**2).sum(axis=1) - 2 * flat @ means.T).argmin(axis=1)
