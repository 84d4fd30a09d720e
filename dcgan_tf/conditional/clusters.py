"""Labels from clusters of similar images (self-conditioning, Liu et al., 2020).

Conditioning on clusters simplifies the generator's task and keeps it from dropping modes. The
clusters are found by k-means on the principal components of the pixels. Images are assigned to
the nearest center in pixel space, which is also the nearest in principal component space.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import threadpoolctl

from dcgan_tf.conditional.labels import Labels

COMPONENTS = 50
INITIALIZATIONS = 4  # of k-means; the best result is kept


class Clusters(NamedTuple):
    """The clusters of a run's images.

    Attributes:
        ids: the cluster of each image, int [N]; 0 is the largest.
        centers: the cluster centers, small images, float32 [clusters, H, W, C] in [0, 255].
    """

    ids: np.ndarray
    centers: np.ndarray

    @property
    def labels(self) -> Labels:
        """The clusters as class labels, named "0", "1" and so on."""
        return Labels(self.ids, [*map(str, range(len(self.centers)))])


def find_centers(images: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """The centers found by k-means, sorted by decreasing cluster size.

    They are deterministic on one machine; another may round differently.

    Args:
        images: uint8 [N, H, W, C], at least as many as `clusters`.
        clusters: the number of clusters.
        seed: the seed of the initial centers.

    Returns:
        float32 [clusters, H, W, C], or fewer if there are fewer distinct images.
    """
    from sklearn.cluster import KMeans  # slow to import
    from sklearn.decomposition import PCA
    from sklearn.exceptions import ConvergenceWarning

    pixels = images.reshape(len(images), -1).astype(np.float32)
    pca = PCA(min(COMPONENTS, *pixels.shape), svd_solver="covariance_eigh")
    k_means = KMeans(clusters, n_init=INITIALIZATIONS, random_state=seed)
    # One thread, because the order of sums affects rounding.
    with threadpoolctl.threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct images than clusters
        components = pca.fit_transform(pixels)
        assigned = k_means.fit_predict(components)
        sizes = np.bincount(assigned, minlength=clusters)
        largest_first = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
        # Not `cluster_centers_`, which may be wrong if fewer images differ (scikit-learn 1.9).
        means = [components[assigned == cluster].mean(axis=0) for cluster in largest_first]
        centers = pca.inverse_transform(np.stack(means))
    return centers.reshape(-1, *images.shape[1:]).astype(np.float32)


def nearest_centers(images: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """The index of the center nearest to each image, int64 [N].

    Args:
        images: uint8 [N, H, W, C].
        centers: float32 [clusters, H, W, C].
    """
    pixels, flat = (each.reshape(len(each), -1).astype(np.float64) for each in (images, centers))
    with threadpoolctl.threadpool_limits(1):
        return ((flat**2).sum(axis=1) - 2 * pixels @ flat.T).argmin(axis=1)
