"""The labels of images, and their classes."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dcgan_tf.settings.errors import UserError

LABEL_STREAM = 1  # an image's noise is drawn from (seed, index), its label from (seed, index, 1)
MAX_NAMED = 30  # classes in a message
ALL_CLASSES = "all"  # as a `label`


def normalize_name(name: str) -> str:
    """A name in Unicode's normal form NFC, for comparison."""
    return unicodedata.normalize("NFC", name)


@dataclasses.dataclass(frozen=True)
class Classes:
    """The classes of a run's training images; empty for an unconditional run.

    Attributes:
        names: the class names, by class index.
        counts: the number of training images in each class.
    """

    names: Sequence[str] = ()
    counts: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.names)

    def find(self, name: str) -> int | None:
        """The index of a class; None if there is no such class.

        Names are normalized first, because some systems encode ä as two characters.
        """
        known = [normalize_name(each) for each in self.names]
        wanted = normalize_name(name)
        return known.index(wanted) if wanted in known else None

    def index(self, name: str) -> int:
        """The index of a class.

        Raises:
            UserError: there is no such class.
        """
        if not self.names:
            raise UserError(f"`label` {name} needs a conditional run: train one with `conditional`")
        index = self.find(name)
        if index is None:
            shown = [*self.names[:MAX_NAMED], *["…"] * (len(self) > MAX_NAMED)]
            raise UserError(f"`label` {name} is not one of the run's classes: {', '.join(shown)}")
        return index

    def draw(self, seed: int, indices: Sequence[int]) -> np.ndarray:
        """Draws labels for images of a seed, in the proportions of the training images.

        Each label depends only on the seed and the image's index.

        Returns:
            Class indices, int64 [len(indices)].
        """
        bounds = np.cumsum(self.counts) / sum(self.counts)
        rngs = [np.random.default_rng((seed, index, LABEL_STREAM)) for index in indices]
        return np.searchsorted(bounds, [rng.random() for rng in rngs], side="right")


NO_CLASSES = Classes()


class Labels(NamedTuple):
    """The labels of the training images.

    Attributes:
        ids: the class index of each image, int [N].
        names: the class names, by class index.
    """

    ids: np.ndarray
    names: Sequence[str]

    @property
    def classes(self) -> Classes:
        """The classes and their counts."""
        counts = np.bincount(self.ids, minlength=len(self.names))
        return Classes(self.names, counts.tolist())
