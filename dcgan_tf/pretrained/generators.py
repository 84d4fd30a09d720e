"""The pretrained generators, one row each; docs/pretrained.md has their model cards."""

import hashlib
from pathlib import Path

from dcgan_tf.settings.errors import UserError

FILES = ("config.json", "generator.npz", "discriminator.npz")

# The SHA-256 of each model's files, in the order of FILES; some have no discriminator.
PRETRAINED = {
    "mnist": "005a5af73bafea2caeaa5cab6b71a78ef1718c6ee9e01dfba51f9fe0bf770e06",
    "fashion_mnist": "7a0cb204457edfd7a3fa2db776b816f5f2f30ca8b796528f6f4f9e9579207281",
    "cifar10": "e1023d90e656d0265286a920751e8f12ed391c21683ddadf510c1f0ce7776c64",
    "faces": "babbe3f60bc57165fb080747a58f48d60b6ff80ff8f1569c0d446651c0e02b72",
}


def pretrained_run(name: str) -> Path:
    """The run directory of a pretrained generator.

    Args:
        name: a name of PRETRAINED.

    Raises:
        UserError: there is no such generator, or it is damaged.
    """
    if name not in PRETRAINED:
        raise UserError(f"unknown pretrained generator {name!r}: use {', '.join(PRETRAINED)}")
    path = Path(__file__).parent / name
    content = b"".join((path / file).read_bytes() for file in FILES if (path / file).exists())
    if hashlib.sha256(content).hexdigest() != PRETRAINED[name]:
        raise UserError(f"{path} is damaged (its SHA-256 is wrong): reinstall the package")
    return path


def with_discriminator() -> list[str]:
    """The names of the pretrained models with a discriminator, from which training can start."""
    return [
        name for name in PRETRAINED if (Path(__file__).parent / name / "discriminator.npz").exists()
    ]
