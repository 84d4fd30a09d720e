"""Trains the DCGAN of PyTorch's examples for a given time.

    python -m benchmarks.torch_example IMAGES.npy OUTPUT.npz --minutes M

IMAGES.npy holds uint8 [N, 64, 64, 3]. OUTPUT.npz gets generated `images` and the last `step`. As in
the example: weights from N(0, 0.02), Adam(2e-4, β₁ 0.5), normal noise, float32. The discriminator
is updated on real and generated images in separate batches, then the generator against the new
discriminator. Images are drawn with batch norm in training mode.
"""

import argparse
import time

import numpy as np
import torch
from torch import nn

from benchmarks.torch_step import paper_models
from dcgan_tf.commands import program
from dcgan_tf.settings.config import Config

NUM_IMAGES = 2000
BEGAN = time.monotonic()


def initialize(layer: nn.Module) -> None:
    """Initializes convolutions from N(0, 0.02), and the scales of batch norm from N(1, 0.02)."""
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)


def train(config: Config, images: np.ndarray, minutes: float) -> tuple[np.ndarray, int]:
    """Trains until `minutes` after the process started.

    Args:
        config: a config with the paper's architecture.
        images: uint8 [N, 64, 64, 3].
        minutes: the time limit.

    Returns:
        Generated images, uint8 [NUM_IMAGES, 64, 64, 3]; and the number of steps taken.
    """
    torch.manual_seed(config.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator, discriminator = (
        model.apply(initialize).to(device) for model in paper_models(config)
    )
    optimizers = [
        torch.optim.Adam(model.parameters(), config.learning_rate, (config.beta_1, 0.999))
        for model in (generator, discriminator)
    ]
    cross_entropy = nn.BCEWithLogitsLoss()
    real = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())

    def loss(batch: torch.Tensor, target: float) -> torch.Tensor:
        logits = discriminator(batch)
        return cross_entropy(logits, torch.full_like(logits, target))

    def generate(count: int) -> torch.Tensor:
        return generator(torch.randn(count, config.noise_dim, device=device))

    step = 0
    while True:
        for indices in torch.randperm(len(real)).split(config.batch_size):
            if time.monotonic() - BEGAN > 60 * minutes:
                with torch.no_grad():
                    batches = -(-NUM_IMAGES // config.batch_size)
                    drawn = torch.cat([generate(config.batch_size).cpu() for _ in range(batches)])
                drawn = drawn[:NUM_IMAGES].permute(0, 2, 3, 1).numpy()
                return np.rint((drawn + 1) * 127.5).astype(np.uint8), step
            batch = real[indices].to(device).float() / 127.5 - 1
            fake = generate(len(batch))
            discriminator.zero_grad()
            loss(batch, 1.0).backward()
            loss(fake.detach(), 0.0).backward()
            optimizers[1].step()
            generator.zero_grad()
            loss(fake, 1.0).backward()
            optimizers[0].step()
            step += 1


def main() -> None:
    """Trains, and writes the generated images."""
    parser = argparse.ArgumentParser()
    parser.add_argument("images")
    parser.add_argument("output")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--base_filters", type=int, default=64)
    parser.add_argument("--batch_size", type=int, default=64)
    flags = parser.parse_args()
    names = ("seed", "base_filters", "batch_size")
    settings = {name: getattr(flags, name) for name in names}
    config = Config.from_flags({"preset": "paper"} | settings)
    images, step = train(config, np.load(flags.images), flags.minutes)
    np.savez(flags.output, images=images, step=step)


if __name__ == "__main__":
    program.run(main)
