"""Evaluates what a discriminator has learned, with a linear probe trained on few labels.

Radford et al., 2016, section 5: a linear L2-SVM on the activations of every convolution, max-pooled
to 4×4, flattened and concatenated. The same probe on raw pixels, and on the features of an
untrained discriminator, serves as a baseline. The probes are trained on labeled training images;
accuracy is measured on test images. --generated also tests whether generated images improve a
classifier that has few labels.
"""

import dataclasses
from pathlib import Path

import numpy as np

from dcgan_tf.commands.flags import parse
from dcgan_tf.commands.program import quiet_tensorflow
from dcgan_tf.commands.run_flags import CheckpointFlags, RunFlags
from dcgan_tf.settings.choices import DATASETS
from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.fields import (
    AT_LEAST_ONE,
    AT_LEAST_ZERO,
    between,
    setting,
)

BATCH_SIZE = 500


@dataclasses.dataclass(frozen=True)
class FeatureFlags(CheckpointFlags, RunFlags):
    """Which discriminator to probe, and on how many labels."""

    labels: int = setting(
        1000, "Data", "labeled training images, the same number of each class", AT_LEAST_ONE
    )
    generated: int = setting(
        0,
        "Data",
        "also train a classifier on the labeled images, without and with this many generated ones",
        between(0, 1_000_000),
    )
    seed: int = setting(0, "Data", "seed that selects the labeled images", AT_LEAST_ZERO)


def main() -> None:
    """Reads the flags, fits a probe on each set of features, and prints the accuracies."""
    (flags,) = parse(__doc__, FeatureFlags)
    with quiet_tensorflow():
        from dcgan_tf.datasets.loading import resize
        from dcgan_tf.evaluation.classifier import load_labeled
        from dcgan_tf.evaluation.linear_probe import (
            discriminator_features,
            pick_labeled,
            probe,
            train_with_pseudo_labels,
        )
        from dcgan_tf.models import make_discriminator
        from dcgan_tf.run.run_directory import RunDirectory, load_training_images
        from dcgan_tf.sampling.sampler import load_discriminator, load_generator, sample_images
        from dcgan_tf.settings.keras_settings import seeded

    run_directory = RunDirectory(Path(flags.run_dir))
    config, _ = run_directory.read_config()
    if DATASETS[config.dataset].load_labels is None:
        raise UserError(
            f"--run_dir {flags.run_dir} was trained on {config.dataset}, which has no labels"
        )
    if config.learns_labels:
        raise UserError(
            f"--run_dir {flags.run_dir} is a conditional run, whose discriminator sees the labels: "
            f"use an unconditional one"
        )
    load_training_images(run_directory)  # raises if they have changed
    discriminator, _, step = load_discriminator(run_directory, flags.checkpoint)
    sets, labels = {}, {}
    for split in ("train", "test"):
        images, labels[split] = load_labeled(config, split)
        sets[split] = resize(images, config.height_and_width)[:]
    chosen = pick_labeled(labels["train"], flags.labels, flags.seed)
    sets["train"], labels["train"] = sets["train"][chosen], labels["train"][chosen]

    with seeded(flags.seed):
        untrained = make_discriminator(config, sets["train"].shape[1:])
    print(f"{len(chosen):,} labeled images, {len(sets['test']):,} test images")
    for name, model in (
        ("raw pixels", None),
        ("untrained discriminator", untrained),
        (f"discriminator of step {step}", discriminator),
    ):
        train, test = (discriminator_features(model, sets[split]) for split in ("train", "test"))
        accuracy = probe(train, labels["train"], test, labels["test"])
        print(f"{name:<32} {train.shape[1]:>6,} features {accuracy:>8.2%} accuracy", flush=True)
    if flags.generated:
        generator, _, _ = load_generator(run_directory, flags.checkpoint)
        batches = sample_images(generator, config, flags.seed, flags.generated, BATCH_SIZE)
        generated = np.concatenate(list(batches))
        found = train_with_pseudo_labels(
            sets["train"], labels["train"], generated, sets["test"], labels["test"], flags.seed
        )
        print(f"{'classifier, on the labels only':<48} {found.accuracy_without:>8.2%} accuracy")
        added = f"with {found.added:,} generated images"
        print(f"{added:<48} {found.accuracy_with:>8.2%} accuracy")
