"""Latent arithmetic: sums and differences of noise vectors (Radford et al., 2016, section 6.3.2).

Images are identified by their index among the images of a seed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from dcgan_tf.settings.errors import UserError

MAX_IMAGES = 100


class Term(NamedTuple):
    """A term of a sum: the mean noise of some images.

    Attributes:
        sign: 1 or −1.
        images: their indices.
    """

    sign: int
    images: list[int]


def parse_indices(flag: str, text: str, min_count: int) -> list[int]:
    """Parses a list of image indices such as `3,7,12`.

    Raises:
        UserError: the list is invalid, or has fewer than `min_count` or more than MAX_IMAGES items.
    """
    parts = text.split(",")
    if not all(re.fullmatch(r"\s*[0-9]{1,9}\s*", part) for part in parts):
        raise UserError(f"{flag} must be image indices such as 3,7,12, not {text!r}")
    if not min_count <= len(parts) <= MAX_IMAGES:
        raise UserError(f"{flag} must name {min_count} to {MAX_IMAGES} images, not {len(parts)}")
    return [int(part) for part in parts]


def parse_arithmetic(text: str) -> list[Term]:
    """Parses a sum such as `12+40-7` or `(1,4,9)-(2,3)+5`.

    Raises:
        UserError: the sum is invalid, or has more than MAX_IMAGES terms.
    """
    term = re.compile(r"\s*([+-]?)\s*(?:([0-9]{1,9})|\(([0-9,\s]*)\))\s*")
    terms: list[Term] = []
    at = 0
    while at < len(text) or not terms:
        match = term.match(text, at)
        if not match or (terms and not match[1]) or len(terms) == MAX_IMAGES:
            raise UserError(
                f"`arithmetic` must be a sum such as 12+40-7 or (1,4,9)-(2,3)+5, not {text!r}"
            )
        images = parse_indices("`arithmetic`", match[2] or match[3], 1)
        terms.append(Term(-1 if match[1] == "-" else 1, images))
        at = match.end()
    return terms


def compute_arithmetic(
    terms: Sequence[Term], noise_of: Callable[[Sequence[int]], np.ndarray], noise_dim: int
) -> tuple[np.ndarray, np.ndarray]:
    """Computes the noise of each term and of the sum.

    Args:
        terms: the terms of the sum.
        noise_of: maps image indices to noise, float32 [N, noise_dim]; in a conditional run, one-hot
            labels follow the noise.
        noise_dim: the length of the noise without labels.

    Returns:
        The mean noise of each term's images, float32 [terms, noise_dim], and their signed sum,
        float32 [noise_dim], followed by labels as in `noise_of`. If all terms have the same label,
        the sum keeps it.
    """
    means = np.stack([noise_of(term.images).mean(axis=0) for term in terms])
    result = sum(term.sign * mean for term, mean in zip(terms, means))
    labels = means[:, noise_dim:]
    if (labels == labels[0]).all():
        result[noise_dim:] = labels[0]
    return means, result
