"""Whether another classifier judges as the project's own does: a table and a rank correlation.

    python -m benchmarks.second_opinion

Trains on MNIST and judges the generator at several moments, by the project's classifier and by one
of another kind, a dense network that is trained here. Then it trains on eight of the ten digits,
and prints how many of the images each of the two finds in each class; and the same for real digits
of these eight.
"""

from collections.abc import Iterator

import keras
import numpy as np
from keras import layers
from scipy.stats import spearmanr

from benchmarks.timing import print_setup
from dcgan_tf.config import Config
from dcgan_tf.data import load_held_out, load_images, load_labels, make_batches, scale
from dcgan_tf.evaluation.classifier import classify
from dcgan_tf.evaluation.evaluator import Evaluator, spread
from dcgan_tf.evaluation.feature_extractors import FeatureExtractor, viewer
from dcgan_tf.training import Trainer

MOMENTS = (25, 50, 100, 150, 225, 325, 450, 600, 800, 1000)
DROPPED = (2, 7)
DROPPED_STEPS = 4000
NUM_IMAGES = 5000
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
    """A classifier without convolutions; its last layer but one gives 64 features."""
    keras.utils.set_random_seed(0)
    hidden = [layers.Dense(units, "relu") for units in (512, 256, 64)]
    stack = [layers.Input((28, 28, 1)), layers.Flatten(), *hidden, layers.Dense(10)]
    network = keras.Sequential(stack)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile("adam", loss)
    labels = load_labels(CONFIG, "train")
    network.fit(scale(load_images(CONFIG)), labels, batch_size=128, epochs=5, verbose=0)
    right = classify(network, load_held_out(CONFIG)) == load_labels(CONFIG, "test")
    print(f"dense network: {right.mean():.2%} of the test digits right")
    return network


def train(images: np.ndarray, steps: int) -> Iterator[tuple[int, keras.Sequential]]:
    """Trains, and yields the step and the averaged generator after each step."""
    trainer = Trainer(CONFIG, images)
    for step, batch in enumerate(make_batches(images, CONFIG, 0, steps), 1):
        trainer.train_step(batch)
        yield step, trainer.gan.ema_generator


def compare_moments(images: np.ndarray, evaluators: list[Evaluator]) -> None:
    """Prints both Fréchet distances at each of MOMENTS, and their rank correlation."""
    print("\nFréchet distance by the\n    step    classifier dense network")
    distances = []
    for step, generator in train(images, MOMENTS[-1]):
        if step in MOMENTS:
            samples = evaluators[0].samples(generator)
            distances.append([judged.scores(samples).frechet_distance for judged in evaluators])
            print(f"{step:>8}" + "".join(f"{distance:>14.2f}" for distance in distances[-1]))
    correlation = spearmanr(*zip(*distances)).statistic
    print(f"rank correlation {correlation:.3f}")


def compare_classes(images: np.ndarray, evaluators: list[Evaluator]) -> None:
    """Prints the classes' shares of images without DROPPED, generated ones and real ones."""
    labels = load_labels(CONFIG, "train")
    kept = images[~np.isin(labels, DROPPED)]
    *_, (_, generator) = train(kept, DROPPED_STEPS)
    samples = evaluators[0].samples(generator)
    print(f"\nshare of each class, without {DROPPED}")
    for kind, made in (("generated", samples), ("real", spread(kept, NUM_IMAGES))):
        for evaluator in evaluators:
            shares = "".join(f"{share:7.2%}" for share in evaluator.scores(made).class_distribution)
            print(f"{kind:<10}{evaluator.judge.name:<17}{shares}", flush=True)


def main() -> None:
    """Trains, judges and prints."""
    print_setup()
    images = load_images(CONFIG)
    evaluators = [Evaluator(CONFIG, images, NUM_IMAGES) for _ in range(2)]
    evaluators[1].judge = FeatureExtractor("dense network", 1000, viewer(train_dense_network()))
    compare_moments(images, evaluators)
    compare_classes(images, evaluators)


if __name__ == "__main__":
    main()
