"""Spectral normalization of the discriminator's kernels."""

from __future__ import annotations

from keras import layers

from dcgan_tf.layers import Layers
from dcgan_tf.settings.config import Config


def spectral_norm(config: Config, stack: Layers) -> Layers:
    """The layers, those with a kernel spectrally normalized, if the config says so.

    Miyato et al., 2018: each forward pass in training divides the kernel by its largest singular
    value, which one power iteration more estimates.
    """
    if not config.spectral_norm:
        return stack
    normalized = list(stack)
    for index in kernel_layers(stack):
        layer = stack[index]
        normalized[index] = layers.SpectralNormalization(layer, dtype=layer.dtype_policy)
    return normalized


def kernel_layers(stack: Layers) -> list[int]:
    """Which of the layers have a kernel, be they normalized or not."""
    plain = [getattr(layer, "layer", layer) for layer in stack]
    return [index for index, layer in enumerate(plain) if hasattr(layer, "kernel_initializer")]
