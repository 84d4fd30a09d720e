"""What settings can name, one row each: datasets, architectures, losses, augmentations, penalties.

A row gives its functions as `module:function`, as in `.losses:generator_loss` for one of this
package. `resolve` looks them up when they are needed: flags are read, checked and explained before
TensorFlow is imported.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple


class Dataset(NamedTuple):
    """How a dataset is loaded and evaluated.

    Attributes:
        load_images: from a `Config` and a split to images, uint8 [N, H, W, C] in [0, 255].
        load_labels: from the same to the ids of their classes, int [N]; None without labels.
        feature_extractor: what compares generated images with real ones, a key of
            `evaluation.feature_extractors.FEATURE_EXTRACTORS`.
        class_names: from a `Config` to the names of the classes; None if these are their ids.
        report: from a `Config` to what became of its pictures, a `datasets.report.Report`; None
            for sets that are used as a whole.
    """

    load_images: str
    load_labels: str | None
    feature_extractor: str
    class_names: str | None = None
    report: str | None = None


class Architecture(NamedTuple):
    """A generator and a discriminator: from a `Config` and an image shape to their layers."""

    generator: str
    discriminator: str


class LossRow(NamedTuple):
    """An adversarial loss.

    Attributes:
        discriminator, generator: from the logits of real and of generated images to the loss of
            each model.
        probabilities: whether sigmoid(logits) is the probability that an image is real.
        smoothable: whether it has a target for real images, so that the discriminator's loss takes
            `label_smoothing`.
        relative: whether the generator's loss depends on the logits of real images.
        threshold: the logit from which on an image is taken for real; None if there is no such, and
            logits can only be compared with each other.
    """

    discriminator: str
    generator: str
    probabilities: bool = False
    smoothable: bool = False
    relative: bool = False
    threshold: float | None = 0.0


class PenaltyRow(NamedTuple):
    """A term of the discriminator's loss that bounds its slope.

    Attributes:
        function: the penalty of the images of a step, without its factor.
        name: what a run's first lines call it.
        interval: it is due in every `interval`-th step, and `interval` times as large there.
    """

    function: str
    name: str
    interval: int = 1


DATASETS = {
    "mnist": Dataset(
        ".datasets.named:load_mnist_images",
        ".datasets.named:load_mnist_labels",
        "mnist_classifier",
    ),
    "fashion_mnist": Dataset(
        ".datasets.named:load_fashion_mnist_images",
        ".datasets.named:load_fashion_mnist_labels",
        "trained_classifier",
        ".datasets.named:fashion_mnist_classes",
    ),
    "cifar10": Dataset(
        ".datasets.named:load_cifar10_images",
        ".datasets.named:load_cifar10_labels",
        "trained_classifier",
        ".datasets.named:cifar10_classes",
    ),
    "stacked_mnist": Dataset(
        ".datasets.named:load_stacked_mnist_images", None, "stacked_mnist_classifier"
    ),
    "folder": Dataset(
        ".datasets.folder:load_folder",
        ".datasets.folder:load_folder_labels",
        "label_classifier",
        ".datasets.folder:folder_class_names",
        ".datasets.folder:folder_report",
    ),
    "tfrecords": Dataset(".datasets.tfrecords:load_tfrecords", None, "pixels_and_edges"),
    "arrays": Dataset(
        ".datasets.passed:load_passed",
        ".datasets.passed:load_passed_labels",
        "label_classifier",
        ".datasets.passed:passed_class_names",
    ),
}

ARCHITECTURES = {
    "tutorial": Architecture(".models:tutorial_generator", ".models:tutorial_discriminator"),
    "paper": Architecture(
        ".architectures.paper:paper_generator",
        ".architectures.paper:paper_discriminator",
    ),
    "blocks": Architecture(
        ".architectures.paper:paper_generator",
        ".architectures.paper:blocks_discriminator",
    ),
    "upsample": Architecture(
        ".architectures.upsample:upsample_generator",
        ".architectures.upsample:upsample_discriminator",
    ),
}

LOSSES = {
    "bce": LossRow(
        ".losses:discriminator_loss",
        ".losses:generator_loss",
        probabilities=True,
        smoothable=True,
    ),
    "minimax": LossRow(
        ".losses:discriminator_loss",
        ".losses:minimax_generator_loss",
        probabilities=True,
        smoothable=True,
    ),
    "least_squares": LossRow(
        ".losses:least_squares_discriminator_loss",
        ".losses:least_squares_generator_loss",
        smoothable=True,
        threshold=0.5,
    ),
    "hinge": LossRow(".losses:hinge_discriminator_loss", ".losses:score_generator_loss"),
    "relativistic": LossRow(
        ".losses:relativistic_discriminator_loss",
        ".losses:relativistic_generator_loss",
        relative=True,
        threshold=None,
    ),
    "wasserstein": LossRow(
        ".losses:wasserstein_critic_loss", ".losses:score_generator_loss", threshold=None
    ),
}

# Keyed by the setting that holds its factor.
PENALTIES = {
    # Lazily, as in Karras et al., 2020, section 3.1 (there every 16th step, with Adam's constants
    # adjusted to it; here they are not).
    "r1_gamma": PenaltyRow(".regularization.penalties:r1_penalty", "R1", interval=8),
    "r2_gamma": PenaltyRow(".regularization.penalties:r2_penalty", "R2", interval=8),
    "gradient_penalty": PenaltyRow(
        ".regularization.penalties:gradient_penalty", "the gradient penalty"
    ),
}

# In the order in which they are applied.
AUGMENTATIONS = {
    "color": ".regularization.augmentation:color",
    "translation": ".regularization.augmentation:translation",
    "cutout": ".regularization.augmentation:cutout",
}


def resolve(function: str) -> Any:
    """The function that a row names."""
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module, "dcgan_tf"), name)
