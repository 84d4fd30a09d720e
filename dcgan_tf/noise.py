"""The noise vectors z that the generator turns into images."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def training_noise(kind: str, shape: list[int], seed: int, step: tf.Tensor) -> tf.Tensor:
    """The noise of one training step: a function of the seed and the step.

    Args:
        kind: `normal`, N(0, 1), or `uniform`, in [-1, 1].
        shape: [batch, noise_dim].
        seed: the run's seed.
        step: int64, how many steps were taken before.

    Returns:
        float32 of that shape.
    """
    if kind == "normal":
        return tf.random.stateless_normal(shape, [seed, step])
    return tf.random.stateless_uniform(shape, [seed, step], minval=-1.0, maxval=1.0)


def seeded_noise(kind: str, seed: int, indices: range, noise_dim: int) -> np.ndarray:
    """The noise of some images of a seed; each is a function of the seed and its index alone.

    Args:
        kind: `normal`, N(0, 1), or `uniform`, in [-1, 1].
        seed: which images.
        indices: which of them.
        noise_dim: the length of each vector.

    Returns:
        float32 [len(indices), noise_dim].
    """
    generators = (np.random.default_rng((seed, index)) for index in indices)
    if kind == "normal":
        return np.stack([rng.standard_normal(noise_dim, np.float32) for rng in generators])
    return np.stack([rng.uniform(-1, 1, noise_dim).astype(np.float32) for rng in generators])
