"""The labels of images, and the classes that they name."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dcgan_tf.settings.errors import UserError

LABEL_STREAM = 1  # (seed, number) alone is what an image's noise is drawn from
MOST_NAMED = 30
ALL_CLASSES = "all"  # what `label` takes for every class


def normal(name: str) -> str:
    """A name in the one form of Unicode in which names are compared."""
    return unicodedata.normalize("NFC", name)


@dataclasses.dataclass(frozen=True)
class Classes:
    """The classes of a run's training images; none where it learns no labels.

    Attributes:
        names: in the order of their numbers.
        counts: how many training images each has.
    """

    names: Sequence[str] = ()
    counts: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.names)

    def find(self, name: str) -> int | None:
        """The number of a class; None if there is no such class.

        Whether ä is one character or two depends on the system that a name was typed in.
        """
        known = [normal(each) for each in self.names]
        return known.index(normal(name)) if normal(name) in known else None

    def number(self, name: str) -> int:
        """The number of a class.

        Raises:
            UserError: there is no such class.
        """
        if not self.names:
            raise UserError(f"`label` {name}: the run learned no labels (train it `conditional`)")
        number = self.find(name)
        if number is None:
            shown = [*self.names[:MOST_NAMED], *["…"] * (len(self) > MOST_NAMED)]
            raise UserError(f"`label` {name} is none of the run's classes: {', '.join(shown)}")
        return number

    def draw(self, seed: int, numbers: Sequence[int]) -> np.ndarray:
        """The labels of some images of a seed, in the proportions of the training images.

        Each is a function of the seed and its number alone.

        Returns:
            int64 [len(numbers)].
        """
        bounds = np.cumsum(self.counts) / sum(self.counts)
        rngs = [np.random.default_rng((seed, number, LABEL_STREAM)) for number in numbers]
        return np.searchsorted(bounds, [rng.random() for rng in rngs], side="right")


UNLABELLED = Classes()


class Labels(NamedTuple):
    """The labels of the training images.

    Attributes:
        numbers: of each image's class, int [N].
        names: of the classes, in the order of their numbers.
    """

    numbers: np.ndarray
    names: Sequence[str]

    @property
    def classes(self) -> Classes:
        """The classes, each with its count."""
        counts = np.bincount(self.numbers, minlength=len(self.names))
        return Classes(self.names, counts.tolist())
