"""How good generated images are: compared with real ones that no training saw."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import keras
import numpy as np

from dcgan_tf.conditional.labels import UNLABELLED, Classes, Labels
from dcgan_tf.datasets.disk_images import Images
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

LEAST_IMAGES = 20
IMAGES_A_FEATURE = 4
MEMORY_SIZE = 16
SAMPLING_BATCH = 500
CLOSEST = 12

logger = logging.getLogger(__name__)


class Memorisation(NamedTuple):
    """How near images come to the training images, beside how near held-out images come.

    Distances are root mean squares of differences of pixels, in [0, 255], of images that are
    shrunk to MEMORY_SIZE pixels a side.

    Attributes:
        distance: the median distance of a generated image to its nearest training image.
        held_out_distance: the same of held-out images.
        closer: the fraction of generated images that are nearer to a training image than 99 % of
            the held-out ones are that are no copies: 0.01 where nothing is memorised.
    """

    distance: float
    held_out_distance: float
    closer: float


class Labelled(NamedTuple):
    """Images, uint8 [N, H, W, C], and the numbers of their classes, int [N], if known."""

    images: Images
    numbers: np.ndarray | None

    def map(self, function: Callable[[Any], Any]) -> Labelled:
        """The same part of both."""
        return Labelled(
            function(self.images), None if self.numbers is None else function(self.numbers)
        )


class Evaluator:
    """Compares images with the held-out ones of a dataset.

    Args:
        config: names the dataset.
        training: the training images, uint8 [N, H, W, C] in [0, 255].
        num_images: of how many images, at most, each set is made; None for as many as the feature
            extractor takes during training.
        metrics: the names of those to compute.
        feature_extractor: in place of the dataset's own.
        labels: of the training images, in a conditional run.
        held_out: in place of the dataset's own.
        classes: that the images are drawn of; by default those of the labels.

    Raises:
        UserError: there are too few images, or no feature extractor can be had.
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
        classes: Classes = UNLABELLED,
    ) -> None:
        self.config = config
        self.classes = labels.classes if labels else classes
        self.feature_extractor = feature_extractor or make_feature_extractor(config)
        self.num_images = num_images or self.feature_extractor.training_images
        labelled = Labelled(training, labels.ids if labels else None)
        compared, training_set, self.compared_with = (
            find_held_out(config, labelled, self.num_images)
            if held_out is None
            else (Labelled(held_out, None), labelled, "held-out")
        )
        self.training = training_set.images
        few = functools.partial(spread, number=self.num_images)
        self.held_out, self.real_labels = compared.map(few)
        if len(self.training) < LEAST_IMAGES:
            raise UserError(
                f"{config.data_dir or config.dataset} has {len(self.training)} training images to "
                f"compare with: at least {LEAST_IMAGES} are needed"
            )
        # Read now, so that damaged images are found before training.
        self.reference = training_set.map(few)
        self.metrics = {name: METRICS[name] for name in metrics}

    @functools.cached_property
    def real(self) -> Features:
        """The features of the held-out images."""
        return self.feature_extractor(self.held_out)

    def warning(self) -> str | None:
        """Why the Fréchet distance is not to be trusted, if so."""
        features = self.real.features.shape[1]
        enough = IMAGES_A_FEATURE * features
        number = min(self.num_images, len(self.held_out))
        if number < enough:
            return (
                f"{number:,} images are few for the {features:,} features whose covariances the "
                f"Fréchet distance compares: it is too large; KID is not"
            )
        if self.real_labels is None or (number := np.bincount(self.real_labels).min()) >= enough:
            return None
        return (
            f"some class has {number:,} images only, few for the {features:,} features whose "
            f"covariances the Fréchet distance compares: the classes' own are too large"
        )

    @property
    def sample_labels(self) -> np.ndarray | None:
        """The labels that `samples` were asked for, int [num_images].

        None if there are none, or if they are those of clusters, which other images do not have.
        """
        if self.real_labels is None:
            return None
        return self.classes.draw(self.config.seed, range(self.num_images))

    def samples(self, generator: keras.Sequential) -> np.ndarray:
        """The images to evaluate, uint8 [num_images, H, W, C]: those of the run's own seed."""
        config = self.config
        images = (config.seed, self.num_images, SAMPLING_BATCH)
        return np.concatenate([*sample_images(generator, config, *images, classes=self.classes)])

    def scores(self, images: Images, labels: np.ndarray | None = None) -> dict[str, Value]:
        """Compares images with the held-out ones.

        Args:
            images: uint8 [N, H, W, C] in [0, 255], generated ones or real ones.
            labels: theirs, int [N], in a conditional run.

        Returns:
            Each metric's value by its name; without those for which there are too few images,
            those of classes if the feature extractor knows none, and the labels' agreement with
            them if it knows fewer than the run has.
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
        """The scores of as many training images: the best that can be hoped for."""
        return self.scores(*self.reference)

    def evaluation(self, step: int, generator: keras.Sequential) -> Evaluation:
        """What is recorded of the generator after a step, during training."""
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
        """How near each held-out image comes to its nearest training image."""
        return self.nearest_training(self.held_out)[0]

    def nearest_training(self, images: Images) -> tuple[np.ndarray, np.ndarray]:
        """As `nearest`, among the training images as the run sees them (`flip`)."""
        return nearest(shrink(images, MEMORY_SIZE), self.shrunk_training, mirrored=self.config.flip)

    def memorisation(self, images: np.ndarray) -> tuple[Memorisation, np.ndarray, np.ndarray]:
        """How near images come to the training images.

        Returns:
            The figures; each image's distance; and which training image is its nearest.
        """
        distances, which = self.nearest_training(images)
        held_out = self.held_out_distances
        unlike = held_out[held_out > 0]  # some sets hold an image twice
        closer = (distances < (np.quantile(unlike, 0.01) if len(unlike) else 0)).mean()
        figures = Memorisation(
            float(np.median(distances)), float(np.median(held_out)), float(closer)
        )
        return figures, distances, which


def evaluate_run(
    run: RunDirectory, checkpoint: str | None, num_images: int, inception_weights: str | None
) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Evaluates checkpoints of a run.

    Args:
        run: the run.
        checkpoint: the step of one, "best", or "all" that are intact; None for the newest.
        num_images: how many images of each kind, at most.
        inception_weights: in place of those that the run was given; None for them.

    Returns:
        What was found, ready for JSON; and, of the last checkpoint, the CLOSEST images to a
        training image: first these training images, then the generated ones, uint8 [N, H, W, C].

    Raises:
        UserError: there is no such run or checkpoint, its images are not to be had any more, or
            they can't be evaluated.
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
        memorisation, distances, which = evaluator.memorisation(images)
        scores = to_json(evaluator.scores(images, evaluator.sample_labels))
        found["checkpoints"][step] = scores | {"memorisation": memorisation._asdict()}
    order = distances.argsort()[:CLOSEST]
    return found, evaluator.training[which[order]], images[order]


def load_all(run: RunDirectory) -> list[tuple[keras.Sequential, Config, int]]:
    """The generators of all checkpoints, oldest first, but for damaged ones, which are warned of.

    Raises:
        UserError: there are none, or none is intact.
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
    config: Config, training: Labelled, num_images: int
) -> tuple[Labelled, Labelled, str]:
    """The images to compare with, the training images for the baseline, and which the first are.

    Where none or too few are held out, they are two halves of the training images.

    Raises:
        UserError: there are too few of both, or held-out images lack their labels.
    """
    try:
        images = load_held_out(config)
        reason = f"{config.data_dir or config.dataset} has only {len(images)} held-out images"
    except DamagedImages:
        raise
    except UserError as error:
        images, reason = training.images[:0], str(error)
    if len(images) >= LEAST_IMAGES:
        numbers = None if training.numbers is None else load_labels(config, "test")
        if numbers is not None and len(numbers) != len(images):
            raise UserError(
                f"{config.data_dir or config.dataset} has {len(images):,} held-out images and "
                f"{len(numbers):,} labels of them: it needs a label for each"
            )
        return Labelled(images, numbers), training, "held-out"
    both = training.map(functools.partial(spread, number=2 * num_images))
    if len(both.images) < 2 * LEAST_IMAGES:
        raise UserError(
            f"{reason}, and of {len(both.images)} training images at least {2 * LEAST_IMAGES} are "
            f"needed to compare with in their place"
        )
    logger.warning(
        "%s: generated images are compared with one half of the training images, and the other "
        "half is the baseline",
        reason,
    )
    return both.map(lambda each: each[::2]), both.map(lambda each: each[1::2]), "training"


def to_json(scores: dict[str, Value]) -> dict[str, Any]:
    """Scores as Python's own numbers and lists; None is what is not a number."""
    arrays = {name: np.asarray(value) for name, value in scores.items()}
    return {name: np.where(np.isnan(a), np.array(None), a).tolist() for name, a in arrays.items()}


def spread(images: Images, number: int) -> np.ndarray:
    """At most so many images, or labels of theirs, from all over the set."""
    return images[np.linspace(0, len(images) - 1, min(number, len(images))).astype(int)]
