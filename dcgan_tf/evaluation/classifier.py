"""Small convolutional classifiers, by whose features generated images are evaluated."""

from __future__ import annotations

import functools
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from dcgan_tf.data import scale
from dcgan_tf.datasets.disk_images import Split
from dcgan_tf.datasets.loading import load_labels, load_split, shrink
from dcgan_tf.files.atomic_files import atomic_write
from dcgan_tf.settings.choices import DATASETS, resolve
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError, first_line
from dcgan_tf.settings.keras_settings import compute_in, seeded

WEIGHTS_FILE = Path(__file__).parent / "mnist_classifier.npz"
DIGIT_SHAPE = (28, 28, 1)
CLASSES = 10
EPOCHS = 10
BATCH_SIZE = 128
LEARNING_RATE = 3e-3
SMALL_SIDE = 32
MOST_SMALL = 20_000


def make_classifier(
    shape: tuple[int, int, int] = DIGIT_SHAPE, classes: int = CLASSES
) -> keras.Sequential:
    """A small convolutional network, from float32 [N, H, W, C] in [-1, 1] to logits [N, classes].

    Its last layer but one gives 96 features. It computes in float32, whatever Keras's policy is.
    """
    with compute_in("float32"):
        stack = [
            layers.Input(shape),
            *block(24, kernel_size=5, strides=2),
            *block(48, kernel_size=3),
            layers.MaxPooling2D(),
            *block(96, kernel_size=3),
            layers.GlobalAveragePooling2D(),
            layers.Dense(classes),
        ]
        return keras.Sequential(stack, name="classifier")


def make_residual_classifier(
    shape: tuple[int, int, int], classes: int = CLASSES, precision: str = "float32"
) -> keras.Model:
    """A residual network of 20 layers (He et al., 2016), which computes in this precision.

    From float32 [N, H, W, C] in [-1, 1] to float32 logits [N, classes]; its last layer but one
    gives 80 features.
    """

    def apply(stack: list[layers.Layer], images: keras.KerasTensor) -> keras.KerasTensor:
        return functools.reduce(lambda inputs, layer: layer(inputs), stack, images)

    with compute_in(precision):
        images = layers.Input(shape)
        features = apply(block(16, kernel_size=3), images)
        for filters, stride in ((16, 1), (40, 2), (80, 2)):
            for strides in (stride, 1, 1):
                *residual, _ = [*block(filters, 3, strides), *block(filters, 3)]
                shortcut = block(filters, 1, strides)[:2] if strides > 1 else []
                together = [apply(shortcut, features), apply(residual, features)]
                features = layers.ReLU()(layers.Add()(together))
        pooled = layers.GlobalAveragePooling2D()(features)
        logits = layers.Dense(classes, dtype="float32")(pooled)
        return keras.Model(images, logits, name="classifier")


def block(filters: int, kernel_size: int, strides: int = 1) -> list[layers.Layer]:
    """Convolution, batch norm, ReLU."""
    return [
        layers.Conv2D(filters, kernel_size, strides, padding="same", use_bias=False),
        layers.BatchNormalization(momentum=0.9),
        layers.ReLU(),
    ]


def load_labelled(
    config: Config, split: Split, classes: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Reads the images of one split, at the size that their files have, and their classes.

    Args:
        config: names the dataset.
        split: of it.
        classes: how many there may be; None for any number.

    Returns:
        uint8 [N, H, W, C] in [0, 255], and the number of each image's class, int [N].

    Raises:
        UserError: a file is missing or is not what it should be, or they don't fit together.
    """
    images = resolve(DATASETS[config.dataset].load_images)(config, split)[:]
    labels = load_labels(config, split)
    highest = int(labels.max(initial=0))
    if not 0 < len(images) == len(labels) or (classes and highest >= classes):
        kind = "training" if split == "train" else split
        of = f" of 0 to {classes - 1}" if classes else ""
        raise UserError(
            f"{config.data_dir or config.dataset} has {len(images):,} {kind} images and "
            f"{len(labels):,} labels up to {highest}: it needs a label{of} for each"
        )
    return images, labels


def load_small(config: Config, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Reads the images of one split and their classes, for a classifier of any labelled images.

    Returns:
        uint8 [N, H, W, C] in [0, 255], N being MOST_SMALL at most, from all over the split, H and W
        SMALL_SIDE at most; and the number of each image's class, int [N].

    Raises:
        UserError: there are none, or a file is missing or is not what it should be.
    """
    images, labels = load_split(config, split), load_labels(config, split)
    chosen = np.linspace(0, len(images) - 1, min(MOST_SMALL, len(images))).astype(int)
    chunks = np.array_split(chosen, len(chosen) // 1000 + 1)
    return np.concatenate([shrink(images[chunk], SMALL_SIDE) for chunk in chunks]), labels[chosen]


@seeded(0)
def load_classifier(
    path: Path = WEIGHTS_FILE,
    shape: tuple[int, int, int] = DIGIT_SHAPE,
    classes: int = CLASSES,
) -> keras.Sequential:
    """The classifier of digits with the weights that come with the project, or another's.

    Raises:
        OSError, ValueError: the file is missing, or is not one that `save_classifier` wrote.
    """
    classifier = make_classifier(shape, classes)
    try:
        with np.load(path, allow_pickle=False) as archive:
            classifier.set_weights([archive[name] for name in archive.files])
    except OSError:
        raise
    except Exception as error:  # what the parsers of .zip and .npy raise is no small set
        raise ValueError(f"{path} is damaged: {first_line(error)}") from None
    return classifier


def save_classifier(classifier: keras.Model, path: Path) -> None:
    """Writes the weights as a .npz, kernels in float16 and vectors in float32."""
    weights = [
        weight.astype(np.float16) if weight.ndim > 1 else weight
        for weight in classifier.get_weights()
    ]
    with atomic_write(path) as file:
        np.savez_compressed(file, *weights)


def classify(classifier: keras.Model, images: np.ndarray) -> np.ndarray:
    """The class of each image.

    Args:
        classifier: what `load_classifier` or `train_classifier` returned.
        images: uint8 [N, H, W, C] in [0, 255].

    Returns:
        int64 [N].
    """
    return classifier.predict(scale(images), batch_size=1000, verbose=0).argmax(axis=1)


def train_classifier(
    images: np.ndarray,
    labels: np.ndarray,
    epochs: int = EPOCHS,
    seed: int = 0,
    verbose: bool = True,
    classes: int = CLASSES,
) -> keras.Sequential:
    """Trains on images that are moved by up to two pixels, at a rate that falls to 0.

    Args:
        images: uint8 [N, H, W, C] in [0, 255].
        labels: the numbers of their classes, int [N].
        epochs: passes over them.
        seed: fixes the weights, the order and the moves.
        verbose: whether each epoch, or each tenth of more than ten, has a line.
        classes: how many there are.
    """
    with seeded(seed):
        classifier = make_classifier(images.shape[1:], classes)
    batches = moved_batches(images, labels, epochs, seed)
    lines = min(epochs, EPOCHS)
    with compute_in("float32"):
        rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, len(batches))
        classifier.compile(
            keras.optimizers.Adam(rate),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
    classifier.fit(
        batches,
        epochs=lines,
        steps_per_epoch=len(batches) // lines,
        shuffle=False,
        verbose=2 if verbose else 0,
    )
    return classifier


def moved_batches(
    images: np.ndarray, labels: np.ndarray, epochs: int, seed: int
) -> tf.data.Dataset:
    """The shuffled batches of some epochs, of images that are moved by up to two pixels.

    Arguments are those of `train_classifier`.

    Returns:
        A dataset of (images, labels), float32 [batch, H, W, C] in [-1, 1] and int [batch].
    """
    pixels, ids = tf.constant(images), tf.constant(labels)

    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(tf.range(len(images)), [seed, epoch])

        def move(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            margin = tf.pad(pixels[index], [[2, 2], [2, 2], [0, 0]])
            of_image = tf.random.experimental.stateless_fold_in([seed, epoch], index)
            moved = tf.image.stateless_random_crop(margin, images.shape[1:], of_image)
            return moved, ids[index]

        batches = tf.data.Dataset.from_tensor_slices(order).map(move).batch(BATCH_SIZE)
        return batches.map(lambda moved, label: (scale(moved), label))

    batches = tf.data.Dataset.range(epochs).flat_map(epoch_batches).prefetch(2)
    return batches.apply(
        tf.data.experimental.assert_cardinality(epochs * -(-len(images) // BATCH_SIZE))
    )
