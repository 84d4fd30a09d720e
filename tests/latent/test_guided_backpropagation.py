import keras
import numpy as np
import tensorflow as tf
from keras import layers

from dcgan_tf.latent import guided_backpropagation as guided
from dcgan_tf.models import make_discriminator
from dcgan_tf.settings.config import Config


def test_guided_gradient_by_hand():
    rectifier = layers.LeakyReLU(0.3)
    values = tf.constant([[-1.0, 2.0, 3.0, -4.0]])
    with tf.GradientTape() as tape:
        tape.watch(values)
        out = guided.guided(rectifier, values)
        total = tf.reduce_sum(out * tf.constant([[5.0, 6.0, -7.0, -8.0]]))
    np.testing.assert_allclose(out, [[-0.3, 2.0, 3.0, -1.2]], rtol=1e-6)
    # Passed on where both the value and what comes from above are positive.
    assert tape.gradient(total, values).numpy().tolist() == [[0, 6, 0, 0]]


def corner_detector():
    """A discriminator whose one filter adds up the pixels of a 2×2 corner."""
    convolution = layers.Conv2D(2, 2, 2, use_bias=False)
    stack = [layers.Input((4, 4, 1)), convolution, layers.LeakyReLU(), layers.Flatten()]
    model = keras.Sequential([*stack, layers.Dense(1)])
    kernel = np.zeros((2, 2, 1, 2), np.float32)
    kernel[..., 0] = 1
    kernel[0, 0, 0, 1] = 0.1
    convolution.set_weights([kernel])
    return model


def test_top_activating_images_and_their_gradients():
    images = np.zeros((250, 4, 4, 1), np.uint8)
    images[7, 2:, :2] = 255
    images[200, :2, 2:] = 200
    model = corner_detector()
    first, second = guided.top_activating_images(model, images, filters=2, count=2)
    assert first.filter == 0 and first.images.tolist() == [7, 200]
    np.testing.assert_allclose(first.activations, [4, 4 * (200 - 127.5) / 127.5], rtol=1e-5)
    assert second.filter == 1 and second.images[0] == 7
    gradients = guided.guided_backpropagation(model, images[[7]], 0)[0, ..., 0]
    expected = np.full((4, 4), 128)
    expected[2:, :2] = 255
    assert np.array_equal(gradients, expected)


def test_every_architecture_has_filters_and_none_is_a_logit():
    for name in ("tutorial", "paper", "blocks", "upsample"):
        config = Config.from_flags({"preset": name, "base_filters": 4, "pack": 2})
        model = make_discriminator(config, (32, 32, 3))
        activations = guided.last_activations(model, tf.zeros([3, 32, 32, 3]))
        assert len(activations) == 3 and activations.shape[-1] > 1
        assert activations.shape[1] in (2, 4, 8)
