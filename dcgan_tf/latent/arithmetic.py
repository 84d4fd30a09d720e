"""Latent arithmetic: sums and differences of images' noise (Radford et al., 2016, section 6.3.2).

Images are named by their numbers: image n is the n-th of a seed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from dcgan_tf.settings.errors import UserError

MAX_IMAGES = 100


class Term(NamedTuple):
    """A term of a sum.

    Attributes:
        sign: 1 or −1.
        images: the numbers of the images whose mean noise is added or subtracted.
    """

    sign: int
    images: list[int]


def parse_numbers(flag: str, text: str, least: int) -> list[int]:
    """The numbers in a list such as `3,7,12`.

    Raises:
        UserError: it is no such list, or has fewer than `least` or more than MAX_IMAGES numbers.
    """
    parts = text.split(",")
    if not all(re.fullmatch(r"\s*[0-9]{1,9}\s*", part) for part in parts):
        raise UserError(f"{flag} must be image numbers with commas, as 3,7,12, not {text!r}")
    if not least <= len(parts) <= MAX_IMAGES:
        raise UserError(f"{flag} must name {least} to {MAX_IMAGES} images, not {len(parts)}")
    return [int(part) for part in parts]


def parse_arithmetic(text: str) -> list[Term]:
    """The terms of a sum such as `12+40-7` or `(1,4,9)-(2,3)+5`.

    Raises:
        UserError: it is no such sum, or has more than MAX_IMAGES terms.
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
        images = parse_numbers("`arithmetic`", match[2] or match[3], 1)
        terms.append(Term(-1 if match[1] == "-" else 1, images))
        at = match.end()
    return terms


def compute_arithmetic(
    terms: Sequence[Term], noise_of: Callable[[Sequence[int]], np.ndarray], noise_dim: int
) -> tuple[np.ndarray, np.ndarray]:
    """The noise of each term, and that of the result.

    Args:
        terms: of the sum.
        noise_of: from numbers of images to their noise, float32 [N, noise_dim], with their labels
            beside it in a conditional run.
        noise_dim: the length of the noise alone.

    Returns:
        The mean noise of each term's images, float32 [terms, noise_dim], and their signed sum,
        float32 [noise_dim], with labels as in `noise_of`. A label that all terms share stays.
    """
    means = np.stack([noise_of(term.images).mean(axis=0) for term in terms])
    result = sum(term.sign * mean for term, mean in zip(terms, means))
    labels = means[:, noise_dim:]
    if (labels == labels[0]).all():
        result[noise_dim:] = labels[0]
    return means, result
