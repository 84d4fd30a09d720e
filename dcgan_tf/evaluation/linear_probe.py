"""The discriminator's features, and the linear classifier that probes them."""

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
    unfolded,
)
from dcgan_tf.evaluation.classifier import BATCH_SIZE as CLASSIFIER_BATCH_SIZE
from dcgan_tf.evaluation.classifier import classify, train_classifier
from dcgan_tf.settings.errors import UserError

POOLED = 4
REGULARISATION = 0.01
CLASSIFIER_STEPS = 1000
SURE = 0.95


def pooled_activations(discriminator: keras.Sequential, images: tf.Tensor) -> tf.Tensor:
    """Every convolution's activations, max-pooled to 4×4, flattened and concatenated.

    What is taken is what the next block gets: the activations after batch norm and LeakyReLU.
    Maps smaller than 4×4 stay as they are; the one logit of a last convolution is no feature.

    Args:
        discriminator: a Sequential model.
        images: float32 [N, H, W, C] in [-1, 1].

    Returns:
        float32 [N, features].

    Raises:
        UserError: there is no convolution but that which gives the logit.
    """
    values, layers = unfolded(discriminator, images)
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
    """The greatest values of at most 4×4 fields of each map, float32 [N, fields · filters]."""
    sides = [-(-side // POOLED) for side in maps.shape[1:3]]
    pooled = tf.nn.max_pool2d(maps, sides, sides, "SAME")
    return tf.reshape(pooled, [-1, int(np.prod(pooled.shape[1:]))])


def discriminator_features(discriminator: keras.Sequential | None, images: Images) -> np.ndarray:
    """Features of images, float32 [N, features]; without a discriminator, their pixels.

    Args:
        discriminator: whose activations are taken.
        images: uint8 [N, H, W, C].
    """

    def features(batch: tf.Tensor) -> tf.Tensor:
        if discriminator is None:
            return tf.reshape(batch, [-1, int(np.prod(images.shape[1:]))])
        return pooled_activations(discriminator, batch)

    return apply_in_batches(images, features)


def pick_labelled(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The numbers of `count` random images, as nearly as many of each class as there are.

    Raises:
        UserError: there are fewer images, or those are of one class.
    """
    if count > len(labels):
        raise UserError(f"`labels` {count}: there are {len(labels):,} images only")
    rng = np.random.default_rng(seed)
    members = [rng.permutation(np.flatnonzero(labels == each)) for each in np.unique(labels)]
    in_turn = np.concatenate([np.arange(len(each)) for each in members])
    chosen = np.concatenate(members)[np.argsort(in_turn, kind="stable")[:count]]
    if len(np.unique(labels[chosen])) < 2:
        raise UserError(f"`labels` {count}: to tell classes apart takes images of two at least")
    return chosen


class PseudoLabels(NamedTuple):
    """What generated images do for a classifier that has few labels.

    Attributes:
        accuracy_without, accuracy_with: on test images, of a classifier trained on the labelled
            images alone, and of one with generated images added.
        added: how many were.
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
    """Trains a classifier on few labels, and another on these and on generated images.

    The generated images have no labels: those of which the first classifier is sure are given its
    own (Lee, 2013, Pseudo-Label). Both are trained for CLASSIFIER_STEPS steps.

    Args:
        images: labelled ones, uint8 [N, H, W, C].
        labels: the numbers of their classes, int [N].
        generated: uint8 [M, H, W, C].
        test: uint8 [T, H, W, C].
        test_labels: int [T].
        seed: of both classifiers' training.
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
    sure = probabilities.max(axis=1) > SURE
    guessed = probabilities[sure].argmax(axis=1).astype(labels.dtype)
    together = (np.concatenate([images, generated[sure]]), np.concatenate([labels, guessed]))
    return PseudoLabels(test_accuracy(alone), test_accuracy(train(*together)), int(sure.sum()))


def probe(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> float:
    """The accuracy on test features of a linear L2-SVM that is fitted to the training features.

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

    They minimise ½‖w‖² + C Σ max(0, 1 − y w·x)², where the last feature is 1, as LIBLINEAR's do
    (Fan et al., 2008). L-BFGS fits all classes at once, by products of matrices, in a small part of
    LIBLINEAR's time. Its variables are such that the curvature, if every image counted, would be 1
    in all directions, so that few steps are enough.

    Args:
        features: float32 [N, features], best at most 1 in size.
        labels: int [N].

    Returns:
        float32 [features + 1, classes], the classes in the order of their numbers.
    """
    return fit_in_span(with_ones(features), labels)


def fit_in_span(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The weights of `fit_svm`, where the last feature is 1 already.

    Where there are fewer images than features, the weights are sums of the images' features, and
    these are found: in as many dimensions as there are images.
    """
    if len(features) < features.shape[1]:
        basis, coordinates = np.linalg.qr(features.T)
        return basis @ fit_in_span(coordinates.T, labels)
    signs = np.where(labels[:, np.newaxis] == np.unique(labels), 1, -1).astype(np.float32)
    shape = features.shape[1], signs.shape[1]
    curvature = np.eye(shape[0]) + 2 * REGULARISATION * (features.T @ features)
    root = np.linalg.cholesky(curvature)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = weights_of(flat)
        slack = np.maximum(0, 1 - signs * (features @ weights.astype(np.float32)))
        loss = 0.5 * np.sum(weights**2) + REGULARISATION * np.sum(slack**2, dtype=np.float64)
        gradient = weights - 2 * REGULARISATION * (features.T @ (signs * slack))
        return loss, solve_triangular(root, gradient, lower=True).ravel()

    def weights_of(flat: np.ndarray) -> np.ndarray:
        return solve_triangular(root, flat.reshape(shape), lower=True, trans="T")

    start = np.zeros(shape[0] * shape[1])
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-8})
    return weights_of(found.x).astype(np.float32)


def with_ones(features: np.ndarray) -> np.ndarray:
    """Features with one more, which is 1 everywhere and whose weight is the bias."""
    return np.append(features, np.ones((len(features), 1), np.float32), axis=1)
