"""Whether images of a conditional generator help a classifier of digits: two tables.

    python -m experiments.classifier_from_generated [--seeds 5] [--labels 100 500 1000]
    python -m experiments.classifier_from_generated neighbors --run_dir RUN

The first trains a small conditional generator on few labeled digits. Then it trains the same
classifier on these digits alone, with the usual augmentations (small rotations, shifts and zooms),
with generated digits, and with both. Every accuracy is kept in runs/secondary.csv, so an
interrupted experiment can be resumed. The second is the test of Radford et al., 2016, appendix:
test digits get the label of their nearest neighbor, among the samples of a conditional run or the
same number of real digits.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.timing import print_setup
from dcgan_tf.commands import program
from dcgan_tf.conditional.labels import Classes, Labels
from dcgan_tf.data import make_batches, scale
from dcgan_tf.datasets.loading import load_held_out, load_images, load_labels
from dcgan_tf.evaluation.activations import apply_in_batches
from dcgan_tf.evaluation.classifier import CLASSES, classify, load_classifier, make_classifier
from dcgan_tf.evaluation.linear_probe import pick_labeled
from dcgan_tf.evaluation.metrics import nearest
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.sampling.noise import seeded_noise
from dcgan_tf.sampling.sampler import compile_generator, load_generator
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.starting.measure import resolve_auto
from dcgan_tf.training import Trainer

RESULTS = Path("runs/secondary.csv")
# A small generator for few images. With short noise, it does not ignore the label. Without dropout,
# augmentations alone keep the discriminator from memorizing its images.
GENERATOR = {
    "preset": "fast",
    "conditional": True,
    "augment": "translation",
    "base_filters": 16,
    "noise_dim": 16,
    "dropout": 0.0,
    "batch_size": 32,
    "learning_rate": 1e-3,
    "ema_decay": 0.995,
}
GENERATOR_STEPS = 2400
GENERATED = 300  # of each class
GENERATED_FRACTION = 1 / 4  # of each batch of the classifier; 1 / 2 gained less
CLASSIFIER_STEPS = 300
BATCH_SIZE = 128
LEARNING_RATE = 3e-3
METHODS = ("labeled", "augmented", "generated", "both")
GAINS = (("generated", "labeled"), ("both", "augmented"))
SIZES = (1_000, 10_000, 60_000)

Digits = tuple[np.ndarray, np.ndarray]  # uint8 [N, 28, 28, 1], and their labels, int [N]
Accuracies = dict[tuple[int, int, str], float]  # by number of labels, seed and method


def generate(labeled: Digits, config: Config) -> Digits:
    """Trains a conditional generator on a few digits, and samples GENERATED of each class."""
    images, labels = labeled
    trainer = Trainer(config, images, Labels(labels, [*map(str, range(CLASSES))]))
    for batch in make_batches(images, config, 0, GENERATOR_STEPS, labels=labels):
        trainer.train_step(batch)
    generator = trainer.gan.sampling_generator
    return draw(generator, config, trainer.classes, np.repeat(np.arange(CLASSES), GENERATED))


def draw(
    generator: keras.Sequential, config: Config, classes: Classes, labels: np.ndarray
) -> Digits:
    """Generated digits, class by class, with as many of each class as in `labels`."""
    counts = np.bincount(labels, minlength=len(classes))
    noise = [
        seeded_noise(config, 0, range(count), classes=classes, label=label)
        for label, count in enumerate(counts)
    ]
    images = compile_generator(generator)(np.concatenate(noise))
    return images, np.repeat(np.arange(len(classes)), counts)


def train(labeled: Digits, generated: Digits | None, augments: bool, seed: int) -> keras.Sequential:
    """Trains a classifier; GENERATED_FRACTION of each batch are generated digits, if given."""
    keras.utils.set_random_seed(seed)
    classifier = make_classifier()
    added = int(GENERATED_FRACTION * BATCH_SIZE) if generated else 0
    batches = sampled(labeled, BATCH_SIZE - added, seed)
    if generated:
        batches = tf.data.Dataset.zip(batches, sampled(generated, added, seed)).map(joined)
    batches = batches.map(lambda images, labels: (scale(images), labels))
    if augments:
        change = augmentations()
        batches = batches.map(lambda images, labels: (change(images, training=True), labels))
    classifier.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(LEARNING_RATE, CLASSIFIER_STEPS)
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    classifier.fit(batches.take(CLASSIFIER_STEPS).prefetch(2), shuffle=False, verbose=0)
    return classifier


def sampled(digits: Digits, size: int, seed: int) -> tf.data.Dataset:
    """Endless batches of random digits."""
    every = tf.data.Dataset.from_tensor_slices(digits).shuffle(len(digits[0]), seed).repeat()
    return every.batch(size, drop_remainder=True)


def joined(*parts: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Concatenates batches of images and labels."""
    images, labels = zip(*parts)
    return tf.concat(images, axis=0), tf.concat(labels, axis=0)


def augmentations() -> keras.Sequential:
    """Random rotation, shift and zoom of images in [-1, 1]."""
    black = {"fill_mode": "constant", "fill_value": -1.0}
    return keras.Sequential(
        [
            layers.RandomRotation(0.04, **black),
            layers.RandomTranslation(0.1, 0.1, **black),
            layers.RandomZoom(0.1, 0.1, **black),
        ]
    )


def agrees(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether a classifier agrees with the requested labels of generated digits.

    Args:
        probabilities: class probabilities, float [N, classes].
        labels: the requested labels, int [N].

    Returns:
        Whether the label has a probability above 1/2, bool [N].
    """
    return probabilities[np.arange(len(labels)), labels] > 0.5


def accuracies(
    labeled: Digits, generated: Digits, test: Digits, seed: int
) -> Iterator[tuple[str, float]]:
    """The accuracy on test digits of a classifier trained by each of METHODS.

    A generated digit is added if the classifier trained without them agrees with its label.
    """
    for augments in (False, True):
        alone = train(labeled, None, augments, seed)
        yield METHODS[augments], accuracy(alone, test)

        def classify(images: tf.Tensor, alone: keras.Sequential = alone) -> tf.Tensor:
            return tf.nn.softmax(alone(images, training=False))

        probabilities = apply_in_batches(generated[0], classify)
        kept = agrees(probabilities, generated[1])
        print(f"{'augmented' if augments else 'labeled'}: {kept.mean():.1%} agree with their label")
        added = (generated[0][kept], generated[1][kept]) if kept.any() else None
        yield METHODS[2 + augments], accuracy(train(labeled, added, augments, seed), test)


def accuracy(classifier: keras.Sequential, digits: Digits) -> float:
    """The accuracy of a classifier."""
    return float((classify(classifier, digits[0]) == digits[1]).mean())


def read_results() -> Accuracies:
    """The accuracies measured so far."""
    if not RESULTS.exists():
        return {}
    with RESULTS.open() as file:
        return {
            (int(labels), int(seed), method): float(value)
            for labels, seed, method, value in csv.reader(file)
        }


def table(results: Accuracies) -> str:
    """A row for each number of labels: accuracies, and gains on the same labeled digits.

    Each is a mean and a standard deviation over the seeds, in percent.
    """
    gains = [f"{method} − {other}" for method, other in GAINS]
    columns = ["labeled digits", *METHODS, *gains]
    rows = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for count in sorted({labels for labels, _, _ in results}):
        seeds = sorted(
            {seed for labels, seed, method in results if (labels, method) == (count, METHODS[-1])}
        )
        by_method = {
            method: np.array([results[count, seed, method] for seed in seeds]) for method in METHODS
        }
        cells = [spread(by_method[method]) for method in METHODS]
        cells += [spread(by_method[method] - by_method[other]) for method, other in GAINS]
        rows.append(f"| {count:,} | {' | '.join(cells)} |")
    return "\n".join(rows)


def spread(values: np.ndarray) -> str:
    """Mean ± sample standard deviation, in percent."""
    deviation = np.std(values, ddof=1) if len(values) > 1 else 0.0
    return f"{100 * np.mean(values):.2f} ± {100 * deviation:.2f}"


def compare_classifiers(counts: list[int], seeds: int) -> None:
    """Trains all classifiers that are not in the results yet, and prints the table."""
    config = Config.from_flags(GENERATOR | {"max_steps": GENERATOR_STEPS})
    config = resolve_auto(config, RunDirectory(RESULTS.with_suffix("")))
    images, labels = load_images(config)[:], load_labels(config, "train").astype(int)
    test = load_held_out(config)[:], load_labels(config, "test").astype(int)
    outside = load_classifier()
    results = read_results()
    RESULTS.parent.mkdir(exist_ok=True)
    for seed in range(seeds):
        for count in counts:
            if (count, seed, METHODS[-1]) in results:
                continue
            chosen = pick_labeled(labels, count, seed)
            labeled = images[chosen], labels[chosen]
            generated = generate(labeled, config)
            print(
                f"{count} labels, seed {seed}: {accuracy(outside, generated):.1%} of the generated "
                f"digits have the requested class, by the classifier trained on all labels"
            )
            for method, value in accuracies(labeled, generated, test, seed):
                results[count, seed, method] = value
                print(f"  {method:<10} {value:.2%}", flush=True)
                with RESULTS.open("a") as file:
                    csv.writer(file).writerow((count, seed, method, value))
    print(f"\nAccuracy on the test digits, %; {seeds} seeds:\n\n{table(results)}")


def nearest_neighbor_error(references: Digits, test: Digits) -> float:
    """The fraction of test digits whose nearest reference digit has another label.

    Args:
        references: uint8 [N, H, W, C], and their labels, int [N].
        test: uint8 [M, H, W, C], and their labels.
    """
    _, indices = nearest(test[0], references[0])
    return float((references[1][indices] != test[1]).mean())


def compare_neighbors(directory: RunDirectory) -> None:
    """Prints the nearest-neighbor error with real and with generated digits."""
    generator, config, step = load_generator(directory)
    classes = directory.read_classes()
    if not classes or config.dataset != "mnist":
        raise UserError(f"--run_dir {directory.path} is not a conditional run of MNIST")
    images, labels = load_images(config)[:], load_labels(config, "train").astype(int)
    test = load_held_out(config)[:], load_labels(config, "test").astype(int)
    print(f"| digits, as many of each class | real | generated, step {step} |\n|---|---|---|")
    for size in SIZES:
        chosen = pick_labeled(labels, size, 0)
        sets = (images[chosen], labels[chosen]), draw(generator, config, classes, labels[chosen])
        errors = [f"{nearest_neighbor_error(each, test):.2%}" for each in sets]
        print(f"| {size:,} | {' | '.join(errors)} |", flush=True)


def main() -> None:
    """Reads the flags, and prints one of the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "stage", nargs="?", choices=("classifiers", "neighbors"), default="classifiers"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 500, 1000])
    parser.add_argument("--run_dir", type=Path)
    flags = parser.parse_args()
    print_setup()
    if flags.stage == "classifiers":
        compare_classifiers(flags.labels, flags.seeds)
    elif flags.run_dir is None:
        parser.error("neighbors needs a --run_dir")
    else:
        compare_neighbors(RunDirectory(flags.run_dir))


if __name__ == "__main__":
    program.run(main)
