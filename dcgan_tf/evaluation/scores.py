"""The metrics that generated images are evaluated by, one row each."""

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
FEW_IMAGES = 100
FEATURES_SEPARATOR = "_by_"  # between a metric and the features that it compares

Value = float | np.ndarray  # one figure, or float64 [classes]: a fraction for each class


@dataclasses.dataclass(eq=False)
class Comparison:
    """What the metrics are functions of; what several of them need is computed once.

    Args:
        real: the features of real images, float [N, features].
        generated: the features of generated images, float [M, features].
        probabilities: of the generated images' classes, float [M, classes]; None if the feature
            extractor knows no classes.
        real_labels: of the real images, int [N], in a conditional run.
        labels: that the generated images were asked for, int [M].
        num_classes: how many there are of both labels.
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
        assert self.probabilities is not None, "the feature extractor knows no classes"
        return class_scores(self.probabilities)

    @property
    def label_agreement(self) -> float:
        """How many generated images are classified as what they were asked for."""
        assert self.probabilities is not None and self.labels is not None
        return float((self.probabilities.argmax(axis=1) == self.labels).mean())

    @property
    def class_distances(self) -> np.ndarray:
        """The Fréchet distance within each class; nan for one with fewer than two images."""
        assert self.real_labels is not None and self.labels is not None
        pairs = [
            (self.real[self.real_labels == number], self.generated[self.labels == number])
            for number in range(self.num_classes)
        ]
        return np.array(
            [frechet_distance(*pair) if min(map(len, pair)) > 1 else np.nan for pair in pairs]
        )


class Panel(NamedTuple):
    """A panel of evaluations.png: what its y-axis says, and how it is scaled."""

    label: str
    scale: str = "linear"
    limits: tuple[float | None, float | None] = (None, None)


class Metric(NamedTuple):
    """A row of METRICS.

    Attributes:
        label: what people read.
        function: from a Comparison to the value.
        of_classes: whether it needs class probabilities.
        of_labels: whether it needs labels, which a conditional run has.
        min_images: of each kind; of fewer, its value says nothing.
        in_training: whether it is cheap enough to be evaluated during training, too.
        baseline: the name of its value for real images, if that is recorded during training.
        scale: what a value is multiplied by before it is shown.
        digits: how many are shown after the decimal point.
        panel: where evaluations.png draws it.
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
        """The value in words, as its row of the table and the progress line have it."""
        if isinstance(value, np.ndarray):
            return " ".join(f"{100 * fraction:.0f}" for fraction in value) + " %"
        return f"{value * self.scale:.{self.digits}f}"

    def show_class(self, value: float | None) -> str:
        """The value of one class, where there is one for each, as its row of the table has it."""
        if value is None:
            return "-"
        return self.show(value) if self.of_labels else f"{value:.1%}"


DISTANCE = Panel("Fréchet distance", scale="log")
OVERLAP = Panel("fraction of images", limits=(0, 1))
CLASSES = Panel("fraction in each class", limits=(0, None))

# By the names that they have in metrics.csv, evaluation.json, TensorBoard and checkpoints.
METRICS = {
    "frechet_distance": Metric(
        "Fréchet distance",
        lambda both: frechet_distance(both.real, both.generated),
        in_training=True,
        baseline="frechet_baseline",
        panel=DISTANCE,
    ),
    "kid": Metric("KID × 1000", lambda both: both.kid[0], min_images=FEW_IMAGES, scale=1000),
    "kid_standard_error": Metric(
        "  its standard error", lambda both: both.kid[1], min_images=FEW_IMAGES, scale=1000
    ),
    "precision": Metric(
        "precision",
        lambda both: both.manifolds.precision,
        min_images=FEW_IMAGES,
        in_training=True,
        panel=OVERLAP,
    ),
    "recall": Metric(
        "recall",
        lambda both: both.manifolds.recall,
        min_images=FEW_IMAGES,
        in_training=True,
        panel=OVERLAP,
    ),
    "density": Metric("density", lambda both: both.manifolds.density, min_images=FEW_IMAGES),
    "coverage": Metric("coverage", lambda both: both.manifolds.coverage, min_images=FEW_IMAGES),
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
        "classified as asked for",
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
    """What one evaluation during training found.

    Attributes:
        step: the step after which it was made.
        values: by the names of METRICS and of their baselines.
        features: `FeatureExtractor.features`, of what computed them.
    """

    step: int
    values: dict[str, Value]
    features: str = ""

    def key(self, name: str) -> str:
        """A value's name wherever it may stand beside those of other features."""
        return f"{name}{FEATURES_SEPARATOR}{self.features}" if self.features else name

    def columns(self) -> dict[str, float]:
        """Its columns in metrics.csv and curves in TensorBoard.

        The class distribution has one for each class, and none if there are more than MAX_CLASSES.
        """
        columns: dict[str, float] = {}
        for name, value in self.values.items():
            if not isinstance(value, np.ndarray):
                columns[self.key(name)] = value
            elif len(value) <= MAX_CLASSES:
                columns |= {f"class_{i}": float(fraction) for i, fraction in enumerate(value)}
        return columns


def comparable(evaluations: list[Evaluation]) -> list[Evaluation]:
    """Those of the same features as the last, and with its baseline, whatever they have of one.

    Distances by different features, or to different held-out images, can't be compared.
    """

    def baseline(made: Evaluation) -> Value:
        return made.values.get("frechet_baseline", 0.0)

    return [
        made
        for made in evaluations
        if made.features == evaluations[-1].features
        and np.allclose(baseline(made), baseline(evaluations[-1]), rtol=0.01, equal_nan=True)
    ]
