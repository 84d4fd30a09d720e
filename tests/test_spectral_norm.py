"""Spectral norm in the discriminator of every architecture."""

import keras
import numpy as np
import pytest

from dcgan_tf.models import make_discriminator
from dcgan_tf.regularization.spectral_norm import kernel_layers
from dcgan_tf.settings.choices import ARCHITECTURES
from dcgan_tf.settings.config import Config


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_kernel_has_a_largest_singular_value_of_one(architecture):
    """Once enough power iterations were made, one a pass in training."""
    config = Config(architecture=architecture, base_filters=2, spectral_norm=True, dropout=0.0)
    discriminator = make_discriminator(config, (32, 32, 1))
    images = np.random.default_rng(0).uniform(-1, 1, (4, 32, 32, 1)).astype("f")
    plain = make_discriminator(Config(architecture=architecture, base_filters=2), (32, 32, 1))
    normalized = [discriminator.layers[index] for index in kernel_layers(discriminator.layers)]
    assert len(normalized) == len(kernel_layers(plain.layers)) >= 3
    assert all(isinstance(layer, keras.layers.SpectralNormalization) for layer in normalized)
    for _ in range(60):
        logits = discriminator(images, training=True)
    assert logits.dtype == "float32" and logits.shape == (4, 1)
    for layer in normalized:
        matrix = layer.kernel.numpy().reshape(-1, layer.kernel.shape[-1])
        assert np.linalg.norm(matrix, 2) == pytest.approx(1, rel=0.02)
    before = discriminator.get_weights()
    discriminator(images, training=False)
    for weight, same in zip(discriminator.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, same)


def test_logits_are_float32_in_half_precision_too():
    config = Config(base_filters=2, spectral_norm=True, precision="bfloat16")
    logits = make_discriminator(config, (16, 16, 1))(np.zeros((4, 16, 16, 1), "f"), training=True)
    assert logits.dtype == "float32"
