"""The pretrained generators, one row each; docs/pretrained.md has their model cards."""

import hashlib
from pathlib import Path

from dcgan_tf.settings.errors import UserError

FILES = ("config.json", "generator.npz", "discriminator.npz")

# The SHA-256 of each model's files, in the order of FILES; some have no discriminator.
PRETRAINED = {
    "mnist": "1ff722870ec823235b613e3eea3f33167314ea9440d05dc12522ded975b69cd8",
    "fashion_mnist": "ea10979cd7c30fb00f9a0f8a8078ac2bb654283f4bdd180695baed8849c9dd42",
    "cifar10": "746dec1f473829cfe99c076b0e9dbc85446b07ed9fc248434cef5eaf9f1ea0f1",
    "faces": "3861ec878179e61b21b4a0cff2462a025d9510aee75f13d316b1eb4d9a52d424",
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
