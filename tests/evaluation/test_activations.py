import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.evaluation.activations import apply_in_batches, inputs_and_layers
from dcgan_tf.regularization.pack import Pack

IMAGES = np.arange(4 * 2 * 2 * 3, dtype=np.float32).reshape(4, 2, 2, 3)


def test_images_are_repeated_only_for_a_model_that_packs():
    packs = keras.Sequential([keras.layers.Input((2, 2, 3)), Pack(2)])
    repeated, layers = inputs_and_layers(packs, IMAGES)
    assert np.array_equal(repeated, IMAGES[[0, 0, 1, 1, 2, 2, 3, 3]]) and layers == packs.layers
    plain = keras.Sequential([keras.layers.Input((2, 2, 3)), keras.layers.Flatten()])
    images, layers = inputs_and_layers(plain, IMAGES)
    assert images is IMAGES and layers == plain.layers


def test_a_function_is_not_retraced_for_every_set_of_few_images(caplog):
    images = np.zeros((3, 2, 2, 1), np.uint8)
    for _ in range(8):
        means = apply_in_batches(images, lambda batch: tf.reduce_mean(batch, [1, 2, 3]), 2)
        np.testing.assert_array_equal(means, [-1, -1, -1])
    assert "retracing" not in caplog.text
