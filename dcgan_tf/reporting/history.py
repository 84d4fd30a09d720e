"""What every step reported: the one record that `metrics.csv` and `losses.png` are drawn from."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from dcgan_tf.evaluation.scores import BY, Evaluation, comparable
from dcgan_tf.files.atomic_files import atomic_write
from dcgan_tf.train_step import StepScalars

# What checkpoints without names of columns hold of each evaluation, before its class distribution.
UNNAMED = ("frechet_distance", "frechet_baseline", "precision", "recall")


class EpochMetrics(NamedTuple):
    """One row of `metrics.csv`, without the columns of an evaluation; or a line on the terminal.

    Attributes:
        epoch, step: the epoch's number, from 1 up, and its last step so far.
        means: of the steps' scalars, over the epoch so far, or since the last line.
        images_per_second: of training steps only, without the one that traces the graph; NaN where
            there is no other.
        seconds: the whole time of these steps.
    """

    epoch: int
    step: int
    means: StepScalars
    images_per_second: float
    seconds: float

    def columns(self) -> dict[str, float]:
        """Its columns in `metrics.csv`."""
        epoch, step, means, *timing = self
        return (
            {"epoch": epoch, "step": step}
            | means._asdict()
            | dict(zip(self._fields[-len(timing) :], timing))
        )


class History(tf.train.experimental.PythonState):
    """What every step reported and how long it took.

    The metrics are saved within the checkpoint. The times, in which no two runs are alike, are
    kept in a file of their own, so that equal runs have equal checkpoints.

    Attributes:
        metrics: float64 [steps, fields], the fields of `StepScalars`.
        evaluations: those made so far, oldest first.
        times: float64 [steps, 2]: the step's seconds (NaN for one that traced the graph), and the
            seconds with all that came between it and the step before.
    """

    def __init__(self) -> None:
        self.metrics = np.empty((0, len(StepScalars._fields)))
        self.evaluations: list[Evaluation] = []
        self.times = np.empty((0, 2))

    def append(self, metrics: np.ndarray, step_seconds: float, seconds: float) -> None:
        """Adds the rows of some steps.

        Args:
            metrics: [steps, fields], those of `StepScalars`.
            step_seconds: how long each step took; NaN if it traced the graph.
            seconds: how long the steps, and all between them, took together.
        """
        count = len(metrics)
        times = np.tile([step_seconds, seconds / count], (count, 1))
        self.metrics = np.concatenate([self.metrics, metrics])
        self.times = np.concatenate([self.times, times])

    def epochs(
        self, steps_per_epoch: int, batch_size: int, first: int = 0
    ) -> Iterator[EpochMetrics]:
        """A row for each epoch after the given one, and one for the steps of an unfinished one."""
        for start in range(first * steps_per_epoch, len(self.metrics), steps_per_epoch):
            yield self._row(start, start + steps_per_epoch, steps_per_epoch, batch_size)

    def last_epoch(self, steps_per_epoch: int, batch_size: int) -> EpochMetrics:
        """The row of the epoch that the last step belongs to."""
        last = len(self.metrics) - 1
        return self.since(last - last % steps_per_epoch, steps_per_epoch, batch_size)

    def since(self, start: int, steps_per_epoch: int, batch_size: int) -> EpochMetrics:
        """The row of all steps after `start`, numbered by the epoch of the last."""
        return self._row(start, len(self.metrics), steps_per_epoch, batch_size)

    def _row(self, start: int, end: int, steps_per_epoch: int, batch_size: int) -> EpochMetrics:
        """The row of the steps after `start`, up to `end` or the last that there is."""
        metrics = self.metrics[start:end]
        step_seconds, seconds = self.times[start:end].T
        timed = step_seconds[~np.isnan(step_seconds)]
        last = start + len(metrics)
        return EpochMetrics(
            -(-last // steps_per_epoch),
            last,
            StepScalars(*metrics.mean(axis=0)),
            batch_size / timed.mean() if len(timed) else np.nan,
            np.nansum(seconds),
        )

    def seconds(self, start: int) -> float:
        """How long the steps after `start` took, with all that came between them."""
        return float(np.nansum(self.times[start:, 1]))

    def pace(self, start: int) -> float:
        """The seconds of a step after `start`, with all that comes between two; NaN if unknown.

        Steps that traced the graph are left out.
        """
        step_seconds, seconds = self.times[start:].T
        timed = seconds[~np.isnan(step_seconds)]
        return float(timed.mean()) if len(timed) else np.nan

    def by_quality(self) -> list[int]:
        """The steps that were evaluated, the one with the smallest Fréchet distance first.

        Those evaluated by other features than the last are left out.
        """
        made = comparable(self.evaluations)
        ranked = sorted(made, key=lambda made: made.values["frechet_distance"])
        return [made.step for made in ranked]

    def evaluation_of(self, step: int) -> Evaluation | None:
        """The evaluation made after a step, if there was one."""
        return next((made for made in self.evaluations if made.step == step), None)

    def serialize(self) -> bytes:
        """Metrics and evaluations as the bytes of two .npy files, for `tf.train.Checkpoint`."""
        file = io.BytesIO()
        for array in (self.metrics, evaluations_to_array(self.evaluations)):
            np.save(file, array, allow_pickle=False)
        return file.getvalue()

    def deserialize(self, value: bytes) -> None:
        """Takes back what `serialize` returned; the times are unknown.

        Scalars that the steps did not return yet, as of an older version, are NaN.
        """
        file = io.BytesIO(value)
        metrics, rows = (np.load(file, allow_pickle=False) for _ in range(2))
        self.metrics = np.full((len(metrics), len(StepScalars._fields)), np.nan)
        self.metrics[:, : metrics.shape[1]] = metrics
        self.evaluations = evaluations_from_array(rows)
        self.times = np.full((len(self.metrics), 2), np.nan)

    def save_times(self, path: Path) -> None:
        """Writes the times as a .npy file."""
        with atomic_write(path) as file:
            np.save(file, self.times, allow_pickle=False)

    def load_times(self, path: Path) -> None:
        """Reads the times of the steps there are metrics of, as far as the file has them."""
        try:
            saved = np.load(path, allow_pickle=False).reshape(-1, 2)[: len(self.metrics)]
            self.times[: len(saved)] = saved
        except Exception:  # a damaged file, of which a parser may raise anything
            return


def evaluations_to_array(evaluations: list[Evaluation]) -> np.ndarray:
    """A structured array, whose fields are the step and all values, those of the last one first.

    What another one lacks is NaN.
    """
    if not evaluations:
        return np.empty(0)
    shapes: dict[str, tuple[int, ...]] = {}
    for made in reversed(evaluations):
        for name, value in made.values.items():
            shapes.setdefault(made.key(name), np.shape(value))
    rows = []
    for made in evaluations:
        values = {made.key(name): value for name, value in made.values.items()}
        lacking = (values.get(key, np.full(shape, np.nan)) for key, shape in shapes.items())
        rows.append((made.step, *lacking))
    fields = [(key, np.float64, shape) for key, shape in shapes.items()]
    return np.array(rows, [("step", np.int64), *fields])


def evaluations_from_array(rows: np.ndarray) -> list[Evaluation]:
    """The evaluations of an array, which may be of the time when its columns had no names."""
    if rows.dtype.names is None:
        return [unnamed_evaluation(row) for row in rows]
    return [named_evaluation(row) for row in rows]


def named_evaluation(row: np.void) -> Evaluation:
    """An evaluation of a row of `evaluations_to_array`: by the features that have values there."""
    _, *keys = row.dtype.names or ()
    known = next((key for key in keys if not np.isnan(row[key]).any()), "")
    features = known.partition(BY)[2]
    values = {key.partition(BY)[0]: row[key] for key in keys if key.partition(BY)[2] == features}
    return Evaluation(int(row["step"]), values, features)


def unnamed_evaluation(row: np.ndarray) -> Evaluation:
    """An evaluation of float64 [step, *UNNAMED, *class_distribution]."""
    step, values, distribution = int(row[0]), dict(zip(UNNAMED, row[1:5])), row[5:]
    if len(distribution):
        values |= {"classes_missed": (distribution == 0).sum(), "class_distribution": distribution}
    return Evaluation(step, values)
