"""The same models, training step and layers in PyTorch, for comparison."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch._functorch import config as functorch_config

from dcgan_tf.settings.config import Config


def make_step(
    config: Config, images: np.ndarray, precision: str, channels_last: bool, compiled: bool = False
) -> tuple[Callable[[], None], Callable[[], None]]:
    """A training step on the GPU if there is one, else on the CPU.

    Args:
        config: a config with the tutorial's or the paper's architecture.
        images: float32 [batch, H, W, C] in [-1, 1].
        precision: "bfloat16" for autocast, or "float32".
        channels_last: whether to use TensorFlow's memory layout.
        compiled: whether to compile both models with `torch.compile`.

    Returns:
        The step, and a function that waits until all started steps are done.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    is_fast = device == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    if precision == "bfloat16" and not is_fast:  # emulation would take minutes
        raise SystemExit("this CPU has no bfloat16 instructions")
    layout = torch.channels_last if channels_last else torch.contiguous_format
    models = [
        model.to(device, memory_format=layout) for model in MODELS[config.architecture](config)
    ]
    generator, discriminator = models
    if compiled:
        functorch_config.donated_buffer = False  # both losses share a graph
        generator, discriminator = map(torch.compile, models)
    parameters = [list(model.parameters()) for model in models]
    optimizers = [
        torch.optim.Adam(each, config.learning_rate, (config.beta_1, 0.999)) for each in parameters
    ]
    real = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    real = real.to(device).contiguous(memory_format=layout)
    cross_entropy = nn.BCEWithLogitsLoss()
    count = len(images)
    ones, zeros = torch.ones(count, 1, device=device), torch.zeros(count, 1, device=device)

    def step() -> None:
        noise = torch.randn(count, config.noise_dim, device=device)
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            fake = generator(noise)
            real_logits, fake_logits = discriminator(real), discriminator(fake)
        gen_loss = cross_entropy(fake_logits.float(), ones)
        disc_loss = cross_entropy(real_logits.float(), ones)
        disc_loss = disc_loss + cross_entropy(fake_logits.float(), zeros)
        gradients = [
            torch.autograd.grad(gen_loss, parameters[0], retain_graph=True),
            torch.autograd.grad(disc_loss, parameters[1]),
        ]
        for each, found, optimizer in zip(parameters, gradients, optimizers):
            for parameter, gradient in zip(each, found):
                parameter.grad = gradient
            optimizer.step()

    return step, torch.cuda.synchronize if device == "cuda" else lambda: None


def tutorial_models(config: Config) -> tuple[nn.Module, nn.Module]:
    filters, slope = config.base_filters, config.negative_slope

    def up(filters_in: int, filters_out: int, stride: int) -> nn.Module:
        padding = {"padding": 2, "output_padding": stride - 1, "bias": False}
        return nn.ConvTranspose2d(filters_in, filters_out, 5, stride, **padding)

    def down(filters_in: int, filters_out: int) -> list[nn.Module]:
        conv = nn.Conv2d(filters_in, filters_out, 5, 2, padding=2)
        return [conv, nn.LeakyReLU(slope), nn.Dropout(config.dropout)]

    generator = nn.Sequential(
        nn.Linear(config.noise_dim, 49 * 4 * filters, bias=False),
        nn.BatchNorm1d(49 * 4 * filters),
        nn.LeakyReLU(slope),
        nn.Unflatten(1, (4 * filters, 7, 7)),
        up(4 * filters, 2 * filters, 1),
        nn.BatchNorm2d(2 * filters),
        nn.LeakyReLU(slope),
        up(2 * filters, filters, 2),
        nn.BatchNorm2d(filters),
        nn.LeakyReLU(slope),
        up(filters, 1, 2),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        *down(1, filters),
        *down(filters, 2 * filters),
        nn.Flatten(),
        nn.Linear(49 * 2 * filters, 1),
    )
    return generator, discriminator


def paper_models(config: Config) -> tuple[nn.Module, nn.Module]:
    filters = config.base_filters

    def up(filters_in: int, filters_out: int, *geometry: int) -> list[nn.Module]:
        conv = nn.ConvTranspose2d(filters_in, filters_out, *geometry, bias=False)
        return [conv, nn.BatchNorm2d(filters_out), nn.ReLU(True)]

    def down(filters_in: int, filters_out: int) -> list[nn.Module]:
        conv = nn.Conv2d(filters_in, filters_out, 4, 2, 1, bias=False)
        return [conv, nn.BatchNorm2d(filters_out), nn.LeakyReLU(config.negative_slope, True)]

    generator = nn.Sequential(
        nn.Unflatten(1, (config.noise_dim, 1, 1)),
        *up(config.noise_dim, 8 * filters, 4, 1, 0),
        *up(8 * filters, 4 * filters, 4, 2, 1),
        *up(4 * filters, 2 * filters, 4, 2, 1),
        *up(2 * filters, filters, 4, 2, 1),
        nn.ConvTranspose2d(filters, 3, 4, 2, 1, bias=False),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(3, filters, 4, 2, 1, bias=False),
        nn.LeakyReLU(config.negative_slope, True),
        *down(filters, 2 * filters),
        *down(2 * filters, 4 * filters),
        *down(4 * filters, 8 * filters),
        nn.Conv2d(8 * filters, 1, 4, 1, 0, bias=False),
        nn.Flatten(),
    )
    return generator, discriminator


MODELS = {"tutorial": tutorial_models, "paper": paper_models}


def make_passes(
    kind: str, layer: dict[str, Any], shape: list[int], channels_last: bool
) -> tuple[Callable[[], None], Callable[[], None]]:
    """The forward and backward pass of a layer; returns functions like `make_step`.

    Args:
        kind: the name of the equivalent Keras layer, a key of LAYERS.
        layer: the config of the Keras layer.
        shape: the shape of the inputs, [batch, H, W, C] or [batch, C].
        channels_last: whether to use TensorFlow's memory layout.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    batch, *image, channels = shape
    layout = torch.channels_last if channels_last and image else torch.contiguous_format
    made = LAYERS[kind](channels, len(image), layer).to(device, memory_format=layout)
    inputs = torch.randn(batch, channels, *image, device=device).contiguous(memory_format=layout)
    inputs.requires_grad_()

    def both_ways() -> None:
        outputs = made(inputs)
        torch.autograd.grad(outputs, [inputs, *made.parameters()], outputs.detach())

    return both_ways, torch.cuda.synchronize if device == "cuda" else lambda: None


def conv_like(channels: int, axes: int, layer: dict[str, Any]) -> nn.Module:
    (size, _), (stride, _) = layer["kernel_size"], layer["strides"]
    padding = (size - stride + 1) // 2 if layer["padding"] == "same" else 0
    geometry = {"padding": padding, "bias": layer["use_bias"]}
    return nn.Conv2d(channels, layer["filters"], size, stride, **geometry)


def transposed_like(channels: int, axes: int, layer: dict[str, Any]) -> nn.Module:
    (size, _), (stride, _) = layer["kernel_size"], layer["strides"]
    geometry = {"bias": layer["use_bias"]}
    if layer["padding"] == "same":
        padding = (size - stride + 1) // 2
        geometry |= {"padding": padding, "output_padding": 2 * padding + stride - size}
    conv = nn.ConvTranspose2d(channels, layer["filters"], size, stride, **geometry)
    return nn.Sequential(conv, nn.Tanh()) if layer["activation"] == "tanh" else conv


def batch_norm_like(channels: int, axes: int, layer: dict[str, Any]) -> nn.Module:
    return nn.BatchNorm2d(channels) if axes else nn.BatchNorm1d(channels)


LAYERS: dict[str, Callable[[int, int, dict[str, Any]], nn.Module]] = {
    "Conv2D": conv_like,
    "Conv2DTranspose": transposed_like,
    "BatchNormalization": batch_norm_like,
    "Dropout": lambda channels, axes, layer: nn.Dropout(layer["rate"]),
    "Dense": lambda channels, axes, layer: nn.Linear(
        channels, layer["units"], bias=layer["use_bias"]
    ),
    "LeakyReLU": lambda channels, axes, layer: nn.LeakyReLU(layer["negative_slope"]),
    "ReLU": lambda channels, axes, layer: nn.ReLU(),
}
