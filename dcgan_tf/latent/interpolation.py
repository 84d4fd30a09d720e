"""Paths between latent vectors (Radford et al., 2016, section 6.1)."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike


def slerp(a: np.ndarray, b: np.ndarray, fractions: ArrayLike) -> np.ndarray:
    """Spherical linear interpolation from a to b, along a great circle (White, 2016).

    The direction rotates at a constant rate from a to b, and the length changes linearly. Between
    parallel or one-dimensional vectors, the path is straight. Between opposite vectors, it turns
    through an axis that is nearly orthogonal to both.

    Args:
        a, b: float [noise_dim], not zero.
        fractions: positions on the path, float [points] in [0, 1].

    Returns:
        float32 [points, noise_dim].
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    if len(a) == 1:
        return lerp(a, b, fractions)
    fractions = np.asarray(fractions, float)[:, np.newaxis]
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    start, end = a / lengths[0], b / lengths[1]
    across = end - (start @ end) * start
    angle = np.arctan2(np.linalg.norm(across), start @ end)
    if np.linalg.norm(across) < 1e-6:
        axis = np.eye(len(a))[np.abs(start).argmin()]
        across = axis - (start @ axis) * start
    across /= np.linalg.norm(across)
    directions = np.cos(angle * fractions) * start + np.sin(angle * fractions) * across
    return (((1 - fractions) * lengths[0] + fractions * lengths[1]) * directions).astype(np.float32)


def lerp(a: np.ndarray, b: np.ndarray, fractions: ArrayLike) -> np.ndarray:
    """Linear interpolation from a to b; arguments and result as in `slerp`."""
    fractions = np.asarray(fractions, float)[:, np.newaxis]
    return ((1 - fractions) * np.asarray(a) + fractions * np.asarray(b)).astype(np.float32)


def interpolate(
    a: np.ndarray, b: np.ndarray, fractions: ArrayLike, kind: str, noise_dim: int | None = None
) -> np.ndarray:
    """Interpolates with slerp for `normal` noise, and lerp for `uniform` noise.

    Uniform noise fills a cube, and a great circle would leave it. Labels after the first
    `noise_dim` values are interpolated linearly. Other arguments and the result as in `slerp`.
    """
    path = (slerp if kind == "normal" else lerp)(a[:noise_dim], b[:noise_dim], fractions)
    if noise_dim is None:
        return path
    return np.concatenate([path, lerp(a[noise_dim:], b[noise_dim:], fractions)], axis=1)


def interpolate_through(
    noises: np.ndarray, frames: int, kind: str, closed: bool, noise_dim: int | None = None
) -> np.ndarray:
    """A path through several points, with the same number of frames between consecutive points.

    Args:
        noises: float [points, noise_dim], at least two.
        frames: frames between consecutive points.
        kind, noise_dim: see `interpolate`.
        closed: whether to return to the first point, which is not repeated at the end.

    Returns:
        float32 [points · frames, noise_dim] if closed, else
        [(points − 1) · frames + 1, noise_dim].
    """
    fractions = np.arange(frames) / frames
    points = [*noises, noises[0]] if closed else list(noises)
    legs = [interpolate(a, b, fractions, kind, noise_dim) for a, b in itertools.pairwise(points)]
    ends = [] if closed else [np.asarray(noises[-1:], np.float32)]
    return np.concatenate([*legs, *ends])
