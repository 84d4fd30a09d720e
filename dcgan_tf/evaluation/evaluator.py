"""Compares generated images with held-out images."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import keras
import numpy as np

from dcgan_tf.conditional.labels import NO_CLASSES, Classes, Labels
from dcgan_tf.datasets.disk_images import Images, spaced_indices
from dcgan_tf.datasets.loading import load_held_out, load_labels, load_training_labels, shrink
from dcgan_tf.evaluation.feature_extractors import (
    FeatureExtractor,
    Features,
    make_feature_extractor,
)
from dcgan_tf.evaluation.metrics import nearest
from dcgan_tf.evaluation.scores import METRICS, Comparison, Evaluation, Value
from dcgan_tf.run.run_directory import RunDirectory, load_training_images
from dcgan_tf.sampling.sampler import checkpoint_names, load_generator, sample_images
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import DamagedImages, UserError

MIN_IMAGES = 20
MIN_IMAGES_PER_FEATURE = 4
MEMORY_SIZE = 16
SAMPLING_BATCH = 500
NUM_CLOSEST = 12

logger = logging.getLogger(__name__)


class Memorization(NamedTuple):
    """Distances of generated and of held-out images to their nearest training images.

    A distance is the root mean square difference of pixels in [0, 255], after images are shrunk to
    MEMORY_SIZE pixels a side.

    Attributes:
        distance: the median distance of generated images.
        held_out_distance: the median distance of held-out images.
        closer: the fraction of generated images that are nearer to a training image than 99% of
            the held-out images that are not copies: 0.01 if nothing is memorized.
    """

    distance: float
    held_out_distance: float
    closer: float


class LabeledImages(NamedTuple):
    """Images, uint8 [N, H, W, C], and their class ids, int [N], if known."""

    images: Images
    labels: np.ndarray | None

    def map(self, function: Callable[[Any], Any]) -> LabeledImages:
        """Applies a function to both, such as a selection."""
        return LabeledImages(
            function(self.images), None if self.labels is None else function(self.labels)
        )


class Evaluator:
    """Compares images with the held-out images of a dataset.

    Args:
        config: names the dataset.
        training: the training images, uint8 [N, H, W, C] in [0, 255].
        num_images: the maximum number of images in each set; None for the number that the feature
            extractor suggests for evaluations during training.
        metrics: the names of the metrics to compute.
        feature_extractor: used in place of the dataset's own.
        labels: the labels of the training images, in a conditional run.
        held_out: used in place of the dataset's held-out images.
        classes: the classes of the generated images; by default, the classes of the labels.

    Raises:
        UserError: there are too few images, or there is no feature extractor.
    """

    def __init__(
        self,
        config: Config,
        training: Images,
        num_images: int | None = None,
        metrics: Iterable[str] = METRICS,
        feature_extractor: FeatureExtractor | None = None,
        labels: Labels | None = None,
        held_out: Images | None = None,
        classes: Classes = NO_CLASSES,
    ) -> None:
        self.config = config
        self.classes = labels.classes if labels else classes
        self.feature_extractor = feature_extractor or make_feature_extractor(config)
        self.num_images = num_images or self.feature_extractor.training_images
        labeled = LabeledImages(training, labels.ids if labels else None)
        compared, training_set, self.compared_with = (
            find_held_out(config, labeled, self.num_images)
            if held_out is None
            else (LabeledImages(held_out, None), labeled, "held-out")
        )
        self.training = training_set.images
        subset = functools.partial(evenly_spaced, max_count=self.num_images)
        self.held_out, self.real_labels = compared.map(subset)
        if len(self.training) < MIN_IMAGES:
            raise UserError(
                f"{config.data_dir or config.dataset} has {len(self.training)} training images to "
                f"compare with: at least {MIN_IMAGES} are needed"
            )
        # Read now, to find damaged images before training.
        self.reference = training_set.map(subset)
        self.metrics = {name: METRICS[name] for name in metrics}

    @functools.cached_property
    def real(self) -> Features:
        """The features of the held-out images."""
        return self.feature_extractor(self.held_out)

    def warning(self) -> str | None:
        """Why the Fréchet distance is unreliable; None if it is reliable."""
        features = self.real.features.shape[1]
        enough = MIN_IMAGES_PER_FEATURE * features
        count = min(self.num_images, len(self.held_out))
        if count < enough:
            kid = "; KID is not" if count >= METRICS["kid"].min_images else ""
            return (
                f"{count:,} images are too few for the covariances of {features:,} features, so "
                f"the Fréchet distance is biased upward{kid}"
            )
        if self.real_labels is None or (count := np.bincount(self.real_labels).min()) >= enough:
            return None
        return (
            f"a class has only {count:,} images, too few for the covariances of {features:,} "
            f"features, so the Fréchet distances of classes are biased upward"
        )

    @property
    def sample_labels(self) -> np.ndarray | None:
        """The requested labels of `samples`, int [num_images].

        None without labels, and for clusters, since held-out images have no cluster labels.
        """
        if self.real_labels is None:
            return None
        return self.classes.draw(self.config.seed, range(self.num_images))

    def samples(self, generator: keras.Sequential) -> np.ndarray:
        """The generated images to evaluate, uint8 [num_images, H, W, C], from the run's seed."""
        config = self.config
        which = (config.seed, self.num_images, SAMPLING_BATCH)
        return np.concatenate([*sample_images(generator, config, *which, classes=self.classes)])

    def scores(self, images: Images, labels: np.ndarray | None = None) -> dict[str, Value]:
        """Compares images with the held-out images.

        Args:
            images: generated or real images, uint8 [N, H, W, C] in [0, 255].
            labels: the labels of the images, int [N], in a conditional run.

        Returns:
            The values of the metrics by name, without metrics that need more images, metrics of
            classes if the feature extractor has none, and the label agreement if it has fewer
            classes than the run.
        """
        features, probabilities = self.feature_extractor(images)
        known = 0 if probabilities is None else probabilities.shape[1]
        comparison = Comparison(
            self.real.features,
            features,
            probabilities,
            self.real_labels,
            labels,
            len(self.classes),
        )
        return {
            name: metric.function(comparison)
            for name, metric in self.metrics.items()
            if min(len(features), len(self.held_out)) >= metric.min_images
            and not (metric.of_classes and probabilities is None)
            and not (metric.of_labels and labels is None)
            and not (metric.of_classes and metric.of_labels and len(self.classes) > known)
        }

    @functools.cached_property
    def baseline(self) -> dict[str, Value]:
        """The scores of the same number of training images: the best that can be expected."""
        return self.scores(*self.reference)

    def evaluation(self, step: int, generator: keras.Sequential) -> Evaluation:
        """The evaluation of a generator after a step, during training."""
        values = {}
        for name, value in self.scores(self.samples(generator), self.sample_labels).items():
            values[name] = value
            if baseline := METRICS[name].baseline:
                values[baseline] = self.baseline[name]
        return Evaluation(step, values, self.feature_extractor.features)

    @functools.cached_property
    def shrunk_training(self) -> np.ndarray:
        return shrink(self.training, MEMORY_SIZE)

    @functools.cached_property
    def held_out_distances(self) -> np.ndarray:
        """The distance of each held-out image to its nearest training image."""
        return self.nearest_training(self.held_out)[0]

    def nearest_training(self, images: Images) -> tuple[np.ndarray, np.ndarray]:
        """Calls `nearest` with the training images, and with mirrored ones under `flip`."""
        return nearest(shrink(images, MEMORY_SIZE), self.shrunk_training, mirrored=self.config.flip)

    def memorization(self, images: np.ndarray) -> tuple[Memorization, np.ndarray, np.ndarray]:
        """The distances of images to their nearest training images.

        Returns:
            The summary, the distance of each image, and the index of its nearest training image.
        """
        distances, indices = self.nearest_training(images)
        held_out = self.held_out_distances
        no_copies = held_out[held_out > 0]  # some datasets have an image in both splits
        closer = (distances < (np.quantile(no_copies, 0.01) if len(no_copies) else 0)).mean()
        figures = Memorization(
            float(np.median(distances)), float(np.median(held_out)), float(closer)
        )
        return figures, distances, indices


def evaluate_run(
    run: RunDirectory, checkpoint: str | None, num_images: int, inception_weights: str | None
) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Evaluates checkpoints of a run.

    Args:
        run: the run.
        checkpoint: a step, "best", or "all" for all intact ones; None for the newest.
        num_images: the maximum number of images in each set.
        inception_weights: used in place of the run's own, unless None.

    Returns:
        The results, ready for JSON; and, for the NUM_CLOSEST generated images of the last
        checkpoint that are nearest to a training image, these training images and the generated
        ones, each uint8 [N, H, W, C].

    Raises:
        UserError: there is no such run or checkpoint, its images are no longer available, or they
            can't be evaluated.
    """
    config, _ = run.read_config()
    if inception_weights is not None:
        config = dataclasses.replace(config, inception_weights=inception_weights)
    generators = load_all(run) if checkpoint == "all" else [load_generator(run, checkpoint)]
    training = load_training_images(run)
    labels = load_training_labels(config, training)
    classes = run.read_classes()
    evaluator = Evaluator(config, training, num_images, labels=labels, classes=classes)
    found: dict[str, Any] = {
        "feature_extractor": evaluator.feature_extractor.name,
        "num_images": num_images,
        "compared_with": evaluator.compared_with,
        "num_held_out": len(evaluator.held_out),
        "warning": evaluator.warning(),
        "classes": list(labels.names) if labels else [],
        "real": to_json(evaluator.baseline),
        "checkpoints": {},
    }
    for generator, _, step in generators:
        images = evaluator.samples(generator)
        memorization, distances, indices = evaluator.memorization(images)
        scores = to_json(evaluator.scores(images, evaluator.sample_labels))
        found["checkpoints"][step] = scores | {"memorization": memorization._asdict()}
    order = distances.argsort()[:NUM_CLOSEST]
    return found, evaluator.training[indices[order]], images[order]


def load_all(run: RunDirectory) -> list[tuple[keras.Sequential, Config, int]]:
    """The generators of all intact checkpoints, oldest first, with a warning for damaged ones.

    Raises:
        UserError: there is no intact checkpoint.
    """
    generators, fault = [], None
    for name in checkpoint_names(run):
        try:
            generators.append(load_generator(run, name))
        except UserError as error:
            fault = error
    if fault and not generators:
        raise fault
    return generators


def find_held_out(
    config: Config, training: LabeledImages, num_images: int
) -> tuple[LabeledImages, LabeledImages, str]:
    """The images to compare with, the training images for the baseline, and what the former are.

    If too few images are held out, both are halves of the training images.

    Raises:
        UserError: there are too few images, or held-out images lack their labels.
    """
    try:
        images = load_held_out(config)
        reason = f"{config.data_dir or config.dataset} has only {len(images)} held-out images"
    except DamagedImages:
        raise
    except UserError as error:
        images, reason = training.images[:0], str(error)
    if len(images) >= MIN_IMAGES:
        labels = None if training.labels is None else load_labels(config, "test")
        if labels is not None and len(labels) != len(images):
            raise UserError(
                f"{config.data_dir or config.dataset} has {len(images):,} held-out images but "
                f"{len(labels):,} labels for them: each image needs one"
            )
        return LabeledImages(images, labels), training, "held-out"
    both = training.map(functools.partial(evenly_spaced, max_count=2 * num_images))
    if len(both.images) < 2 * MIN_IMAGES:
        raise UserError(
            f"{reason}, and only {len(both.images)} training images to replace them: at least "
            f"{2 * MIN_IMAGES} are needed"
        )
    logger.warning(
        "%s: generated images are compared with one half of the training images, and the other "
        "half is the baseline",
        reason,
    )
    return both.map(lambda each: each[::2]), both.map(lambda each: each[1::2]), "training"


def to_json(scores: dict[str, Value]) -> dict[str, Any]:
    """Scores as Python numbers and lists, with None in place of NaN."""
    arrays = {name: np.asarray(value) for name, value in scores.items()}
    return {name: np.where(np.isnan(a), np.array(None), a).tolist() for name, a in arrays.items()}


def evenly_spaced(images: Images, max_count: int) -> np.ndarray:
    """An evenly spaced subset of at most `max_count` images, or of their labels."""
    return images[spaced_indices(len(images), max_count)]
