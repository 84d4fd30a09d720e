import keras
import numpy as np
import pytest

from dcgan_tf.datasets.named import MNIST_FILE
from dcgan_tf.evaluation import classifier


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
