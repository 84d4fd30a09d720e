"""Spectral normalization of the discriminator's kernels."""

from __future__ import annotations

from keras import layers

from dcgan_tf.layers import Layers
from dcgan_tf.settings.config import Config


def spectral_norm(config: Config, stack: Layers) -> Layers:
    """Applies spectral normalization to the layers with a kernel, if the config enables it.

    Miyato et al., 2018: the kernel is divided by an estimate of its largest singular value, which
    each forward pass in training refines by one power iteration.
    """
    if not config.spectral_norm:
        return stack
    normalized = list(stack)
    for index in kernel_layers(stack):
        layer = stack[index]
        normalized[index] = layers.SpectralNormalization(layer, dtype=layer.dtype_policy)
    return normalized


def kernel_layers(stack: Layers) -> list[int]:
    """The indices of the layers with a kernel, normalized or not."""
    plain = [getattr(layer, "layer", layer) for layer in stack]
    return [index for index, layer in enumerate(plain) if hasattr(layer, "kernel_initializer")]
