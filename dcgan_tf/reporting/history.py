"""The record of every step, from which `metrics.csv` and `losses.png` are made."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from dcgan_tf.evaluation.scores import FEATURES_SEPARATOR, Evaluation, comparable
from dcgan_tf.files.atomic_files import atomic_write
from dcgan_tf.train_step import StepScalars

# The values of an evaluation in checkpoints without column names; its class distribution follows.
UNNAMED_VALUES = ("frechet_distance", "frechet_baseline", "precision", "recall")


class EpochMetrics(NamedTuple):
    """One row of `metrics.csv`, without the columns of an evaluation, or a line on the terminal.

    Attributes:
        epoch, step: the epoch, counted from 1, and its last step so far.
        means: the means of the steps' scalars over the epoch so far, or since the last line.
        images_per_second: the speed of the training steps alone, without the one that traces the
            graph; NaN if there is no other.
        seconds: the total time, including what happens between the steps.
    """

    epoch: int
    step: int
    means: StepScalars
    images_per_second: float
    seconds: float

    def columns(self) -> dict[str, float]:
        """The columns of `metrics.csv`."""
        epoch, step, means, *timing = self
        return (
            {"epoch": epoch, "step": step}
            | means._asdict()
            | dict(zip(self._fields[-len(timing) :], timing))
        )


class History(tf.train.experimental.PythonState):
    """What every step reported, and how long it took.

    The metrics are saved in the checkpoint. The times differ between otherwise equal runs, so they
    have a separate file, and equal runs have equal checkpoints.

    Attributes:
        metrics: float64 [steps, fields], the fields of `StepScalars`.
        evaluations: the evaluations so far, oldest first.
        times: float64 [steps, 2]: the seconds of the step alone (NaN if it traced the graph), and
            the seconds since the end of the step before.
    """

    def __init__(self) -> None:
        self.metrics = np.empty((0, len(StepScalars._fields)))
        self.evaluations: list[Evaluation] = []
        self.times = np.empty((0, 2))

    def append(self, metrics: np.ndarray, step_seconds: float, seconds: float) -> None:
        """Adds the rows of some steps.

        Args:
            metrics: [steps, fields], the fields of `StepScalars`.
            step_seconds: the time of one step; NaN if it traced the graph.
            seconds: the time of all the steps, including what happened between them.
        """
        count = len(metrics)
        times = np.tile([step_seconds, seconds / count], (count, 1))
        self.metrics = np.concatenate([self.metrics, metrics])
        self.times = np.concatenate([self.times, times])

    def epochs(
        self, steps_per_epoch: int, batch_size: int, first: int = 0
    ) -> Iterator[EpochMetrics]:
        """A row for each epoch after the first `first` ones; the last may be unfinished."""
        for start in range(first * steps_per_epoch, len(self.metrics), steps_per_epoch):
            yield self._row(start, start + steps_per_epoch, steps_per_epoch, batch_size)

    def last_epoch(self, steps_per_epoch: int, batch_size: int) -> EpochMetrics:
        """The row of the epoch that the last step belongs to."""
        last = len(self.metrics) - 1
        return self.since(last - last % steps_per_epoch, steps_per_epoch, batch_size)

    def since(self, start: int, steps_per_epoch: int, batch_size: int) -> EpochMetrics:
        """The row of all steps after `start`, under the epoch of the last step."""
        return self._row(start, len(self.metrics), steps_per_epoch, batch_size)

    def _row(self, start: int, end: int, steps_per_epoch: int, batch_size: int) -> EpochMetrics:
        """The row of the steps after `start`, up to `end` or the last step."""
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
        """The time of the steps after `start`, including what happened between them."""
        return float(np.nansum(self.times[start:, 1]))

    def pace(self, start: int) -> float:
        """The mean seconds from step to step after `start`; NaN if unknown.

        Steps that traced the graph are left out.
        """
        step_seconds, seconds = self.times[start:].T
        timed = seconds[~np.isnan(step_seconds)]
        return float(timed.mean()) if len(timed) else np.nan

    def by_quality(self) -> list[int]:
        """The evaluated steps, the one with the smallest Fréchet distance first.

        Steps that were evaluated with other features than the last are left out.
        """
        evaluations = comparable(self.evaluations)
        ranked = sorted(evaluations, key=lambda each: each.values["frechet_distance"])
        return [each.step for each in ranked]

    def evaluation_of(self, step: int) -> Evaluation | None:
        """The evaluation after a step, or None."""
        return next((each for each in self.evaluations if each.step == step), None)

    def serialize(self) -> bytes:
        """Metrics and evaluations as the bytes of two .npy files, for `tf.train.Checkpoint`."""
        file = io.BytesIO()
        for array in (self.metrics, evaluations_to_array(self.evaluations)):
            np.save(file, array, allow_pickle=False)
        return file.getvalue()

    def deserialize(self, value: bytes) -> None:
        """Restores what `serialize` returned; the times are unknown.

        Scalars that the steps of an older version did not return are NaN.
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
        """Reads the times of the steps in `metrics`, as far as the file has them."""
        try:
            saved = np.load(path, allow_pickle=False).reshape(-1, 2)[: len(self.metrics)]
            self.times[: len(saved)] = saved
        except Exception:  # a damaged file can make the parser raise anything
            return


def evaluations_to_array(evaluations: list[Evaluation]) -> np.ndarray:
    """A structured array with a row for each evaluation.

    Its fields are `step` and the names of all values, those of the last evaluation first. A value
    that an evaluation lacks is NaN.
    """
    if not evaluations:
        return np.empty(0)
    shapes: dict[str, tuple[int, ...]] = {}
    for evaluation in reversed(evaluations):
        for name, value in evaluation.values.items():
            shapes.setdefault(evaluation.key(name), np.shape(value))
    rows = []
    for evaluation in evaluations:
        values = {evaluation.key(name): value for name, value in evaluation.values.items()}
        padded = (values.get(key, np.full(shape, np.nan)) for key, shape in shapes.items())
        rows.append((evaluation.step, *padded))
    fields = [(key, np.float64, shape) for key, shape in shapes.items()]
    return np.array(rows, [("step", np.int64), *fields])


def evaluations_from_array(rows: np.ndarray) -> list[Evaluation]:
    """The evaluations in an array; in early versions, its columns had no names."""
    if rows.dtype.names is None:
        return [unnamed_evaluation(row) for row in rows]
    return [named_evaluation(row) for row in rows]


def named_evaluation(row: np.void) -> Evaluation:
    """The evaluation in a row of `evaluations_to_array`."""
    _, *keys = row.dtype.names or ()
    known = next((key for key in keys if not np.isnan(row[key]).any()), "")
    features = known.partition(FEATURES_SEPARATOR)[2]
    values = {
        key.partition(FEATURES_SEPARATOR)[0]: row[key]
        for key in keys
        if key.partition(FEATURES_SEPARATOR)[2] == features
    }
    return Evaluation(int(row["step"]), values, features)


def unnamed_evaluation(row: np.ndarray) -> Evaluation:
    """The evaluation in a row, float64 [step, *UNNAMED_VALUES, *class_distribution]."""
    step, values, distribution = int(row[0]), dict(zip(UNNAMED_VALUES, row[1:5])), row[5:]
    if len(distribution):
        values |= {"classes_missed": (distribution == 0).sum(), "class_distribution": distribution}
    return Evaluation(step, values)
