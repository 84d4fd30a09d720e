"""Tables of the names that settings accept: datasets, architectures, losses, and so on.

Each row gives its functions as `module:function`, such as `.losses:generator_loss`. `resolve`
imports them on first use, because flags are parsed before TensorFlow is imported.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple


class Dataset(NamedTuple):
    """How a dataset is loaded and evaluated.

    Attributes:
        load_images: maps a `Config` and a split to images, uint8 [N, H, W, C] in [0, 255].
        load_labels: maps the same to class ids, int [N]; None for datasets without labels.
        feature_extractor: a key of `evaluation.feature_extractors.FEATURE_EXTRACTORS`, used to
            compare generated images with real ones.
        class_names: maps a `Config` to the class names; None to use the class ids.
        report: maps a `Config` to a `datasets.report.Report` on what was done with each picture;
            None for datasets that are always used in full.
    """

    load_images: str
    load_labels: str | None
    feature_extractor: str
    class_names: str | None = None
    report: str | None = None


class Architecture(NamedTuple):
    """Functions that map a `Config` and an image shape to the layers of each model."""

    generator: str
    discriminator: str


class LossRow(NamedTuple):
    """An adversarial loss.

    Attributes:
        discriminator, generator: map the logits of real and generated images to each model's loss.
        probabilities: whether sigmoid(logits) is the probability that an image is real.
        smoothable: whether real images have a target, and the discriminator's loss accepts
            `label_smoothing`.
        relative: whether the generator's loss depends on the logits of real images.
        threshold: images with a higher logit are classified as real; None if logits can only be
            compared with each other.
    """

    discriminator: str
    generator: str
    probabilities: bool = False
    smoothable: bool = False
    relative: bool = False
    threshold: float | None = 0.0


class PenaltyRow(NamedTuple):
    """A term of the discriminator's loss that limits its gradient.

    Attributes:
        function: the penalty, without its factor.
        name: how a run's first lines refer to it.
        interval: the penalty is added every `interval` steps, multiplied by `interval`.
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
        "residual_classifier",
        ".datasets.named:fashion_mnist_classes",
    ),
    "cifar10": Dataset(
        ".datasets.named:load_cifar10_images",
        ".datasets.named:load_cifar10_labels",
        "residual_classifier",
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

# Keyed by the setting that is the factor.
PENALTIES = {
    # Lazy regularization, Karras et al., 2020, section 3.1. The paper uses an interval of 16 and
    # adjusts Adam's constants; here they are not adjusted.
    "r1_gamma": PenaltyRow(".regularization.penalties:r1_penalty", "R1", interval=8),
    "r2_gamma": PenaltyRow(".regularization.penalties:r2_penalty", "R2", interval=8),
    "gradient_penalty": PenaltyRow(
        ".regularization.penalties:gradient_penalty", "the gradient penalty"
    ),
}

# In the order of application.
AUGMENTATIONS = {
    "color": ".regularization.augmentation:color",
    "translation": ".regularization.augmentation:translation",
    "cutout": ".regularization.augmentation:cutout",
}


def resolve(function: str) -> Any:
    """Imports and returns the function that a row names."""
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module, "dcgan_tf"), name)
