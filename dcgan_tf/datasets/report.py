"""The report on a folder: how many pictures were found, and how each was used."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from dcgan_tf.conditional.labels import MAX_NAMED
from dcgan_tf.datasets.extensions import (
    ARRAYS,
    NEWEST,
    PACKED,
    READINGS,
    count_extensions,
    extension,
    readable,
)
from dcgan_tf.datasets.image_files import Files
from dcgan_tf.settings.errors import DamagedImages

DAMAGED = "damaged"
MAX_WARNINGS = 10

Damaged = list[list[str]]  # [name, what is wrong] for each damaged file

logger = logging.getLogger(__name__)


class Counts(NamedTuple):
    """The number of pictures, in total or in one class.

    Attributes:
        found: the sum of the others.
        trained: pictures to train on.
        held_out: pictures to evaluate with.
        left_out: pictures that are not used, by extension, or "damaged".
    """

    found: int
    trained: int
    held_out: int
    left_out: dict[str, int]

    def __str__(self) -> str:
        text = f"{self.found:,} found: {self.trained:,} to train on, {self.held_out:,} held out"
        if self.left_out:
            causes = ", ".join(f"{count:,} {cause}" for cause, count in self.left_out.items())
            text += f", {sum(self.left_out.values()):,} left out ({causes})"
        return text


class Report(NamedTuple):
    """The pictures of a folder.

    Attributes:
        all: the counts of all pictures.
        classes: the counts of each class, in a conditional run.
        notes: remarks on the pictures.
    """

    all: Counts
    classes: dict[str, Counts]
    notes: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
        """The counts, for config.json."""
        counts = self.all._asdict()
        if self.classes:
            counts["classes"] = {name: each._asdict() for name, each in self.classes.items()}
        return counts

    def lines(self) -> dict[str, str]:
        """The lines to print when training starts, by their headings."""
        lines = {"pictures": "; ".join([str(self.all), *self.notes])}
        if self.classes:
            shown = [f"{name} ({counts})" for name, counts in self.classes.items()]
            more = [f"… ({len(shown) - MAX_NAMED:,} more)"] * (len(shown) > MAX_NAMED)
            lines["classes"] = ", ".join([*shown[:MAX_NAMED], *more])
        return lines


def count(
    files: Files,
    trained: Sequence[str],
    damaged: Iterable[str],
    classes: Mapping[str, str],
    notes: Sequence[str],
) -> Report:
    """Counts pictures.

    Args:
        files: the files of both splits.
        trained: the names of the training images.
        damaged: the names of the damaged ones among them.
        classes: the class of each image, and of left-out ones if known; empty without labels.
        notes: see `Report`.
    """
    uses = dict.fromkeys(files.names, "held out") | dict.fromkeys(trained, "trained")
    uses |= dict.fromkeys(damaged, DAMAGED)
    uses |= {name: extension(name) or "without an extension" for name in files.left_out}
    by_class: dict[str, Counter[str]] = {name: Counter() for name in sorted({*classes.values()})}
    for name, use in uses.items():
        if name in classes:
            by_class[classes[name]][use] += 1
    return Report(
        counts_of(Counter(uses.values())),
        {name: counts_of(use) for name, use in by_class.items()},
        notes,
    )


def counts_of(uses: Counter[str]) -> Counts:
    left_out = {use: n for use, n in sorted(uses.items()) if use not in ("trained", "held out")}
    total = sum(uses.values())
    return Counts(total, uses["trained"], uses["held out"], left_out)


def check_damage(files: Files, damaged: Damaged, allowed: int) -> None:
    """Warns about damaged images.

    Args:
        files: the files of one split.
        damaged: the damaged ones among them.
        allowed: the number of images that may be damaged.

    Raises:
        DamagedImages: there are more, or all are damaged.
    """
    total, count = len(files.names), len(damaged)
    if count > min(allowed, total - 1):
        name, reason = readable(damaged[0][0]), damaged[0][1]
        raise DamagedImages(
            f"`data_dir` {files.source}: {count:,} of {total:,} images are damaged, first {name} "
            f"({reason}), but `max_bad_images` allows {min(allowed, total - 1):,}: repair or "
            f"delete them, or allow a larger fraction"
        )
    for name, reason in damaged[:MAX_WARNINGS]:
        logger.warning("%s in %s is damaged and left out: %s", readable(name), files.source, reason)
    if count > MAX_WARNINGS:
        logger.warning("%d more images are damaged and left out", count - MAX_WARNINGS)


def warn_of_unread(files: Files) -> None:
    """Warns about pictures that are left out, once for each cause."""
    newer = [name for name in files.left_out if name.lower().endswith(READINGS[NEWEST].extensions)]
    packed = [name for name in files.left_out if extension(name) in (*PACKED, *ARRAYS)]
    others = [name for name in files.left_out if name not in {*newer, *packed}]
    old = "`reading=1`, the rules of older runs, does not read them; a new run does"
    for names, what_to_do in (
        (newer, old),
        (packed, "unpack them"),
        (others, "convert them to PNG or JPEG, with the right extension"),
    ):
        if names:
            found = count_extensions(names)
            logger.warning("left out of %s: %s: %s", files.source, found, what_to_do)
    if files.links:
        why = old if files.reading == 1 else "they lead to folders that are already read"
        shown = ", ".join(map(readable, files.links[:MAX_WARNINGS]))
        more = ", …" if len(files.links) > MAX_WARNINGS else ""
        what = f"{len(files.links)} links to folders ({shown}{more})"
        logger.warning("left out of %s: %s: %s", files.source, what, why)
