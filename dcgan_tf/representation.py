"""The discriminator's features, and the linear classifier that judges them."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.svm import LinearSVC

from dcgan_tf.data import Images, apply_to
from dcgan_tf.discrimination import as_packs
from dcgan_tf.errors import UserError

POOLED = 4
REGULARISATION = 0.01


def pooled_activations(discriminator: keras.Sequential, images: tf.Tensor) -> tf.Tensor:
    """Every convolution's activations, max-pooled to 4×4, flattened and concatenated.

    What is taken is what the next block gets: the activations after batch norm and LeakyReLU.
    Maps smaller than 4×4 stay as they are; the one logit of a last convolution is no feature.

    Args:
        discriminator: a Sequential model.
        images: float32 [N, H, W, C] in [-1, 1].

    Returns:
        float32 [N, features].
    """
    values = as_packs(discriminator, images)
    features, pending = [], False
    for layer in discriminator.layers:
        starts_block = isinstance(layer, keras.layers.Conv2D | keras.layers.Flatten)
        if pending and (starts_block or layer is discriminator.layers[-1]):
            features.append(pool(values))
            pending = False
        values = layer(values, training=False)
        pending = pending or (isinstance(layer, keras.layers.Conv2D) and layer.filters > 1)
    return tf.concat(features, axis=1)


def pool(maps: tf.Tensor) -> tf.Tensor:
    """The greatest values of at most 4×4 fields of each map, float32 [N, fields · filters]."""
    side = -(-maps.shape[1] // POOLED)
    pooled = tf.nn.max_pool2d(maps, side, side, "SAME")
    return tf.reshape(pooled, [-1, int(np.prod(pooled.shape[1:]))])


def extract(discriminator: keras.Sequential | None, images: Images) -> np.ndarray:
    """Features of images, float32 [N, features]; without a discriminator, their pixels.

    Args:
        discriminator: whose activations are taken.
        images: uint8 [N, H, W, C].
    """

    def view(batch: tf.Tensor) -> tf.Tensor:
        if discriminator is None:
            return tf.reshape(batch, [-1, int(np.prod(images.shape[1:]))])
        return pooled_activations(discriminator, batch)

    return apply_to(images, view)


def pick_labelled(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The numbers of `count` random images, as nearly as many of each class as can be.

    Raises:
        UserError: a class has too few.
    """
    rng = np.random.default_rng(seed)
    classes = np.unique(labels)
    chosen = []
    for i, each in enumerate(classes):
        wanted = count // len(classes) + (i < count % len(classes))
        members = np.flatnonzero(labels == each)
        if wanted > len(members):
            raise UserError(f"--labels {count}: class {each} has {len(members):,} images only")
        chosen.append(rng.permutation(members)[:wanted])
    return np.concatenate(chosen)


def accuracy(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> float:
    """The share of test images that a linear L2-SVM on the training images gets right."""
    machine = make_pipeline(MaxAbsScaler(), LinearSVC(C=REGULARISATION, random_state=0))
    return float(machine.fit(train, train_labels).score(test, test_labels))
