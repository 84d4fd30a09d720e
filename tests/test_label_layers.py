"""Layers with weights for each class, checked by hand."""

import keras
import numpy as np
import pytest
from keras import layers

from dcgan_tf.conditional.label_layers import with_class_norms, with_projection
from dcgan_tf.regularization.pack import Pack
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError


def random_weights(model, rng):
    """Random numbers in place of a model's weights; the variances of batch norm are positive."""
    model.set_weights([rng.uniform(0.5, 1.5, each.shape) for each in model.get_weights()])


def test_generator_scales_and_shifts_what_batch_norm_makes():
    rng = np.random.default_rng(0)
    first, norm, last = layers.Dense(4), layers.BatchNormalization(), layers.Dense(2)
    generator = with_class_norms([first, norm, last], noise_dim=5, classes=3)
    assert generator.input_shape == (None, 5 + 3)
    assert not any(each.any() for each in generator.get_weights() if each.shape == (3, 4))
    random_weights(generator, rng)
    gamma, beta = (each for each in generator.get_weights() if each.shape == (3, 4))
    noise, labels = rng.normal(size=(6, 5)).astype("f"), np.array([0, 1, 2, 2, 1, 1])

    kernel, bias = first.get_weights()
    scale, shift, mean, variance = norm.get_weights()
    maps = noise @ kernel + bias
    maps = scale * (maps - mean) / np.sqrt(variance + norm.epsilon) + shift
    kernel, bias = last.get_weights()
    expected = (maps * (1 + gamma[labels]) + beta[labels]) @ kernel + bias
    found = generator(np.hstack([noise, np.eye(3)[labels]]).astype("f"), training=False)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("pack", [1, 2])
def test_discriminator_has_weights_of_a_class_for_its_features(pack):
    rng = np.random.default_rng(1)
    head = layers.Conv2D(1, 4)
    packs = [Pack(pack)] if pack > 1 else []
    stack, shape = [*packs, layers.Conv2D(3, 1, activation="relu")], (4, 4, 1)
    drawn = keras.initializers.RandomNormal()
    discriminator = with_projection(stack, [head, layers.Flatten()], shape, 3, pack, drawn)
    random_weights(discriminator, rng)
    (of_class,) = (each for each in discriminator.get_weights() if each.ndim == 2)
    assert of_class.shape == (pack * 3, 4 * 4 * 3)
    images = rng.uniform(-1, 1, (6, 4, 4, 1)).astype("f")
    labels = np.array([0, 1, 2, 2, 1, 1], np.int32)

    features = keras.Sequential(stack)(images).numpy().reshape(6 // pack, -1)
    kernel, bias = head.get_weights()
    of_class = of_class.reshape(pack, 3, -1)
    own = sum(of_class[i, labels[i::pack]] for i in range(pack))
    expected = (features * (kernel.ravel() + own)).sum(axis=1) + bias
    found = discriminator([keras.ops.array(images), keras.ops.array(labels)])
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-4)


def test_auxiliary_classifier_outputs_the_log_likelihood_of_the_label():
    rng = np.random.default_rng(2)
    stack, head = [layers.Conv2D(3, 1, activation="relu")], [layers.Flatten(), layers.Dense(1)]
    arguments = (stack, head, (4, 4, 1), 3, 1, keras.initializers.RandomNormal())
    discriminator = with_projection(*arguments, auxiliary=True)
    (classifier,) = (layer for layer in discriminator.layers if getattr(layer, "units", None) == 3)
    classifier.set_weights([rng.normal(size=each.shape) for each in classifier.get_weights()])
    images = rng.uniform(-1, 1, (6, 4, 4, 1)).astype("f")
    labels = np.array([0, 1, 2, 2, 1, 1], np.int32)

    kernel, bias = classifier.get_weights()
    scores = np.exp(keras.Sequential(stack)(images).numpy().reshape(6, -1) @ kernel + bias)
    expected = np.log(scores[np.arange(6), labels] / scores.sum(axis=1))
    inputs = [keras.ops.array(images), keras.ops.array(labels)]
    found = discriminator(inputs)
    np.testing.assert_allclose(found[:, 1], expected, rtol=1e-4)
    plain = keras.Model(discriminator.inputs, discriminator.layers[-1].input[0])
    np.testing.assert_allclose(found[:, :1], plain(inputs))


def test_settings_that_do_not_fit_label_layers_are_refused():
    with pytest.raises(UserError, match="needs the generator's batch norm"):
        Config(clusters=5, label_input="projection", generator_batch_norm=False)
    with pytest.raises(UserError, match="`fade_in` can't grow models"):
        Config(clusters=5, label_input="projection", fade_in=3, init_from="other")
    projection = {"clusters": 5, "label_input": "projection", "auxiliary_weight": 0.1}
    with pytest.raises(UserError, match="classifies each image on its own"):
        Config(**projection, pack=2)
    with pytest.raises(UserError, match="has no term for `auxiliary_weight`"):
        Config(**projection, loss="minimax", unroll_steps=1)
    for given in ({}, {"clusters": 5}):
        with pytest.raises(UserError, match="`auxiliary_weight` is for labels that"):
            Config.from_preset(auxiliary_weight=0.1, **given)
    with pytest.raises(UserError, match="`label_input` is for labels"):
        Config.from_preset(label_input="projection")
