"""Trains one of the package's classifiers, and prints its accuracy.

    python -m experiments.train_classifier [--dataset mnist] [--data_dir DIR] [--output FILE.npz]

It trains on all training images. The accuracy is measured on the test images. On one core, MNIST's
takes minutes, Fashion-MNIST's about twenty minutes, and CIFAR-10's more than an hour.
"""

import dataclasses
import io
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from dcgan_tf.commands import program
from dcgan_tf.commands.flags import parse
from dcgan_tf.data import scale
from dcgan_tf.datasets.loading import load_labels, load_split
from dcgan_tf.evaluation.classifier import (
    classify,
    make_residual_classifier,
    mirror_averaged,
    save_classifier,
    train_classifier,
)
from dcgan_tf.files.atomic_files import check_file
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.fields import Settings, one_of, setting

BATCH_SIZE = 125
EPOCHS = {"fashion_mnist": 10, "cifar10": 40}
LEARNING_RATE = 0.1
PADDING = {"fashion_mnist": 2, "cifar10": 4}
RECOMPRESSED = {"fashion_mnist": 0.0, "cifar10": 0.4}  # fraction of the images


@dataclasses.dataclass(frozen=True)
class ClassifierFlags(Settings):
    """The flags: the dataset, the precision and the output."""

    dataset: str = setting("mnist", "Data", "what to classify", one_of(("mnist", *PADDING)))
    data_dir: str | None = setting(None, "Data", "folder with your own copy", is_path=True)
    precision: str = setting(
        "float32", "Training", "precision of the arithmetic", one_of(("float32", "bfloat16"))
    )
    output: str = setting("classifier.npz", "Output", "file for the weights, a .npz", is_path=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if Path(self.output).suffix != ".npz":
            raise UserError(f"--output {self.output} is not a .npz: use a file that ends in .npz")
        check_file(Path(self.output), "--output")


class AugmentedBatches(keras.utils.PyDataset):
    """Shuffled batches of images that are randomly shifted, mirrored and recompressed.

    Args:
        images: uint8 [N, H, W, C].
        labels: their class ids, int [N].
        padding: the maximum shift in pixels; the border is filled by reflection.
        recompressed: the fraction of images that are compressed as JPEG, at a quality of 40 to 95,
            so that copies of CIFAR-10 that were JPEGs are judged like the original.
    """

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, padding: int, recompressed: float
    ) -> None:
        super().__init__()
        self.images = images
        self.labels = labels
        self.padding = padding
        self.recompressed = recompressed
        self.epoch = -1
        self.on_epoch_end()

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self.order = np.random.default_rng(self.epoch).permutation(len(self.images))

    def __len__(self) -> int:
        return len(self.images) // BATCH_SIZE

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng((self.epoch, index))
        chosen = self.order[index * BATCH_SIZE : (index + 1) * BATCH_SIZE]
        images = self.images[chosen]
        if self.recompressed:
            for each in np.flatnonzero(rng.random(len(images)) < self.recompressed):
                images[each] = recompress(images[each], quality=int(rng.integers(40, 96)))
        size, border = images.shape[1:3], (self.padding, self.padding)
        padded = np.pad(images, ((0, 0), border, border, (0, 0)), "reflect")
        for image, wide in zip(images, padded):
            top, left = rng.integers(0, 2 * self.padding + 1, 2)
            moved = wide[top : top + size[0], left : left + size[1]]
            image[:] = moved[:, ::-1] if rng.random() < 0.5 else moved
        return scale(images), self.labels[chosen]


def recompress(image: np.ndarray, quality: int) -> np.ndarray:
    """A color image after JPEG compression, uint8 [H, W, 3]."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def train_residual_classifier(
    batches: AugmentedBatches, epochs: int, precision: str, seed: int = 0
) -> keras.Model:
    """Trains by SGD with momentum. The learning rate rises in the first sixth, then decays to 0."""
    keras.utils.set_random_seed(seed)
    classifier = make_residual_classifier(batches.images.shape[1:], precision=precision)
    steps = epochs * len(batches)
    rate = keras.optimizers.schedules.CosineDecay(
        1e-3, steps - steps // 6, warmup_target=LEARNING_RATE, warmup_steps=steps // 6
    )
    classifier.compile(
        keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=5e-4),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    classifier.fit(batches, epochs=epochs, shuffle=False, verbose=2)
    return classifier


def main() -> None:
    """Trains, tests and saves a classifier."""
    (flags,) = parse(__doc__, ClassifierFlags)
    config = Config(dataset=flags.dataset, data_dir=flags.data_dir)
    (images, labels), (test, test_labels) = (
        (load_split(config, split)[:], load_labels(config, split)) for split in ("train", "test")
    )
    if flags.dataset == "mnist":
        judge = classifier = train_classifier(images, labels)
    else:
        batches = AugmentedBatches(
            images, labels, PADDING[flags.dataset], RECOMPRESSED[flags.dataset]
        )
        classifier = train_residual_classifier(batches, EPOCHS[flags.dataset], flags.precision)
        judge = mirror_averaged(classifier)
    right = classify(judge, test) == test_labels
    print(f"{right.sum():,} of {len(right):,} test images correct: {right.mean():.2%}")
    save_classifier(classifier, Path(flags.output))
    print(f"weights: {flags.output}")


if __name__ == "__main__":
    program.run(main)
