"""The noise vectors z that the generator turns into images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from dcgan_tf.conditional.labels import NO_CLASSES, Classes
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError

MIN_ACCEPTED = 0.01  # probability that a normal value lies within the truncation


def seeded_noise(
    config: Config,
    seed: int,
    indices: Sequence[int],
    truncation: float | None = None,
    classes: Classes = NO_CLASSES,
    label: int | None = None,
) -> np.ndarray:
    """The noise of a seed's images; each depends only on the seed and the image's index.

    For a conditional run, a one-hot label follows the noise.

    Args:
        config: uses `noise` and `noise_dim`.
        seed: the seed of the images.
        indices: indices of the images, from 0.
        truncation: keeps all values within ± this, for more typical but less varied images: the
            truncation trick (Brock et al., 2019, section 3.1). Normal values beyond it are redrawn;
            uniform values are scaled, because their distribution has no tails.
        classes: the run's classes.
        label: the class index of all images; by default, each image's class is drawn in the
            proportions of the training images.

    Returns:
        float32 [len(indices), noise_dim], or [len(indices), noise_dim + classes].

    Raises:
        UserError: `truncation` is given and the config has `mapping_layers`.
    """
    if truncation is not None and config.mapping_layers:
        raise UserError(
            "`truncation` does not make images more typical in a run with `mapping_layers`, which "
            "normalize z: leave it out"
        )
    draw = _uniform if config.noise == "uniform" else _normal
    rngs = [np.random.default_rng((seed, index)) for index in indices]
    noise = np.stack([draw(rng, config.noise_dim, truncation) for rng in rngs])
    if not classes:
        return noise
    labels = classes.draw(seed, indices) if label is None else np.full(len(indices), label)
    return np.concatenate([noise, np.eye(len(classes), dtype=np.float32)[labels]], axis=1)


def _uniform(rng: np.random.Generator, size: int, truncation: float | None) -> np.ndarray:
    return rng.uniform(-1, 1, size).astype(np.float32) * np.float32(min(truncation or 1, 1))


def _normal(rng: np.random.Generator, size: int, truncation: float | None) -> np.ndarray:
    within = 1.0 if truncation is None else math.erf(truncation / math.sqrt(2))
    if within < MIN_ACCEPTED:
        # Inverse transform sampling, because rejection would accept too few values.
        return np.float32(math.sqrt(2) * tf.math.erfinv(rng.uniform(-within, within, size)))
    noise = rng.standard_normal(size, np.float32)
    while truncation is not None and (beyond := np.abs(noise) > truncation).any():
        noise[beyond] = rng.standard_normal(int(beyond.sum()), np.float32)
    return noise
