"""Tests whether another classifier ranks generators like the project's own.

    python -m experiments.second_opinion
    python -m experiments.second_opinion RUN RUN ...

The first trains on MNIST and evaluates the generator at several steps, by the project's classifier
and by a dense network that is trained here. It prints the rank correlation of both. Then it trains
on eight of the ten digits, and prints each classifier's class distribution for the generated
images, and for real images of these eight digits. The second compares the generators of finished
runs in a table.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np
from keras import layers
from scipy.stats import spearmanr

from benchmarks.timing import print_setup
from dcgan_tf.commands import program
from dcgan_tf.data import make_batches, scale
from dcgan_tf.datasets.loading import load_held_out, load_images, load_labels
from dcgan_tf.evaluation.classifier import classify
from dcgan_tf.evaluation.evaluator import Evaluator, evenly_spaced
from dcgan_tf.evaluation.feature_extractors import FeatureExtractor, extract_by
from dcgan_tf.evaluation.scores import Value
from dcgan_tf.serving.notebook import load_run
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.training import Trainer

EVALUATED_STEPS = (25, 50, 100, 150, 225, 325, 450, 600, 800, 1000)
DROPPED = (2, 7)
DROPPED_STEPS = 4000
NUM_IMAGES = 5000
METRICS = ("frechet_distance", "precision", "recall")
CONFIG = Config(
    batch_size=64,
    learning_rate=5e-4,
    beta_1=0.5,
    kernel_size=4,
    base_filters=32,
    initializer_stddev=0.02,
    ema_decay=0.99,
)


def train_dense_network() -> keras.Sequential:
    """A classifier without convolutions, with 64 features before its last layer."""
    keras.utils.set_random_seed(0)
    hidden = [layers.Dense(units, "relu") for units in (512, 256, 64)]
    stack = [layers.Input((28, 28, 1)), layers.Flatten(), *hidden, layers.Dense(10)]
    network = keras.Sequential(stack)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile("adam", loss)
    labels = load_labels(CONFIG, "train")
    network.fit(scale(load_images(CONFIG)), labels, batch_size=128, epochs=5, verbose=0)
    right = classify(network, load_held_out(CONFIG)[:]) == load_labels(CONFIG, "test")
    print(f"dense network: {right.mean():.2%} of the test digits right")
    return network


def train(images: np.ndarray, steps: int) -> Iterator[tuple[int, keras.Sequential]]:
    """Trains, and yields the step and the EMA generator after each step."""
    trainer = Trainer(CONFIG, images)
    for step, batch in enumerate(make_batches(images, CONFIG, 0, steps), 1):
        trainer.train_step(batch)
        yield step, trainer.gan.ema_generator


def compare_steps(images: np.ndarray, evaluators: list[Evaluator]) -> None:
    """Prints both Fréchet distances at EVALUATED_STEPS, and their rank correlation."""
    print("\nFréchet distance by the\n    step    classifier dense network")
    distances = []
    for step, generator in train(images, EVALUATED_STEPS[-1]):
        if step in EVALUATED_STEPS:
            samples = evaluators[0].samples(generator)
            scores = [evaluator.scores(samples) for evaluator in evaluators]
            distances.append([score["frechet_distance"] for score in scores])
            print(f"{step:>8}" + "".join(f"{distance:>14.2f}" for distance in distances[-1]))
    correlation = spearmanr(*zip(*distances)).statistic
    print(f"rank correlation {correlation:.3f}")


def compare_classes(images: np.ndarray, evaluators: list[Evaluator]) -> None:
    """Prints the class distributions of generated and real images without the DROPPED digits."""
    labels = load_labels(CONFIG, "train")
    kept = images[~np.isin(labels, DROPPED)]
    *_, (_, generator) = train(kept, DROPPED_STEPS)
    samples = evaluators[0].samples(generator)
    print(f"\nclass distribution, without {DROPPED}")
    for kind, made in (("generated", samples), ("real", evenly_spaced(kept, NUM_IMAGES))):
        for evaluator in evaluators:
            distribution = np.asarray(evaluator.scores(made)["class_distribution"])
            cells = "".join(f"{fraction:7.2%}" for fraction in distribution)
            print(f"{kind:<10}{evaluator.feature_extractor.name:<17}{cells}", flush=True)


def compare_runs(
    paths: list[str], evaluators_of: Callable[[Config, Sequence[str]], list[Evaluator]]
) -> None:
    """Prints the scores of the generators of runs, and of training digits, by both classifiers."""
    evaluators = evaluators_of(CONFIG, METRICS)
    names = [each.feature_extractor.name for each in evaluators]
    header = [f"{metric}, {name}" for name in names for metric in METRICS]
    print(f"\n| | {' | '.join(header)} |\n|{'---|' * (1 + len(header))}")
    print_row("*training digits*", [evaluator.baseline for evaluator in evaluators])
    for path in paths:
        run = load_run(path)
        if run.config.dataset != "mnist":
            raise UserError(f"{path} learned {run.config.dataset}: use runs of mnist")
        # Held-out images are resized like those of the run, since resizing changes edges.
        evaluators = evaluators_of(run.config, METRICS)
        made = run.sample(NUM_IMAGES).array
        print_row(f"{path}, step {run.step:,}", [each.scores(made) for each in evaluators])


def print_row(name: str, scores: list[dict[str, Value]]) -> None:
    """Prints a row of the table: each of METRICS by each evaluator."""
    cells = [f"{score[metric]:.3f}" for score in scores for metric in METRICS]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Compares classifiers on given runs, or on a generator that is trained here."""
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="*", metavar="RUN", help="a finished run of digits")
    runs = parser.parse_args().runs
    print_setup()
    dense_network = FeatureExtractor("dense network", 1000, extract_by(train_dense_network()))

    def evaluators_of(config: Config, metrics: Sequence[str]) -> list[Evaluator]:
        images = load_images(config)
        return [
            Evaluator(config, images, NUM_IMAGES, metrics, feature_extractor=feature_extractor)
            for feature_extractor in (None, dense_network)
        ]

    if runs:
        compare_runs(runs, evaluators_of)
    else:
        images = load_images(CONFIG)[:]
        evaluators = evaluators_of(CONFIG, ("frechet_distance", "class_distribution"))
        compare_steps(images, evaluators)
        compare_classes(images, evaluators)


if __name__ == "__main__":
    program.run(main)
