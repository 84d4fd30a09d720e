"""Small convolutional classifiers, whose features are used to evaluate generated images."""

from __future__ import annotations

import functools
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from dcgan_tf.data import scale
from dcgan_tf.datasets.disk_images import Split, spaced_indices
from dcgan_tf.datasets.loading import load_labels, load_split, shrink
from dcgan_tf.files.atomic_files import atomic_write
from dcgan_tf.settings.choices import DATASETS, resolve
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError, first_line
from dcgan_tf.settings.keras_settings import compute_in, seeded

WEIGHTS_FILE = Path(__file__).parent / "mnist_classifier.npz"
DIGIT_SHAPE = (28, 28, 1)
RESIDUAL_SHAPES = {"fashion_mnist": (28, 28, 1), "cifar10": (32, 32, 3)}
CLASSES = 10
EPOCHS = 10
BATCH_SIZE = 128
LEARNING_RATE = 3e-3
SMALL_SIDE = 32
MAX_SMALL_IMAGES = 20_000


def make_classifier(
    shape: tuple[int, int, int] = DIGIT_SHAPE, classes: int = CLASSES
) -> keras.Sequential:
    """A small convolutional network, from float32 [N, H, W, C] in [-1, 1] to logits [N, classes].

    The penultimate layer has 96 features. It computes in float32 under any Keras dtype policy.
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
    shape: tuple[int, int, int], precision: str = "float32"
) -> keras.Model:
    """A residual network of 20 layers (He et al., 2016) that computes in this precision.

    From float32 [N, H, W, C] in [-1, 1] to float32 logits [N, 10]. The penultimate layer has 80
    features.
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
        logits = layers.Dense(CLASSES, dtype="float32")(pooled)
        return keras.Model(images, logits, name="classifier")


def mirror_averaged(classifier: keras.Model) -> keras.Model:
    """A classifier that averages the features of an image and its mirror image."""
    with compute_in("float32"):
        features = keras.Model(classifier.input, classifier.layers[-2].output)
        images = layers.Input(classifier.input_shape[1:])
        mirrored = keras.ops.flip(images, axis=2)
        average = layers.Average()([features(images), features(mirrored)])
        return keras.Model(images, classifier.layers[-1](average), name="classifier")


def block(filters: int, kernel_size: int, strides: int = 1) -> list[layers.Layer]:
    """Convolution, batch norm, ReLU."""
    return [
        layers.Conv2D(filters, kernel_size, strides, padding="same", use_bias=False),
        layers.BatchNormalization(momentum=0.9),
        layers.ReLU(),
    ]


def load_labeled(config: Config, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Reads the images of one split at the size of their files, and their labels.

    Returns:
        uint8 [N, H, W, C] in [0, 255], and class ids, int [N].

    Raises:
        UserError: a file is missing or damaged, or images and labels don't match.
    """
    images = resolve(DATASETS[config.dataset].load_images)(config, split)[:]
    labels = load_labels(config, split)
    if not 0 < len(images) == len(labels):
        kind = "training" if split == "train" else split
        raise UserError(
            f"{config.data_dir or config.dataset} has {len(images):,} {kind} images but "
            f"{len(labels):,} labels: each image needs one"
        )
    return images, labels


def load_small(config: Config, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Reads evenly spaced images of one split, shrunk to SMALL_SIDE, and their labels.

    Returns:
        uint8 [N, H, W, C] in [0, 255], with N at most MAX_SMALL_IMAGES and H and W at most
        SMALL_SIDE; and class ids, int [N].

    Raises:
        UserError: there are no images, or a file is missing or damaged.
    """
    images, labels = load_split(config, split), load_labels(config, split)
    chosen = spaced_indices(len(images), MAX_SMALL_IMAGES)
    chunks = np.array_split(chosen, len(chosen) // 1000 + 1)
    return np.concatenate([shrink(images[chunk], SMALL_SIDE) for chunk in chunks]), labels[chosen]


@seeded(0)
def load_classifier(
    path: Path = WEIGHTS_FILE,
    shape: tuple[int, int, int] = DIGIT_SHAPE,
    classes: int = CLASSES,
) -> keras.Sequential:
    """A trained classifier of `make_classifier`; by default, the included digit classifier.

    Raises:
        OSError, ValueError: the file is missing, or `save_classifier` did not write it.
    """
    classifier = make_classifier(shape, classes)
    read_weights(classifier, path)
    return classifier


@seeded(0)
def load_residual_classifier(dataset: str) -> keras.Model:
    """The included classifier of one of RESIDUAL_SHAPES, averaged over mirror images.

    Raises:
        OSError, ValueError: the file is missing or damaged.
    """
    classifier = make_residual_classifier(RESIDUAL_SHAPES[dataset])
    read_weights(classifier, WEIGHTS_FILE.with_name(f"{dataset}_classifier.npz"))
    return mirror_averaged(classifier)


def read_weights(classifier: keras.Model, path: Path) -> None:
    """Sets the weights to those that `save_classifier` wrote."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            classifier.set_weights([archive[name] for name in archive.files])
    except OSError:
        raise
    except Exception as error:  # the .zip and .npy parsers raise many kinds
        raise ValueError(f"{path} is damaged: {first_line(error)}") from None


def save_classifier(classifier: keras.Model, path: Path) -> None:
    """Writes the weights as a .npz, kernels in float16 and vectors in float32."""
    weights = [
        weight.astype(np.float16) if weight.ndim > 1 else weight
        for weight in classifier.get_weights()
    ]
    with atomic_write(path) as file:
        np.savez_compressed(file, *weights)


def classify(classifier: keras.Model, images: np.ndarray) -> np.ndarray:
    """The predicted class ids of images, int64 [N].

    Args:
        classifier: a model from float32 images in [-1, 1] to logits.
        images: uint8 [N, H, W, C] in [0, 255].
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
    """Trains on images that are shifted by up to two pixels. The learning rate decays to 0.

    Args:
        images: uint8 [N, H, W, C] in [0, 255].
        labels: class ids, int [N].
        epochs: the number of epochs.
        seed: the seed of the weights, the order and the shifts.
        verbose: whether to print a line for each epoch, or ten lines if there are more epochs.
        classes: the number of classes.
    """
    with seeded(seed):
        classifier = make_classifier(images.shape[1:], classes)
    batches = shifted_batches(images, labels, epochs, seed)
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


def shifted_batches(
    images: np.ndarray, labels: np.ndarray, epochs: int, seed: int
) -> tf.data.Dataset:
    """Shuffled batches for some epochs, of images that are shifted by up to two pixels.

    The arguments are those of `train_classifier`.

    Returns:
        A dataset of (images, labels), float32 [batch, H, W, C] in [-1, 1] and int [batch].
    """
    pixels, ids = tf.constant(images), tf.constant(labels)

    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.experimental.stateless_shuffle(tf.range(len(images)), [seed, epoch])

        def shift(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            margin = tf.pad(pixels[index], [[2, 2], [2, 2], [0, 0]])
            seed_of_image = tf.random.experimental.stateless_fold_in([seed, epoch], index)
            shifted = tf.image.stateless_random_crop(margin, images.shape[1:], seed_of_image)
            return shifted, ids[index]

        batches = tf.data.Dataset.from_tensor_slices(order).map(shift).batch(BATCH_SIZE)
        return batches.map(lambda images, labels: (scale(images), labels))

    batches = tf.data.Dataset.range(epochs).flat_map(epoch_batches).prefetch(2)
    return batches.apply(
        tf.data.experimental.assert_cardinality(epochs * -(-len(images) // BATCH_SIZE))
    )
