"""Checkpoints: saves, verifies and restores them, and falls back to an intact one."""

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
        directory: their folder; created by the first save.
        state: everything that training changes; not needed to list checkpoints.
    """

    def __init__(self, directory: Path, state: tf.train.Checkpoint | None = None) -> None:
        self.directory = directory
        self.state: tf.train.Checkpoint = state

    def steps(self, suffix: str = "index") -> list[int]:
        """The steps with a checkpoint, or with suffix `*` any file of one, oldest first."""
        files = self.directory.glob(f"ckpt-*.{suffix}")
        names = {path.name.removeprefix("ckpt-").split(".")[0] for path in files}
        return sorted(int(name) for name in names if STEP.fullmatch(name))

    def save(self, step: int, by_quality: Sequence[int] = ()) -> None:
        """Writes a checkpoint, reads it back, and only then moves it to the others.

        The `.index` file is moved last. A checkpoint without it does not count, so a crash never
        leaves a partial one. All but the newest three and the best are deleted when the new one
        is on the disk, so a power cut leaves at least one.

        Args:
            step: the step of the state.
            by_quality: evaluated steps, best first.

        Raises:
            OSError: it can't be written; earlier checkpoints are intact.
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
        for each in {*self.steps("*")} - {*kept}:  # including remains of older ones after a crash
            self._move(each, None)

    def complete_save(self) -> None:
        """Completes a save that crashed while it moved files.

        Without this, the old `.index` of a step that is saved again would not match the new data.
        """
        unfinished = self.directory / "unfinished"
        if any(unfinished.glob("*.data-*")):
            return  # no file was moved
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
        """The step of a checkpoint named by its step or as "best"; None for None.

        Raises:
            UserError: the name is neither, or no checkpoint was evaluated.
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
                f"{self.directory} has no best checkpoint, because no epoch was evaluated: leave "
                f"out `checkpoint`"
            ) from None

    def restore(self, step: int | None = None) -> int | None:
        """Restores the state from the newest intact checkpoint, or from that of one step.

        A checkpoint must match every object of the state. A warning names those that are damaged
        or belong to other models.

        Returns:
            The step of the checkpoint, or None if none was ever completed.

        Raises:
            UserError: no checkpoint is intact, or there is none of the given step.
        """
        steps = self._saved()
        if step is not None and step not in steps:
            known = ", ".join(map(str, steps)) or "none"
            raise UserError(
                f"{self.directory} has no checkpoint of step {step}; available: {known}"
            )
        for candidate in [step] if step is not None else reversed(steps):
            prefix, fault = str(self.directory / f"ckpt-{candidate}"), "is damaged"
            try:
                read_back(prefix)
                fault = "is damaged, or belongs to other models,"
                self.state.read(prefix).expect_partial().assert_existing_objects_matched()
                return candidate
            except READ_ERRORS as error:
                if candidate not in self._saved():  # a running training has just deleted it
                    return self.restore(step)
                logger.warning("%s %s and not used: %s", prefix, fault, first_line(error))
        if self.steps() or step is not None or (self.directory / "checkpoint").exists():
            of = "" if step is None else f" of step {step}"
            raise UserError(f"{self.directory} has no intact checkpoint{of}")
        return None

    def _saved(self) -> list[int]:
        """The steps that were saved, intact or damaged, without one that is being saved."""
        listed = ""
        with contextlib.suppress(OSError, ValueError):
            listed = (self.directory / "checkpoint").read_text()
        damaged = [step for step in self.steps("*") if f'"ckpt-{step}"' in listed]
        return sorted({*self.steps(), *damaged})

    def set_aside_after(self, step: int) -> None:
        """Moves the checkpoints after `step`, which could not be used, to `damaged/`.

        Deletes partial files that a crash left.
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
        # The .index goes first: without it, a checkpoint does not count.
        for path in sorted(self.directory.glob(f"ckpt-{step}.*"), reverse=True):
            path.replace(target / path.name) if target else path.unlink()

    def _write_latest(self, steps: list[int]) -> None:
        """Lists the checkpoints of these steps for `tf.train.latest_checkpoint(directory)`."""
        names = [f"ckpt-{step}" for step in steps]
        if names:
            lines = [f'model_checkpoint_path: "{names[-1]}"']
            lines += [f'all_model_checkpoint_paths: "{name}"' for name in names]
            with atomic_write(self.directory / "checkpoint") as file:
                file.write("\n".join([*lines, ""]).encode())


def read_back(prefix: str) -> None:
    """Reads every value of a checkpoint, which verifies its checksum.

    Raises:
        tf.errors.OpError: a file is missing, cut short or changed.
    """
    reader = tf.train.load_checkpoint(prefix)
    for name in reader.get_variable_to_shape_map():
        reader.get_tensor(name)


def check_finite(holders: Iterable[keras.Model | keras.optimizers.Optimizer], step: int) -> None:
    """Checks that a state may be saved.

    Args:
        holders: the models and optimizers that training changes.
        step: the step of the state.

    Raises:
        Diverged: a weight or a moment is infinite or not a number.
    """
    for variable in itertools.chain.from_iterable(holder.variables for holder in holders):
        if not np.isfinite(variable.numpy()).all():
            raise Diverged(f"step {step} left {variable.path} infinite or not a number")
