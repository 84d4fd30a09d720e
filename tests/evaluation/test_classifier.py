import hashlib

import keras
import numpy as np
import pytest

from dcgan_tf.datasets.loading import load_labels, load_split
from dcgan_tf.datasets.named import DEBIAN_FASHION_MNIST, MNIST_FILE
from dcgan_tf.evaluation import classifier
from dcgan_tf.settings.config import Config
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def test_digits():
    """MNIST's 10,000 test digits, which nothing is trained on, and their labels."""
    with np.load(MNIST_FILE) as archive:
        return archive["x_test"][..., np.newaxis], archive["y_test"]


def test_the_weights_that_come_with_the_project_are_small_and_accurate(test_digits):
    digits, labels = test_digits
    found = classifier.classify(classifier.load_classifier(), digits)
    assert found.shape == (10_000,)
    assert (found == labels).mean() >= 0.992
    assert classifier.WEIGHTS_FILE.stat().st_size < 2_000_000


@pytest.mark.parametrize("dataset", classifier.RESIDUAL_SHAPES)
def test_included_residual_classifiers_are_those_of_their_card(dataset):
    path = classifier.WEIGHTS_FILE.with_name(f"{dataset}_classifier.npz")
    card = (ROOT / "docs" / "evaluation.md").read_text()
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card
    assert path.stat().st_size < 2**20 and f"{path.stat().st_size:,} bytes" in card
    made = classifier.load_residual_classifier(dataset)
    assert made.count_params() < 500_000 and made.layers[-2].output.shape == (None, 80)


def test_features_are_the_average_over_mirror_images():
    trained = classifier.make_residual_classifier((8, 8, 3))
    images = np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 3)).astype(np.float32)
    features = keras.Model(trained.input, trained.layers[-2].output)
    expected = (features(images) + features(images[:, :, ::-1])) / 2
    averaged = classifier.mirror_averaged(trained)
    found = keras.Model(averaged.input, averaged.layers[-2].output)(images)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(averaged(images), trained.layers[-1](expected), atol=1e-5)


@pytest.mark.skipif(
    not DEBIAN_FASHION_MNIST.is_dir(), reason="needs Debian's dataset-fashion-mnist"
)
def test_clothes_are_recognized():
    config = Config(dataset="fashion_mnist")
    images, labels = (load(config, "test") for load in (load_split, load_labels))
    found = classifier.classify(classifier.load_residual_classifier("fashion_mnist"), images[:2000])
    assert (found == labels[:2000]).mean() > 0.92


def test_training_is_a_function_of_the_seed(test_digits):
    digits, labels = (array[:256] for array in test_digits)
    same, again, other = (
        classifier.train_classifier(digits, labels, epochs=1, seed=seed).get_weights()
        for seed in (0, 0, 1)
    )
    for a, b in zip(same, again):
        np.testing.assert_allclose(a, b, atol=1e-4)
    assert not np.allclose(same[0], other[0], atol=1e-2)


def test_classifier_computes_in_float32_whatever_the_policy_is():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        made = classifier.make_classifier()
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert {layer.compute_dtype for layer in made.layers} == {"float32"}
