"""Checkpoints that count once they read back: save, verify, restore, fall back."""

from __future__ import annotations

import contextlib
import itertools
import logging
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.files.atomic_files import atomic_write, disk_errors, flush
from dcgan_tf.settings.errors import Diverged, UserError, first_line

KEEP = 3
STEP = re.compile(r"0|[1-9][0-9]{0,17}")
READ_ERRORS = (tf.errors.OpError, AssertionError, ValueError, IndexError, EOFError)

logger = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one run, `ckpt-STEP.index` and `.data-…` in one folder.

    Args:
        directory: where they are; made by the first save.
        state: all that training changes; may be left out to look only at what there is.
    """

    def __init__(self, directory: Path, state: tf.train.Checkpoint | None = None) -> None:
        self.directory = directory
        self.state: tf.train.Checkpoint = state

    def steps(self, suffix: str = "index") -> list[int]:
        """The steps that have a checkpoint, or any file of one with suffix `*`, oldest first."""
        files = self.directory.glob(f"ckpt-*.{suffix}")
        names = {path.name.removeprefix("ckpt-").split(".")[0] for path in files}
        return sorted(int(name) for name in names if STEP.fullmatch(name))

    def save(self, step: int, by_quality: Sequence[int] = ()) -> None:
        """Writes a checkpoint, reads it back, and only then puts it among the others.

        The `.index` file is moved in last: without it there is no checkpoint, so that one cut
        short by a crash is never seen. All but the newest three and the best are deleted, once the
        new one is on the disk: a power cut leaves the one or the other.

        Args:
            step: of the state.
            by_quality: steps that were evaluated, the best first.

        Raises:
            OSError: it can't be written, for want of room or rights; the earlier ones are intact.
        """
        unfinished = self.directory / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            with disk_errors("checkpoint", self.directory / f"ckpt-{step}"):
                prefix = self.state.write(str(unfinished / f"ckpt-{step}"))
                for path in unfinished.iterdir():
                    flush(path)
                read_back(prefix)
        except OSError:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        for path in sorted(unfinished.iterdir()):  # .data-… sorts before .index
            path.replace(self.directory / path.name)
            flush(self.directory)
        unfinished.rmdir()
        steps = self.steps()
        best = next((good for good in by_quality if good in steps), None)
        if best is not None:
            with atomic_write(self.best_file) as file:
                file.write(f"{best}\n".encode())
        kept = [each for each in steps if each in (best, *steps[-KEEP:])]
        self._write_latest(kept)
        for each in {*self.steps("*")} - {*kept}:  # also what a crash left of older ones
            self._move(each, None)

    def complete_save(self) -> None:
        """Ends a save that a crash cut short as it moved its files, so that it is not lost.

        Where a step was saved before, its old `.index` would not fit the new data.
        """
        unfinished = self.directory / "unfinished"
        if any(unfinished.glob("*.data-*")):
            return  # none was moved
        for index in unfinished.glob("ckpt-*.index"):
            with contextlib.suppress(OSError, *READ_ERRORS):
                for data in self.directory.glob(f"{index.stem}.data-*"):
                    shutil.copy(data, unfinished)
                read_back(str(index.with_suffix("")))
                index.replace(self.directory / index.name)

    @property
    def best_file(self) -> Path:
        """The file that holds the step of the best checkpoint."""
        return self.directory / "best"

    def step_of(self, name: str | None) -> int | None:
        """The step of the checkpoint that is called so: a number, or "best"; None for None.

        Raises:
            UserError: it is called otherwise, or none was evaluated.
        """
        if name is None:
            return None
        if STEP.fullmatch(name):
            return int(name)
        if name != "best":
            raise UserError(f"`checkpoint` must be the step of a checkpoint or best, not {name!r}")
        try:
            return int(self.best_file.read_text())
        except (OSError, ValueError):
            raise UserError(
                f"{self.directory} has no best checkpoint, as no epoch was evaluated: leave out "
                f"`checkpoint`"
            ) from None

    def restore(self, step: int | None = None) -> int | None:
        """Puts the newest intact checkpoint, or that of one step, into the state.

        Every object of the state must be matched: none is left with its initial values. Those
        that are damaged, or of other models, are named in a warning.

        Returns:
            The step of the checkpoint, or None where there is no checkpoint, but for files that a
            crash left of the first.

        Raises:
            UserError: there are checkpoints and none is intact, or none of the given step.
        """
        steps = self._saved()
        if step is not None and step not in steps:
            there = ", ".join(map(str, steps)) or "none"
            raise UserError(f"{self.directory} has no checkpoint of step {step}; there are {there}")
        for candidate in [step] if step is not None else reversed(steps):
            prefix, fault = str(self.directory / f"ckpt-{candidate}"), "is damaged"
            try:
                read_back(prefix)
                fault = "is damaged, or of other models,"
                self.state.read(prefix).expect_partial().assert_existing_objects_matched()
                return candidate
            except READ_ERRORS as error:
                if candidate not in self._saved():  # a training has deleted it for newer ones
                    return self.restore(step)
                logger.warning("%s %s and not used: %s", prefix, fault, first_line(error))
        if self.steps() or step is not None or (self.directory / "checkpoint").exists():
            of = "" if step is None else f" of step {step}"
            raise UserError(f"{self.directory} has no intact checkpoint{of}")
        return None

    def _saved(self) -> list[int]:
        """The steps that were saved, whole or damaged, but not one that is being saved."""
        listed = ""
        with contextlib.suppress(OSError, ValueError):
            listed = (self.directory / "checkpoint").read_text()
        damaged = [step for step in self.steps("*") if f'"ckpt-{step}"' in listed]
        return sorted({*self.steps(), *damaged})

    def set_aside_after(self, step: int) -> None:
        """Moves the checkpoints after `step`, which could not be used, into `damaged/`.

        What a crash left of a file that was being written is deleted.
        """
        shutil.rmtree(self.directory / "unfinished", ignore_errors=True)
        for part in self.directory.glob(".*.part"):
            part.unlink()
        for later in self.steps("*"):
            if later > step:
                self._move(later, self.directory / "damaged")
        self._write_latest(self.steps())

    def _move(self, step: int, target: Path | None) -> None:
        """Moves the files of one checkpoint to another folder, or deletes them."""
        if target:
            target.mkdir(exist_ok=True)
        # The .index goes first: a checkpoint is whole or it is not there.
        for path in sorted(self.directory.glob(f"ckpt-{step}.*"), reverse=True):
            path.replace(target / path.name) if target else path.unlink()

    def _write_latest(self, steps: list[int]) -> None:
        """Names the checkpoints of these steps to `tf.train.latest_checkpoint(directory)`."""
        names = [f"ckpt-{step}" for step in steps]
        if names:
            lines = [f'model_checkpoint_path: "{names[-1]}"']
            lines += [f'all_model_checkpoint_paths: "{name}"' for name in names]
            with atomic_write(self.directory / "checkpoint") as file:
                file.write("\n".join([*lines, ""]).encode())


def read_back(prefix: str) -> None:
    """Reads every value of a checkpoint, which compares each with its checksum.

    Raises:
        tf.errors.OpError: a file is missing, cut short or changed.
    """
    reader = tf.train.load_checkpoint(prefix)
    for name in reader.get_variable_to_shape_map():
        reader.get_tensor(name)


def check_finite(holders: Iterable[keras.Model | keras.optimizers.Optimizer], step: int) -> None:
    """Refuses a state that must not be saved.

    Args:
        holders: of the variables that training changes.
        step: of the state.

    Raises:
        Diverged: a weight or a moment is infinite or not a number.
    """
    for variable in itertools.chain.from_iterable(holder.variables for holder in holders):
        if not np.isfinite(variable.numpy()).all():
            raise Diverged(f"step {step} left {variable.path} infinite or not a number")
