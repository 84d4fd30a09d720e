"""The noise vectors z that the generator turns into images."""

from __future__ import annotations

from collections.abc import Sequence

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


def seeded_noise(
    kind: str,
    seed: int,
    indices: Sequence[int],
    noise_dim: int,
    limit: float | None = None,
) -> np.ndarray:
    """The noise of some images of a seed; each is a function of the seed and its index alone.

    Args:
        kind: `normal`, N(0, 1), or `uniform`, in [-1, 1].
        seed: which images.
        indices: which of them.
        noise_dim: the length of each vector.
        limit: keeps all values within ± this, for images that are more usual and less varied.
            Normal values beyond it are drawn again (Brock et al., 2019, section 3.1); uniform
            ones, which have no tails, are scaled.

    Returns:
        float32 [len(indices), noise_dim].
    """
    return np.stack([_one_noise(kind, (seed, index), noise_dim, limit) for index in indices])


def _one_noise(kind: str, seed: tuple[int, int], noise_dim: int, limit: float | None) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind == "uniform":
        return rng.uniform(-1, 1, noise_dim).astype(np.float32) * np.float32(min(limit or 1, 1))
    noise = rng.standard_normal(noise_dim, np.float32)
    while limit is not None and (beyond := np.abs(noise) > limit).any():
        noise[beyond] = rng.standard_normal(int(beyond.sum()), np.float32)
    return noise
