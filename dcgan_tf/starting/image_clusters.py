"""The clusters of a run's images, which are found at its start and kept in its folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dcgan_tf.conditional.clusters import (
    Clusters,
    find_centers,
    nearest_centers,
    oriented_gradients,
)
from dcgan_tf.data import Images
from dcgan_tf.datasets.disk_images import spaced_indices
from dcgan_tf.datasets.loading import resize
from dcgan_tf.datasets.transparency import premultiplied
from dcgan_tf.distributed.cluster import broadcast_all
from dcgan_tf.files.archives import open_archive
from dcgan_tf.files.atomic_files import atomic_write
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.image_size import Size
from dcgan_tf.transfer.init_from import origin_of

SIDE = 32  # of the images that are compared, in pixels
MAX_IMAGES = 20_000  # for k-means
CHUNK = 1000


def find_clusters(config: Config, images: Images, run: RunDirectory | None = None) -> Clusters:
    """The clusters of the training images; each worker must call it at the same point.

    Args:
        config: the settings; there are `clusters` clusters, or fewer if fewer images differ.
        images: the training images, uint8 [N, H, W, C].
        run: the run; if it has clusters already, they are returned. A new run with `init_from`
            takes the centers of the other run, so each cluster keeps its id. None without a run.

    Raises:
        UserError: there are fewer images than clusters, or a file can't be used.
    """
    assert config.clusters
    if len(images) < config.clusters:
        raise UserError(
            f"`clusters` {config.clusters} is more than the {len(images)} training images: use "
            f"fewer"
        )
    if run and run.clusters_file.exists():
        found = read_clusters(run.clusters_file)
    else:
        centers = centers_of(config, images)
        found = Clusters(assign(images, centers), centers)
    # Machines may round differently if an image lies between two centers.
    return found._replace(ids=np.array(broadcast_all(found.ids.tolist()), np.int64))


def centers_of(config: Config, images: Images) -> np.ndarray:
    """The centers of a new run's clusters, see `find_clusters`."""
    if config.init_from:
        other = origin_of(config.init_from)
        if other.clusters_file.exists():
            centers = read_clusters(other.clusters_file).centers
            if centers.shape[3] == images.shape[3]:
                return centers
    some = spaced_indices(len(images), MAX_IMAGES)
    features = np.concatenate([shapes_of(chunk) for chunk in chunks_of(images, some)])
    return find_centers(features, config.clusters or 0, config.seed)


def assign(images: Images, centers: np.ndarray) -> np.ndarray:
    """The index of the center nearest to each image, int64 [N]."""
    chunks = chunks_of(images, np.arange(len(images)))
    if centers.ndim == 4:  # means of images, of an older run
        features = (small(chunk, centers.shape[1:3]) for chunk in chunks)
    else:
        features = (shapes_of(chunk) for chunk in chunks)
    return np.concatenate([nearest_centers(some, centers) for some in features])


def chunks_of(images: Images, indices: np.ndarray) -> Iterator[np.ndarray]:
    """The images with these indices, few at a time, so that a folder's don't fill the memory."""
    return (images[indices[at : at + CHUNK]] for at in range(0, len(indices), CHUNK))


def shapes_of(images: np.ndarray) -> np.ndarray:
    """The features by which images are clustered, float32 [N, rows, columns, C, orientations]."""
    return oriented_gradients(small(images, (SIDE, SIDE)))


def small(images: np.ndarray, size: Size) -> np.ndarray:
    """Images with premultiplied colors, float32 [N, *size, C] in [0, 255]."""
    return premultiplied(resize(images, size)[:].astype(np.float32))


def keep_clusters(run: RunDirectory, clusters: Clusters) -> None:
    """Writes the clusters of a new run into its folder."""
    if not run.clusters_file.exists():
        with atomic_write(run.clusters_file) as file:
            np.savez_compressed(file, numbers=clusters.ids, centers=clusters.centers)


def read_clusters(path: Path) -> Clusters:
    """What `keep_clusters` wrote.

    Raises:
        UserError: it is damaged.
    """
    with open_archive(path) as archive:
        return Clusters(archive["numbers"], archive["centers"])
