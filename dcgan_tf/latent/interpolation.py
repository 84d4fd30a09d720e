"""The latent space: ways from image to image, sums of images, and the noise of a given picture.

Radford et al., 2016, section 6. Images go by their numbers: image n is the n-th of a seed.
"""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.cli.errors import UserError

MAX_IMAGES = 100
PROJECTION_STEPS = 300
PROJECTION_RATE = 0.05


class Term(NamedTuple):
    """A part of a sum: +1 or −1, and the images whose mean noise it is."""

    sign: int
    images: list[int]


def slerp(a: np.ndarray, b: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Points on the way from a to b, along a great circle (White, 2016).

    The direction turns evenly from that of a to that of b, and the length changes evenly. Parallel
    vectors have a straight way; opposite ones go round by an axis that neither has much of.

    Args:
        a, b: float [noise_dim], not zero.
        shares: float [points], of the way, in [0, 1].

    Returns:
        float32 [points, noise_dim].
    """
    a, b, shares = np.asarray(a, float), np.asarray(b, float), np.asarray(shares, float)[:, None]
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    start, end = a / lengths[0], b / lengths[1]
    across = end - (start @ end) * start
    angle = np.arctan2(np.linalg.norm(across), start @ end)
    if np.linalg.norm(across) < 1e-6:
        axis = np.eye(len(a))[np.abs(start).argmin()]
        across = axis - (start @ axis) * start
    across /= np.linalg.norm(across)
    directions = np.cos(angle * shares) * start + np.sin(angle * shares) * across
    return (((1 - shares) * lengths[0] + shares * lengths[1]) * directions).astype(np.float32)


def lerp(a: np.ndarray, b: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Points on the straight line from a to b; arguments and result as of `slerp`."""
    shares = np.asarray(shares)[:, None]
    return ((1 - shares) * np.asarray(a) + shares * np.asarray(b)).astype(np.float32)


def interpolate_through(noises: np.ndarray, frames: int, kind: str, closed: bool) -> np.ndarray:
    """A way through several points, in equal steps of each leg.

    Args:
        noises: float [points, noise_dim], at least two.
        frames: steps of a leg.
        kind: of noise: `normal` goes spherically; `uniform` goes straight, since it fills a cube,
            which a great circle would leave.
        closed: whether to go back to the first point; the last frame is then the one before it.

    Returns:
        float32 [frames, noise_dim].
    """
    way = slerp if kind == "normal" else lerp
    shares = np.arange(frames) / frames
    points = [*noises, noises[0]] if closed else list(noises)
    legs = [way(a, b, shares) for a, b in itertools.pairwise(points)]
    ends = [] if closed else [np.asarray(noises[-1:], np.float32)]
    return np.concatenate([*legs, *ends])


def parse_numbers(flag: str, text: str, least: int) -> list[int]:
    """The numbers in a list such as `3,7,12`.

    Raises:
        UserError: it is no such list, or has fewer than `least` or more than MAX_IMAGES.
    """
    parts = text.split(",")
    if not all(re.fullmatch(r"\s*[0-9]{1,9}\s*", part) for part in parts):
        raise UserError(f"{flag} must be numbers of images with commas, as 3,7,12, not {text!r}")
    if not least <= len(parts) <= MAX_IMAGES:
        raise UserError(f"{flag} must name {least} to {MAX_IMAGES} images, not {len(parts)}")
    return [int(part) for part in parts]


def parse_sum(text: str) -> list[Term]:
    """The terms of a sum such as `12+40-7` or `(1,4,9)-(2,3)+5`.

    Raises:
        UserError: it is no such sum.
    """
    term = r"\s*([+-]?)\s*(?:([0-9]{1,9})|\(([0-9,\s]*)\))\s*"
    terms, at = [], 0
    while at < len(text) or not terms:
        match = re.compile(term).match(text, at)
        if not match or (terms and not match[1]) or len(terms) == MAX_IMAGES:
            raise UserError(
                f"--arithmetic must be a sum such as 12+40-7 or (1,4,9)-(2,3)+5, not {text!r}"
            )
        images = parse_numbers("--arithmetic", match[2] or match[3], 1)
        terms.append(Term(-1 if match[1] == "-" else 1, images))
        at = match.end()
    return terms


def project(
    generator: keras.Sequential, image: np.ndarray, starts: np.ndarray, kind: str
) -> tuple[np.ndarray, float]:
    """The noise whose image comes nearest to a given one, by gradient descent.

    Args:
        generator: the generator.
        image: float32 [H, W, C] in [-1, 1].
        starts: float32 [starts, noise_dim], from each of which a descent begins; the best wins.
        kind: of noise; `uniform` is kept within [-1, 1].

    Returns:
        float32 [noise_dim], and the mean square of the difference.
    """
    noise = tf.Variable(starts)
    target = tf.constant(image[np.newaxis])
    optimizer = keras.optimizers.Adam(PROJECTION_RATE)
    optimizer.build([noise])

    @tf.function
    def descend() -> tf.Tensor:
        with tf.GradientTape() as tape:
            errors = tf.reduce_mean(
                (generator(noise, training=False) - target) ** 2, axis=[1, 2, 3]
            )
        optimizer.apply_gradients([(tape.gradient(errors, noise), noise)])
        if kind == "uniform":
            noise.assign(tf.clip_by_value(noise, -1.0, 1.0))
        return errors

    best, least = starts[0], np.inf
    for _ in range(PROJECTION_STEPS):
        before = noise.numpy()
        errors = descend().numpy()
        if errors.min() < least:
            best, least = before[errors.argmin()], float(errors.min())
    return best, least
