"""The same models and step in PyTorch, for comparison where it is installed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from dcgan_tf.config import Config


def steps(config: Config, images: np.ndarray) -> dict[str, Callable[[], None]]:
    """A training step in each of the ways that PyTorch has.

    Args:
        config: of the tutorial's or the paper's preset.
        images: float32 [batch, H, W, C] in [-1, 1].
    """
    ways = {
        "PyTorch, float32": (torch.float32, torch.contiguous_format),
        "PyTorch, float32, channels last": (torch.float32, torch.channels_last),
    }
    # Without the processor's instructions, bfloat16 is emulated, and takes minutes.
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        ways["PyTorch, bfloat16, channels last"] = (torch.bfloat16, torch.channels_last)
    return {name: make_step(config, images, *way) for name, way in ways.items()}


def make_step(
    config: Config, images: np.ndarray, precision: torch.dtype, layout: torch.memory_format
) -> Callable[[], None]:
    models = [model.to(memory_format=layout) for model in MODELS[config.architecture](config)]
    generator, discriminator = models
    parameters = [list(model.parameters()) for model in models]
    optimizers = [
        torch.optim.Adam(each, config.learning_rate, (config.beta_1, 0.999)) for each in parameters
    ]
    real = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).contiguous(memory_format=layout)
    cross_entropy = nn.BCEWithLogitsLoss()
    count = len(images)
    ones, zeros = torch.ones(count, 1), torch.zeros(count, 1)

    def step() -> None:
        noise = torch.randn(count, config.noise_dim)
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
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

    return step


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
