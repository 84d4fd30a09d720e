"""The discriminator's features, and a linear probe on them."""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from scipy.linalg import solve_triangular
from scipy.optimize import minimize
from sklearn.preprocessing import MaxAbsScaler

from dcgan_tf.datasets.disk_images import Images
from dcgan_tf.evaluation.activations import (
    apply_in_batches,
    hidden_convolutions,
    inputs_and_layers,
)
from dcgan_tf.evaluation.classifier import BATCH_SIZE as CLASSIFIER_BATCH_SIZE
from dcgan_tf.evaluation.classifier import classify, train_classifier
from dcgan_tf.settings.errors import UserError

POOLED = 4
REGULARIZATION = 0.01
CLASSIFIER_STEPS = 1000
MIN_CONFIDENCE = 0.95


def pooled_activations(discriminator: keras.Sequential, images: tf.Tensor) -> tf.Tensor:
    """Every convolution's activations, max-pooled to 4×4, flattened and concatenated.

    The activations are those after batch norm and LeakyReLU, the input of the next block. Maps
    smaller than 4×4 are not pooled. The logit of a final convolution is not a feature.

    Args:
        discriminator: a Sequential model.
        images: float32 [N, H, W, C] in [-1, 1].

    Returns:
        float32 [N, features].

    Raises:
        UserError: there is no convolution except the one that computes the logit.
    """
    values, layers = inputs_and_layers(discriminator, images)
    convolutions = hidden_convolutions(layers)
    features, pending = [], False
    for index, layer in enumerate(layers):
        starts_block = isinstance(layer, keras.layers.Conv2D | keras.layers.Flatten)
        if pending and (starts_block or layer is layers[-1]):
            features.append(pool(values))
            pending = False
        values = layer(values, training=False)
        pending = pending or index in convolutions
    return tf.concat(features, axis=1)


def pool(maps: tf.Tensor) -> tf.Tensor:
    """Max-pools each map to at most 4×4 and flattens it, float32 [N, 16 · filters] at most."""
    sides = [-(-side // POOLED) for side in maps.shape[1:3]]
    pooled = tf.nn.max_pool2d(maps, sides, sides, "SAME")
    return tf.reshape(pooled, [-1, int(np.prod(pooled.shape[1:]))])


def discriminator_features(discriminator: keras.Sequential | None, images: Images) -> np.ndarray:
    """Features of images, float32 [N, features].

    Args:
        discriminator: the source of the features; None to use the pixels.
        images: uint8 [N, H, W, C].
    """

    def features(batch: tf.Tensor) -> tf.Tensor:
        if discriminator is None:
            return tf.reshape(batch, [-1, int(np.prod(images.shape[1:]))])
        return pooled_activations(discriminator, batch)

    return apply_in_batches(images, features)


def pick_labeled(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The indices of `count` random images, with classes as balanced as possible.

    Raises:
        UserError: there are fewer images, or the chosen ones have a single class.
    """
    if count > len(labels):
        raise UserError(f"`labels` {count}: there are only {len(labels):,} images")
    rng = np.random.default_rng(seed)
    members = [rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    ranks = np.concatenate([np.arange(len(each)) for each in members])
    chosen = np.concatenate(members)[np.argsort(ranks, kind="stable")[:count]]
    if len(np.unique(labels[chosen])) < 2:
        raise UserError(f"`labels` {count}: a classifier needs images of at least two classes")
    return chosen


class PseudoLabels(NamedTuple):
    """The effect of generated images on a classifier with few labels.

    Attributes:
        accuracy_without, accuracy_with: the test accuracies of a classifier trained on the labeled
            images alone, and of one also trained on generated images.
        added: the number of generated images that were added.
    """

    accuracy_without: float
    accuracy_with: float
    added: int


def train_with_pseudo_labels(
    images: np.ndarray,
    labels: np.ndarray,
    generated: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    seed: int,
) -> PseudoLabels:
    """Trains a classifier on few labels, and another that also uses generated images.

    The first classifier labels the generated images (Lee, 2013, Pseudo-Label). Those with a
    probability above MIN_CONFIDENCE are added. Both classifiers train for CLASSIFIER_STEPS steps.

    Args:
        images: the labeled images, uint8 [N, H, W, C].
        labels: their class ids, int [N].
        generated: uint8 [M, H, W, C].
        test: uint8 [T, H, W, C].
        test_labels: int [T].
        seed: the seed of both classifiers.
    """
    classes = int(max(labels.max(), test_labels.max())) + 1

    def train(images: np.ndarray, labels: np.ndarray) -> keras.Sequential:
        epochs = -(-CLASSIFIER_STEPS // -(-len(images) // CLASSIFIER_BATCH_SIZE))
        return train_classifier(images, labels, epochs, seed, False, classes)

    def test_accuracy(classifier: keras.Sequential) -> float:
        return float((classify(classifier, test) == test_labels).mean())

    alone = train(images, labels)
    probabilities = apply_in_batches(
        generated, lambda batch: tf.nn.softmax(alone(batch, training=False))
    )
    confident = probabilities.max(axis=1) > MIN_CONFIDENCE
    pseudo_labels = probabilities[confident].argmax(axis=1).astype(labels.dtype)
    together = (
        np.concatenate([images, generated[confident]]),
        np.concatenate([labels, pseudo_labels]),
    )
    return PseudoLabels(test_accuracy(alone), test_accuracy(train(*together)), int(confident.sum()))


def probe(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> float:
    """The accuracy on test features of a linear L2-SVM fitted to training features.

    Args:
        train: float32 [N, features].
        train_labels: int [N].
        test: float32 [T, features].
        test_labels: int [T].
    """
    scaler = MaxAbsScaler().fit(train)
    weights = fit_svm(scaler.transform(train), train_labels)
    found = (with_ones(scaler.transform(test)) @ weights).argmax(axis=1)
    return float((np.unique(train_labels)[found] == test_labels).mean())


def fit_svm(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The weights of linear L2-SVMs, one for each class against all others.

    They minimize ½‖w‖² + C Σ max(0, 1 − y w·x)², like LIBLINEAR (Fan et al., 2008), with a 1
    appended to the features. L-BFGS fits all classes at once with matrix products, in a small
    fraction of LIBLINEAR's time. Its variables are scaled so that the curvature would be 1 in all
    directions if every image had a loss. Few iterations are then enough.

    Args:
        features: float32 [N, features], ideally in [-1, 1].
        labels: int [N].

    Returns:
        float32 [features + 1, classes], with classes in ascending order.
    """
    return fit_in_span(with_ones(features), labels)


def fit_in_span(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The weights of `fit_svm` for features that end with the appended 1.

    If there are fewer images than features, the weights are linear combinations of the images'
    features, and the problem is solved in that subspace.
    """
    if len(features) < features.shape[1]:
        basis, coordinates = np.linalg.qr(features.T)
        return basis @ fit_in_span(coordinates.T, labels)
    signs = np.where(labels[:, np.newaxis] == np.unique(labels), 1, -1).astype(np.float32)
    shape = features.shape[1], signs.shape[1]
    curvature = np.eye(shape[0]) + 2 * REGULARIZATION * (features.T @ features)
    root = np.linalg.cholesky(curvature)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = weights_of(flat)
        slack = np.maximum(0, 1 - signs * (features @ weights.astype(np.float32)))
        loss = 0.5 * np.sum(weights**2) + REGULARIZATION * np.sum(slack**2, dtype=np.float64)
        gradient = weights - 2 * REGULARIZATION * (features.T @ (signs * slack))
        return loss, solve_triangular(root, gradient, lower=True).ravel()

    def weights_of(flat: np.ndarray) -> np.ndarray:
        return solve_triangular(root, flat.reshape(shape), lower=True, trans="T")

    start = np.zeros(shape[0] * shape[1])
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-8})
    return weights_of(found.x).astype(np.float32)


def with_ones(features: np.ndarray) -> np.ndarray:
    """Features with a 1 appended, whose weight is the bias."""
    return np.append(features, np.ones((len(features), 1), np.float32), axis=1)
