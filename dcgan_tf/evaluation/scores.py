"""The metrics of generated images, one row each."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from dcgan_tf.evaluation.metrics import (
    ClassScores,
    Manifolds,
    class_scores,
    frechet_distance,
    kernel_distance,
    manifolds,
)

MAX_CLASSES = 10
MIN_IMAGES = 100
FEATURES_SEPARATOR = "_by_"  # between the name of a metric and that of its features

Value = float | np.ndarray  # a number, or one for each class, float64 [classes]


@dataclasses.dataclass(eq=False)
class Comparison:
    """The argument of the metrics. Results that several metrics need are computed once.

    Args:
        real: the features of real images, float [N, features].
        generated: the features of generated images, float [M, features].
        probabilities: the class probabilities of generated images, float [M, classes]; None if the
            feature extractor has no classes.
        real_labels: the labels of the real images, int [N], in a conditional run.
        labels: the requested labels of the generated images, int [M].
        num_classes: the number of classes of both labels.
    """

    real: np.ndarray
    generated: np.ndarray
    probabilities: np.ndarray | None
    real_labels: np.ndarray | None = None
    labels: np.ndarray | None = None
    num_classes: int = 0

    @functools.cached_property
    def kid(self) -> tuple[float, float]:
        return kernel_distance(self.real, self.generated)

    @functools.cached_property
    def manifolds(self) -> Manifolds:
        return manifolds(self.real, self.generated)

    @functools.cached_property
    def classes(self) -> ClassScores:
        assert self.probabilities is not None, "the feature extractor has no classes"
        return class_scores(self.probabilities)

    @property
    def label_agreement(self) -> float:
        """The fraction of generated images that are classified as their requested class."""
        assert self.probabilities is not None and self.labels is not None
        return float((self.probabilities.argmax(axis=1) == self.labels).mean())

    @property
    def class_distances(self) -> np.ndarray:
        """The Fréchet distance within each class; NaN for a class with fewer than two images."""
        assert self.real_labels is not None and self.labels is not None
        pairs = [
            (self.real[self.real_labels == label], self.generated[self.labels == label])
            for label in range(self.num_classes)
        ]
        return np.array(
            [frechet_distance(*pair) if min(map(len, pair)) > 1 else np.nan for pair in pairs]
        )


class Panel(NamedTuple):
    """A panel of evaluations.png: the label, scale and limits of its y-axis."""

    label: str
    scale: str = "linear"
    limits: tuple[float | None, float | None] = (None, None)


class Metric(NamedTuple):
    """A row of METRICS.

    Attributes:
        label: the label in tables and plots.
        function: computes the value from a `Comparison`.
        of_classes: whether it needs class probabilities.
        of_labels: whether it needs labels, which a conditional run has.
        min_images: the number of images in each set below which the value is meaningless.
        in_training: whether it is cheap enough to be computed during training, too.
        baseline: the name of its value for real images, if that is recorded during training.
        scale: the factor by which a value is multiplied before it is shown.
        digits: the number of decimals that are shown.
        panel: the panel of evaluations.png, if it is drawn.
    """

    label: str
    function: Callable[[Comparison], Value]
    of_classes: bool = False
    of_labels: bool = False
    min_images: int = 0
    in_training: bool = False
    baseline: str | None = None
    scale: float = 1.0
    digits: int = 3
    panel: Panel | None = None

    def show(self, value: Value) -> str:
        """The value as text, for tables and progress lines."""
        if isinstance(value, np.ndarray):
            return " ".join(f"{100 * fraction:.0f}" for fraction in value) + " %"
        return f"{value * self.scale:.{self.digits}f}"

    def show_class(self, value: float | None) -> str:
        """The value of one class as text, for a metric with a value for each class."""
        if value is None:
            return "-"
        return self.show(value) if self.of_labels else f"{value:.1%}"


DISTANCE = Panel("Fréchet distance", scale="log")
OVERLAP = Panel("fraction of images", limits=(0, 1))
CLASSES = Panel("fraction in each class", limits=(0, None))

# By their names in metrics.csv, evaluation.json, TensorBoard and checkpoints.
METRICS = {
    "frechet_distance": Metric(
        "Fréchet distance",
        lambda both: frechet_distance(both.real, both.generated),
        in_training=True,
        baseline="frechet_baseline",
        panel=DISTANCE,
    ),
    "kid": Metric("KID × 1000", lambda both: both.kid[0], min_images=MIN_IMAGES, scale=1000),
    "kid_standard_error": Metric(
        "  its standard error", lambda both: both.kid[1], min_images=MIN_IMAGES, scale=1000
    ),
    "precision": Metric(
        "precision",
        lambda both: both.manifolds.precision,
        min_images=MIN_IMAGES,
        in_training=True,
        panel=OVERLAP,
    ),
    "recall": Metric(
        "recall",
        lambda both: both.manifolds.recall,
        min_images=MIN_IMAGES,
        in_training=True,
        panel=OVERLAP,
    ),
    "density": Metric("density", lambda both: both.manifolds.density, min_images=MIN_IMAGES),
    "coverage": Metric("coverage", lambda both: both.manifolds.coverage, min_images=MIN_IMAGES),
    "classifier_score": Metric(
        "classifier score", lambda both: both.classes.score, of_classes=True
    ),
    "class_divergence": Metric(
        "KL from uniform classes", lambda both: both.classes.divergence, of_classes=True
    ),
    "classes_missed": Metric(
        "classes missed",
        lambda both: both.classes.missed,
        of_classes=True,
        in_training=True,
        digits=0,
    ),
    "class_distribution": Metric(
        "class distribution",
        lambda both: both.classes.distribution,
        of_classes=True,
        in_training=True,
        panel=CLASSES,
    ),
    "label_agreement": Metric(
        "classified as requested",
        lambda both: both.label_agreement,
        of_classes=True,
        of_labels=True,
        in_training=True,
        panel=OVERLAP,
    ),
    "class_distances": Metric(
        "Fréchet distance", lambda both: both.class_distances, of_labels=True
    ),
}

IN_TRAINING = tuple(name for name, metric in METRICS.items() if metric.in_training)


class Evaluation(NamedTuple):
    """The result of an evaluation during training.

    Attributes:
        step: the step after which the generator was evaluated.
        values: the values by the names of metrics and baselines.
        features: the name of the features, `FeatureExtractor.features`.
    """

    step: int
    values: dict[str, Value]
    features: str = ""

    def key(self, name: str) -> str:
        """The name of a value, with the name of the features if they have one."""
        return f"{name}{FEATURES_SEPARATOR}{self.features}" if self.features else name

    def columns(self) -> dict[str, float]:
        """The columns in metrics.csv and the curves in TensorBoard.

        The class distribution has a column per class, or none with more than MAX_CLASSES classes.
        """
        columns: dict[str, float] = {}
        for name, value in self.values.items():
            if not isinstance(value, np.ndarray):
                columns[self.key(name)] = value
            elif len(value) <= MAX_CLASSES:
                columns |= {f"class_{i}": float(fraction) for i, fraction in enumerate(value)}
        return columns


def comparable(evaluations: list[Evaluation]) -> list[Evaluation]:
    """The evaluations with the same features and the same baseline as the last one.

    Distances between different features, or to different held-out images, can't be compared.
    """

    def baseline(evaluation: Evaluation) -> Value:
        return evaluation.values.get("frechet_baseline", 0.0)

    return [
        each
        for each in evaluations
        if each.features == evaluations[-1].features
        and np.allclose(baseline(each), baseline(evaluations[-1]), rtol=0.01, equal_nan=True)
    ]
