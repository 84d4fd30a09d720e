"""The noise vectors z that the generator turns into images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from dcgan_tf.conditional.labels import UNLABELLED, Classes
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError

LEAST_ACCEPTED = 0.01  # the probability of a normal value within the truncation


def seeded_noise(
    config: Config,
    seed: int,
    numbers: Sequence[int],
    truncation: float | None = None,
    classes: Classes = UNLABELLED,
    label: int | None = None,
) -> np.ndarray:
    """The noise of some images of a seed; each is a function of the seed and its number alone.

    For a conditional run, each image's label stands beside it, as a one-hot vector.

    Args:
        config: its `noise` and `noise_dim` are used.
        seed: of the images.
        numbers: which of them, counted from 0.
        truncation: keeps all values within ± this, for images that are more typical and less
            varied: the truncation trick (Brock et al., 2019, section 3.1). Normal values beyond it
            are drawn again; uniform ones, which have no tails, are scaled.
        classes: of the run.
        label: the number of the images' class; by default each image has one of its own, drawn in
            the proportions of the training images.

    Returns:
        float32 [len(numbers), noise_dim], or [len(numbers), noise_dim + classes].

    Raises:
        UserError: noise that is scaled to one length (`mapping_layers`) would be truncated.
    """
    if truncation is not None and config.mapping_layers:
        raise UserError(
            "`truncation` makes no image more typical in a run with `mapping_layers`, which scale "
            "z to one length: leave it out"
        )
    draw = _uniform if config.noise == "uniform" else _normal
    rngs = [np.random.default_rng((seed, number)) for number in numbers]
    noise = np.stack([draw(rng, config.noise_dim, truncation) for rng in rngs])
    if not classes:
        return noise
    labels = classes.draw(seed, numbers) if label is None else np.full(len(numbers), label)
    return np.concatenate([noise, np.eye(len(classes), dtype=np.float32)[labels]], axis=1)


def _uniform(rng: np.random.Generator, size: int, truncation: float | None) -> np.ndarray:
    return rng.uniform(-1, 1, size).astype(np.float32) * np.float32(min(truncation or 1, 1))


def _normal(rng: np.random.Generator, size: int, truncation: float | None) -> np.ndarray:
    within = 1.0 if truncation is None else math.erf(truncation / math.sqrt(2))
    if within < LEAST_ACCEPTED:
        # By the inverse of the distribution function, since hardly a value would be accepted.
        return np.float32(math.sqrt(2) * tf.math.erfinv(rng.uniform(-within, within, size)))
    noise = rng.standard_normal(size, np.float32)
    while truncation is not None and (beyond := np.abs(noise) > truncation).any():
        noise[beyond] = rng.standard_normal(int(beyond.sum()), np.float32)
    return noise
