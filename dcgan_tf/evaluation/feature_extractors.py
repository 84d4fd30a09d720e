"""Feature extractors: the metrics compare the features that they compute from images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.data import scale
from dcgan_tf.datasets.cache import default_cache_dir, locked
from dcgan_tf.datasets.decoding import parse_color
from dcgan_tf.datasets.disk_images import Images
from dcgan_tf.datasets.loading import resize
from dcgan_tf.datasets.transparency import composite
from dcgan_tf.evaluation.classifier import (
    BATCH_SIZE,
    classify,
    load_classifier,
    load_residual_classifier,
    load_small,
    save_classifier,
    train_classifier,
)
from dcgan_tf.settings.choices import DATASETS
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.keras_settings import compute_in, seeded

INCEPTION_SIZE = 299
BANDS = 4
BAND_SCALE = 0.15  # chosen by the comparison in docs/results/folders.md
MIN_ENERGY = 1e-4
MIN_TEST_IMAGES = 100  # to measure the accuracy of a classifier
SMALL_STEPS = 1_500
CLASSIFIER_VERSION = 1  # increase it if classifiers are built or trained differently


class Features(NamedTuple):
    """The output of a feature extractor.

    Attributes:
        features: float32 [N, features].
        probabilities: class probabilities, float32 [N, classes]; None without classes.
    """

    features: np.ndarray
    probabilities: np.ndarray | None


# From uint8 [N, H, W, C] in [0, 255].
Extract = Callable[[np.ndarray], Features]


class FeatureExtractor(NamedTuple):
    """Turns images into features.

    Attributes:
        name: a short description.
        batch_size: the number of images in a batch.
        extract: computes the features of a batch.
        features: the suffix after "_by_" of metrics in metrics.csv and TensorBoard; empty without
            a suffix.
        training_images: the number of images in an evaluation during training.
    """

    name: str
    batch_size: int
    extract: Extract
    features: str = ""
    training_images: int = 5_000

    def __call__(self, images: Images) -> Features:
        """The features of any number of images, uint8 [N, H, W, C] in [0, 255]."""
        starts = range(0, len(images), self.batch_size)
        batches = [self.extract(images[start : start + self.batch_size]) for start in starts]
        features, probabilities = zip(*batches)
        return Features(
            np.concatenate(features),
            None if probabilities[0] is None else np.concatenate(probabilities),
        )


def make_feature_extractor(config: Config) -> FeatureExtractor:
    """InceptionV3 if its weights are given, else the dataset's feature extractor.

    Raises:
        UserError: it is not available.
    """
    name = DATASETS[config.dataset].feature_extractor
    return FEATURE_EXTRACTORS["inception" if config.inception_weights else name](config)


def mnist_classifier(config: Config) -> FeatureExtractor:
    """The included digit classifier."""
    return FeatureExtractor("MNIST classifier", 1000, extract_by(load_classifier()))


def stacked_mnist_classifier(config: Config) -> FeatureExtractor:
    """The digit classifier on each channel; a class is three digits."""
    extract_digits = extract_by(load_classifier())

    def extract(images: np.ndarray) -> Features:
        features, digits = zip(*(extract_digits(images[..., i : i + 1]) for i in range(3)))
        probabilities = np.einsum("na,nb,nc->nabc", *digits).reshape(len(images), -1)
        return Features(np.concatenate(features, axis=1), probabilities)

    return FeatureExtractor("MNIST classifier, on each channel", 1000, extract)


def residual_classifier(config: Config) -> FeatureExtractor:
    """The included residual network that classifies images of the dataset."""
    extract = extract_by(load_residual_classifier(config.dataset))
    return FeatureExtractor(f"{config.dataset} classifier", 1000, extract, "residual_classifier")


def label_classifier(config: Config) -> FeatureExtractor:
    """A classifier of the labels that a run learns, if it is accurate; else pixels and edges.

    It is accurate if its error on held-out images is less than half that of always predicting the
    most frequent class. It is trained once, then kept in the cache folder.

    Raises:
        UserError: the images or labels can't be read.
    """
    fallback = pixels_and_edges(config)
    if not config.conditional:
        return fallback
    try:
        test, test_labels = load_small(config, "test")
    except UserError:  # no images are held out, or the evaluation reports damaged ones
        return fallback
    if len(test) < MIN_TEST_IMAGES:
        return fallback
    images, labels = load_small(config, "train")
    classes = max(int(labels.max()), int(test_labels.max())) + 1
    epochs = -(-SMALL_STEPS * BATCH_SIZE // len(images))
    classifier = kept_classifier(config.dataset, images, labels, classes, epochs)
    error = (classify(classifier, test) != test_labels).mean()
    baseline_error = 1 - np.bincount(test_labels).max() / len(test)
    known = f"a classifier of the labels has {1 - error:.2%} accuracy"
    if error >= baseline_error / 2:
        return fallback._replace(name=f"{fallback.name}; {known}, too low")
    name = f"classifier of the labels, {1 - error:.2%} accuracy"
    return FeatureExtractor(name, 1000, extract_by(classifier), training_images=1_000)


def kept_classifier(
    dataset: str, images: np.ndarray, labels: np.ndarray, classes: int, epochs: int
) -> keras.Sequential:
    """The classifier of some images from the user's cache folder; trained if it is not there."""
    content = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    path = default_cache_dir() / f"classifier-{dataset}-{CLASSIFIER_VERSION}-{content[:16]}.npz"
    with locked(path):
        try:
            return load_classifier(path, images.shape[1:], classes)
        except (OSError, ValueError):
            print(f"training a classifier of {dataset} once, for evaluations: {path}", flush=True)
            trained = train_classifier(images, labels, epochs, classes=classes)
            save_classifier(trained, path)
            # Loaded again, so its weights are rounded as in every later run.
            return load_classifier(path, images.shape[1:], classes)


def extract_by(classifier: keras.Model) -> Extract:
    """A function that resizes images and computes a classifier's penultimate layer and softmax."""
    outputs = [classifier.layers[-2].output, keras.ops.softmax(classifier.outputs[0])]
    model = tf.function(keras.Model(classifier.inputs, outputs), reduce_retracing=True)

    def extract(images: np.ndarray) -> Features:
        resized = scale(resize(images, classifier.input_shape[1:3]))
        return Features(*(output.numpy() for output in model(resized, training=False)))

    return extract


def pixels_and_edges(config: Config) -> FeatureExtractor:
    """64 features without learned weights, which measure the layout of colors and the sharpness.

    48 are the means of 4×4 parts of the image. The others are, for 2×2 parts, the logarithms of the
    mean squares of the four finest bands of a Laplacian pyramid (Burt and Adelson, 1983). Images
    with transparency have 80, since the means include alpha.
    """

    def extract(images: np.ndarray) -> Features:
        channels = max(3, images.shape[3])
        layer = scale(np.broadcast_to(images, (*images.shape[:3], channels)))
        parts = [tf.image.resize(layer, (4, 4), "area")]
        for _ in range(BANDS):
            coarser = tf.nn.avg_pool2d(layer, 2, 2, "SAME")
            band = layer - tf.image.resize(coarser, layer.shape[1:3])
            energy = tf.image.resize(tf.reduce_mean(band**2, axis=3, keepdims=True), (2, 2), "area")
            parts.append(BAND_SCALE * tf.math.log(energy + MIN_ENERGY))
            layer = coarser
        flat = [tf.reshape(part, [len(images), -1]) for part in parts]
        return Features(tf.concat(flat, axis=1).numpy(), None)

    name = "pixels and edges (no learned features: not FID)"
    return FeatureExtractor(name, 500, extract, "pixels_and_edges", 1_000)


def inception(config: Config) -> FeatureExtractor:
    """InceptionV3 trained on ImageNet, without its top: 2,048 features (Heusel et al., 2017).

    Transparent images are composited on the run's background.

    Raises:
        UserError: its weights can't be downloaded, or are not in the user's file.
    """
    try:
        with locked(default_cache_dir() / "inception"), compute_in("float32"), seeded(0):
            network = keras.applications.InceptionV3(
                include_top=False, pooling="avg", weights=config.inception_weights
            )
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        if config.inception_weights == "imagenet":
            raise UserError(
                f"InceptionV3's weights could not be downloaded ({reason}): pass a file "
                f"as `inception_weights`, or leave it out"
            ) from None
        raise UserError(
            f"`inception_weights` {config.inception_weights} can't be used ({reason}): use "
            f"keras.applications' InceptionV3 weights without top, a .h5 file"
        ) from None
    model, background = tf.function(network, reduce_retracing=True), parse_color(config.background)

    def extract(images: np.ndarray) -> Features:
        size, opaque = (INCEPTION_SIZE, INCEPTION_SIZE), composite(images, np.array(background))
        large = tf.image.resize(np.broadcast_to(opaque, (*images.shape[:3], 3)), size)
        return Features(model(scale(large), training=False).numpy(), None)

    return FeatureExtractor("InceptionV3", 50, extract)


FEATURE_EXTRACTORS = {
    "mnist_classifier": mnist_classifier,
    "stacked_mnist_classifier": stacked_mnist_classifier,
    "residual_classifier": residual_classifier,
    "label_classifier": label_classifier,
    "pixels_and_edges": pixels_and_edges,
    "inception": inception,
}
