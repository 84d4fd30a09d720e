"""How many pictures were found in a folder, and what became of them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from dcgan_tf.conditional.labels import MOST_NAMED
from dcgan_tf.datasets.endings import (
    ARRAYS,
    NEWEST,
    PACKED,
    READINGS,
    count_endings,
    ending,
    readable,
)
from dcgan_tf.datasets.image_files import Files
from dcgan_tf.settings.errors import DamagedImages

DAMAGED = "damaged"
NAMED_WARNINGS = 10

Damaged = list[list[str]]  # the name of each damaged file, and what is wrong with it

logger = logging.getLogger(__name__)


class Counts(NamedTuple):
    """How many pictures there are, of all or of a class.

    Attributes:
        found: the others together.
        trained: how many are used for training.
        held_out: how many are kept to evaluate with.
        left_out: how many are not used, by their endings, or "damaged".
    """

    found: int
    trained: int
    held_out: int
    left_out: dict[str, int]

    def __str__(self) -> str:
        said = f"{self.found:,} found: {self.trained:,} to train on, {self.held_out:,} held out"
        if self.left_out:
            causes = ", ".join(f"{count:,} {cause}" for cause, count in self.left_out.items())
            said += f", {sum(self.left_out.values()):,} left out ({causes})"
        return said


class Report(NamedTuple):
    """The pictures of a folder.

    Attributes:
        all: of them.
        classes: of each class, in a conditional run.
        notes: what was found out of them that is worth a line.
    """

    all: Counts
    classes: dict[str, Counts]
    notes: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
        """The same for config.json."""
        counts = self.all._asdict()
        if self.classes:
            counts["classes"] = {name: each._asdict() for name, each in self.classes.items()}
        return counts

    def lines(self) -> dict[str, str]:
        """The first lines of a training, by what each is of."""
        lines = {"pictures": "; ".join([str(self.all), *self.notes])}
        if self.classes:
            shown = [f"{name} ({counts})" for name, counts in self.classes.items()]
            more = [f"… ({len(shown) - MOST_NAMED:,} more)"] * (len(shown) > MOST_NAMED)
            lines["classes"] = ", ".join([*shown[:MOST_NAMED], *more])
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
        files: of both splits.
        trained: the names of those to train on.
        damaged: the names of those of them that are damaged.
        classes: of each, left-out ones too as far as they have one; none, where there are no
            labels.
        notes: see `Report`.
    """
    fates = dict.fromkeys(files.names, "held out") | dict.fromkeys(trained, "trained")
    fates |= dict.fromkeys(damaged, DAMAGED)
    fates |= {name: ending(name) or "without an ending" for name in files.left_out}
    by_class: dict[str, Counter[str]] = {name: Counter() for name in sorted({*classes.values()})}
    for name, fate in fates.items():
        if name in classes:
            by_class[classes[name]][fate] += 1
    return Report(
        counts_of(Counter(fates.values())),
        {name: counts_of(fate) for name, fate in by_class.items()},
        notes,
    )


def counts_of(fates: Counter[str]) -> Counts:
    left_out = {fate: n for fate, n in sorted(fates.items()) if fate not in ("trained", "held out")}
    total = sum(fates.values())
    return Counts(total, fates["trained"], fates["held out"], left_out)


def check_damage(files: Files, damaged: Damaged, allowed: int) -> None:
    """Warns of damaged images.

    Args:
        files: of one split.
        damaged: those of them that are.
        allowed: how many may be, of both splits together.

    Raises:
        DamagedImages: there are more, or no others.
    """
    total, count = len(files.names), len(damaged)
    if count > min(allowed, total - 1):
        name, reason = readable(damaged[0][0]), damaged[0][1]
        raise DamagedImages(
            f"`data_dir` {files.source}: {count:,} of {total:,} images are damaged, first {name} "
            f"({reason}), and `max_bad_images` allows {min(allowed, total - 1):,}: mend or delete "
            f"them, or allow more"
        )
    for name, reason in damaged[:NAMED_WARNINGS]:
        logger.warning("%s in %s is damaged and left out: %s", readable(name), files.source, reason)
    if count > NAMED_WARNINGS:
        logger.warning("%d more images are damaged and left out", count - NAMED_WARNINGS)


def warn_of_unread(files: Files) -> None:
    """Says which pictures are left out, in one warning of each cause."""
    newer = [name for name in files.left_out if name.lower().endswith(READINGS[NEWEST].endings)]
    packed = [name for name in files.left_out if ending(name) in (*PACKED, *ARRAYS)]
    others = [name for name in files.left_out if name not in {*newer, *packed}]
    old = "they are not read by `reading=1`, the rules of runs of before; a new run reads them"
    for names, what_to_do in (
        (newer, old),
        (packed, "unpack them"),
        (others, "save them as PNG or JPEG, with an ending that says so"),
    ):
        if names:
            found = count_endings(names)
            logger.warning("left out of %s: %s: %s", files.source, found, what_to_do)
    if files.links:
        why = old if files.reading == 1 else "they lead to folders that are read already"
        shown = ", ".join(map(readable, files.links[:NAMED_WARNINGS]))
        more = ", …" if len(files.links) > NAMED_WARNINGS else ""
        what = f"{len(files.links)} links to folders ({shown}{more})"
        logger.warning("left out of %s: %s: %s", files.source, what, why)
