"""Trains the digit classifier that comes with the project, and tells its accuracy.

    python -m experiments.train_classifier [--output mnist_classifier.npz]

On MNIST's 60,000 training digits; the accuracy is that on the 10,000 test digits.
"""

import dataclasses
from pathlib import Path

import numpy as np

from dcgan_tf.commands import program
from dcgan_tf.commands.flags import parse
from dcgan_tf.datasets.named import MNIST_FILE
from dcgan_tf.evaluation.classifier import classify, save_classifier, train_classifier
from dcgan_tf.files.atomic_files import check_file
from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.fields import Settings, setting


@dataclasses.dataclass(frozen=True)
class ClassifierFlags(Settings):
    """Where the weights go."""

    output: str = setting(
        "mnist_classifier.npz", "Output", "file for the weights, a .npz", is_path=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if Path(self.output).suffix != ".npz":
            raise UserError(f"--output {self.output} is no .npz: give a file that ends so")
        check_file(Path(self.output), "--output")


def main() -> None:
    """Trains, tests and writes the classifier of digits."""
    (flags,) = parse(__doc__, ClassifierFlags)
    with np.load(MNIST_FILE, allow_pickle=False) as mnist:
        classifier = train_classifier(mnist["x_train"][..., np.newaxis], mnist["y_train"])
        right = classify(classifier, mnist["x_test"][..., np.newaxis]) == mnist["y_test"]
    print(f"{right.sum():,} of {len(right):,} test digits right: {right.mean():.2%}")
    save_classifier(classifier, Path(flags.output))
    print(f"weights: {flags.output}")


if __name__ == "__main__":
    program.run(main)
