"""The weights of a model in one file, half the size of a checkpoint."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from dcgan_tf.files.archives import open_archive
from dcgan_tf.files.atomic_files import atomic_write


def save_weights(path: Path, model: keras.Model, step: int) -> None:
    """Writes weights and their step as a .npz, kernels in float16 and vectors in float32."""
    weights = [
        weight.astype(np.float16) if weight.ndim > 1 else weight for weight in model.get_weights()
    ]
    with atomic_write(path) as file:
        np.savez_compressed(file, *weights, step=step)


def load_weights(path: Path, model: keras.Model) -> None:
    """Loads weights from `save_weights` into a model with the same layers.

    Raises:
        UserError: the file is damaged, or has the weights of another model.
    """
    with open_archive(path) as archive:
        model.set_weights([archive[name] for name in archive if name != "step"])


def weights_step(path: Path) -> int:
    """The step of the weights in a file from `save_weights`.

    Raises:
        UserError: the file is damaged.
    """
    with open_archive(path) as archive:
        return int(archive["step"])
