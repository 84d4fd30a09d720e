import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from dcgan_tf.fast import keras_layers as fast_layers

SHAPES = [
    # size, channels, filters, kernel, stride
    (14, 64, 40, 5, 2),
    (8, 64, 32, 4, 2),
    (6, 64, 33, 3, 2),
    (6, 64, 32, 2, 2),
    (7, 64, 32, 5, 1),
    (7, 64, 32, 4, 1),
    (9, 64, 32, 5, 3),
    (9, 64, 32, 4, 3),
    (8, 64, 32, 6, 4),
]


def twins(kind, *args, **kwargs):
    """A layer of both libraries, in float64."""
    return [
        getattr(library, kind)(*args, dtype="float64", **kwargs)
        for library in (fast_layers, layers)
    ]


def random(*shape):
    return tf.constant(np.random.default_rng(0).standard_normal(shape))


def derivatives(layer, inputs, weights, order=1):
    """The layer's outputs, and its first and second gradients by inputs and weights."""
    layer(inputs, training=True)
    for variable, value in zip(layer.trainable_weights, weights):
        variable.assign(value)
    sources = [inputs, *(variable.value for variable in layer.trainable_weights)]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=True)
        result = [outputs]
        target = tf.reduce_sum(outputs**3)
        for _ in range(order):
            gradients = tape.gradient(target, sources)
            result += gradients
            target = tf.add_n([tf.reduce_sum(gradient**2) for gradient in gradients])
    return result


def assert_same(kind, inputs, *args, order=2, **kwargs):
    ours, theirs = twins(kind, *args, **kwargs)
    theirs(inputs)
    weights = [random(*weight.shape) for weight in theirs.trainable_weights]
    found = derivatives(ours, inputs, weights, order)
    expected = derivatives(theirs, inputs, weights, order)
    for value, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-8, atol=1e-8 * np.abs(wanted).max())


@pytest.mark.parametrize("size, channels, filters, kernel, stride", SHAPES)
def test_convolutions_and_derivatives_equal_kerass(size, channels, filters, kernel, stride):
    images = random(2, size, size, channels)
    assert_same("Conv2D", images, filters, kernel, strides=stride, padding="same")
    assert fast_layers.is_subpixel(
        layers.Conv2D(filters, kernel, stride, "same"), (size, size), channels
    )


@pytest.mark.parametrize("size, channels, filters, kernel, stride", SHAPES)
def test_transposed_convolutions_too(size, channels, filters, kernel, stride):
    maps = random(2, size // stride, size // stride, filters)
    kwargs = {"strides": stride, "padding": "same", "use_bias": False, "activation": "tanh"}
    assert_same("Conv2DTranspose", maps, channels, kernel, **kwargs)


def test_shapes_unfit_for_subpixel_convolutions_use_keras():
    assert_same("Conv2D", random(2, 7, 7, 64), 4, 5, strides=2, padding="same", order=1)
    assert_same("Conv2D", random(2, 8, 8, 64), 4, 5, strides=2, order=1)
    assert_same("Conv2D", random(2, 8, 8, 3), 4, 5, strides=2, padding="same", order=1)
    assert_same("Conv2D", random(2, 8, 8, 64), 4, 3, strides=4, padding="same", order=1)
    assert_same("Conv2DTranspose", random(2, 1, 1, 5), 64, 4, use_bias=False, order=1)
    assert_same("Conv2DTranspose", random(2, 4, 4, 5), 64, 4, strides=2, padding="same", order=1)


def test_large_maps_use_keras():
    layer = layers.Conv2D(64, 4, 2, "same")
    assert fast_layers.is_subpixel(layer, (16, 16), 64)
    assert not fast_layers.is_subpixel(layer, (32, 32), 64)


@pytest.mark.parametrize("shape", [(6, 5), (4, 3, 3, 5)])
def test_batch_norm_averages_and_derivatives_equal_those_of_keras(shape):
    inputs = tf.cast(3 * random(*shape) + 1, tf.float32)
    kwargs = {"momentum": 0.8, "epsilon": 1e-5, "dtype": "float32"}
    pair = [library.BatchNormalization(**kwargs) for library in (fast_layers, layers)]
    weights = [[1.0, 2.0, -1.0, 0.5, 3.0], [0.0, 1.0, 2.0, 3.0, 4.0]]
    found, expected = (derivatives(layer, inputs, weights) for layer in pair)
    for value, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())
    for value, wanted in zip(pair[0].variables, pair[1].variables, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-5)
    for frozen in (False, True):
        for layer in pair:
            layer.trainable = not frozen
        np.testing.assert_allclose(*(layer(inputs, training=frozen) for layer in pair), rtol=1e-4)


def test_batch_norm_averages_by_hand():
    layer = fast_layers.BatchNormalization(momentum=0.9)
    layer(tf.constant([[1.0], [2.0], [6.0]]), training=True)
    assert float(layer.moving_mean[0]) == pytest.approx(0.1 * 3)
    assert float(layer.moving_variance[0]) == pytest.approx(0.9 + 0.1 * 14 / 3)


def test_dropout_drops_its_rate_and_scales_the_rest():
    dropout = fast_layers.Dropout(0.3, seed=1)
    ones = tf.ones([1001, 333])
    values = dropout(ones, training=True).numpy()
    assert set(np.unique(values)) == {0, np.float32(1 / 0.7)}
    # 333,333 independent values: the rate has a standard deviation of 0.0008.
    assert (values == 0).mean() == pytest.approx(0.3, abs=0.004)
    neighbors = np.corrcoef((values == 0)[:, :-1].ravel(), (values == 0)[:, 1:].ravel())[0, 1]
    assert abs(neighbors) < 0.01
    again = dropout(ones, training=True).numpy()
    assert (values == again).mean() == pytest.approx(0.7**2 + 0.3**2, abs=0.005)
    first = fast_layers.Dropout(0.3, seed=1)(ones, training=True)
    np.testing.assert_array_equal(first, values)
    np.testing.assert_array_equal(dropout(ones, training=False), ones)


def test_dropout_passes_gradients_where_it_passed_values():
    inputs = tf.random.stateless_normal([50, 3], [1, 2])
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = fast_layers.Dropout(0.5, seed=1)(inputs, training=True)
    gradients = tape.gradient(outputs, inputs)
    np.testing.assert_array_equal(gradients, np.where(outputs == 0, 0, 2))


def test_plain_layers_need_no_code_of_this_project(tmp_path):
    stack = [
        layers.Input((8, 8, 64)),
        fast_layers.Conv2D(32, 3, 2, "same"),
        fast_layers.BatchNormalization(),
        fast_layers.Conv2DTranspose(64, 3, 2, "same", use_bias=False),
        fast_layers.Dropout(0.5, seed=1),
        layers.ReLU(),
    ]
    model = keras.Sequential(stack)
    model.layers[1].moving_mean.assign(np.arange(32.0))
    copy = fast_layers.plain(model)
    assert all(type(layer).__module__.startswith("keras.") for layer in copy.layers)
    images = tf.cast(random(2, 8, 8, 64), tf.float32)
    np.testing.assert_allclose(copy(images), model(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rate", [0.9999, 0.99999, 0.999999, 1 - 2**-53])
def test_dropout_of_almost_all(rate):
    outputs = fast_layers.Dropout(rate, seed=1)(tf.ones([1000, 1000]), training=True).numpy()
    kept = (outputs != 0).mean()
    # Exact to 1/65,536, and drawn a million times.
    assert abs(kept - (1 - rate)) <= 1 / 65536 + 4 * ((1 - rate) / 1e6 + 1 / 65536e6) ** 0.5
    np.testing.assert_allclose(outputs[outputs != 0], 1 / (1 - rate), rtol=1e-6)
