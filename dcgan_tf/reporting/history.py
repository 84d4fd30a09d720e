"""What every step reported: the one record that `metrics.csv` and `losses.png` are drawn from."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from dcgan_tf.cli.atomic_files import atomic_write
from dcgan_tf.train_step import StepScalars


class EpochMetrics(NamedTuple):
    """One row of `metrics.csv`, without the columns of an evaluation.

    Attributes:
        epoch, step: the epoch's number, from 1 up, and its last step so far.
        means: of the steps' scalars, over the epoch so far.
        images_per_second: of training steps only, without the one that traces the graph; NaN where
            there is no other.
        seconds: the epoch's whole time.
    """

    epoch: int
    step: int
    means: StepScalars
    images_per_second: float
    seconds: float

    def columns(self) -> dict[str, float]:
        """Its columns in `metrics.csv`."""
        columns = self._asdict()
        del columns["means"]
        before, after = ("epoch", "step"), ("images_per_second", "seconds")
        return (
            {name: columns[name] for name in before}
            | self.means._asdict()
            | {name: columns[name] for name in after}
        )


class Evaluation(NamedTuple):
    """What one evaluation within the training found.

    Attributes:
        step: the step after which it was made.
        frechet_distance, frechet_baseline: of generated images, and of as many real ones.
        precision, recall: of generated images.
        class_distribution: the fraction of generated images in each class; may be empty.
    """

    step: int
    frechet_distance: float
    frechet_baseline: float
    precision: float
    recall: float
    class_distribution: np.ndarray

    def columns(self) -> dict[str, float]:
        """Its columns in `metrics.csv`; shares are among them if there are ten classes at most."""
        columns = self._asdict()
        del columns["step"], columns["class_distribution"]
        if len(self.class_distribution):
            columns["classes_missed"] = int((self.class_distribution == 0).sum())
        if len(self.class_distribution) <= 10:
            columns |= {
                f"share_{i}": float(share) for i, share in enumerate(self.class_distribution)
            }
        return columns


class History(tf.train.experimental.PythonState):
    """What every step reported and how long it took.

    The metrics are saved within the checkpoint. The times, in which no two runs are alike, are
    kept in a file of their own, so that equal runs have equal checkpoints.

    Attributes:
        metrics: float64 [steps, 7]: the fields of `StepScalars`.
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
            metrics: [steps, 7]: the fields of `StepScalars`.
            step_seconds: how long each step took; NaN if it traced the graph.
            seconds: how long the steps, and all between them, took together.
        """
        count = len(metrics)
        times = np.tile([step_seconds, seconds / count], (count, 1))
        self.metrics = np.concatenate([self.metrics, metrics])
        self.times = np.concatenate([self.times, times])

    def epochs(self, steps_per_epoch: int, batch_size: int) -> Iterator[EpochMetrics]:
        """A row for each epoch, and one for the steps of an unfinished one."""
        for start in range(0, len(self.metrics), steps_per_epoch):
            yield self._epoch(start, steps_per_epoch, batch_size)

    def last_epoch(self, steps_per_epoch: int, batch_size: int) -> EpochMetrics:
        """The row of the epoch that the last step belongs to."""
        last = len(self.metrics) - 1
        return self._epoch(last - last % steps_per_epoch, steps_per_epoch, batch_size)

    def _epoch(self, start: int, steps_per_epoch: int, batch_size: int) -> EpochMetrics:
        """The row of the epoch whose first step has the index `start`."""
        metrics = self.metrics[start : start + steps_per_epoch]
        step_seconds, seconds = self.times[start : start + steps_per_epoch].T
        timed = step_seconds[~np.isnan(step_seconds)]
        return EpochMetrics(
            start // steps_per_epoch + 1,
            start + len(metrics),
            StepScalars(*metrics.mean(axis=0)),
            batch_size / timed.mean() if len(timed) else np.nan,
            np.nansum(seconds),
        )

    def by_quality(self) -> list[int]:
        """The steps that were evaluated, the one with the smallest Fréchet distance first."""
        ranked = sorted(self.evaluations, key=lambda made: made.frechet_distance)
        return [made.step for made in ranked]

    def evaluation_of(self, step: int) -> Evaluation | None:
        """The evaluation made after a step, if there was one."""
        return next((made for made in self.evaluations if made.step == step), None)

    def serialize(self) -> bytes:
        """Metrics and evaluations as the bytes of two .npy files, for `tf.train.Checkpoint`."""
        file = io.BytesIO()
        rows = [[*made[:-1], *made.class_distribution] for made in self.evaluations]
        for array in (self.metrics, np.array(rows, np.float64)):
            np.save(file, array, allow_pickle=False)
        return file.getvalue()

    def deserialize(self, value: bytes) -> None:
        """Takes back what `serialize` returned; the times are unknown."""
        file = io.BytesIO(value)
        self.metrics, rows = (np.load(file, allow_pickle=False) for _ in range(2))
        self.evaluations = [Evaluation(int(row[0]), *row[1:5].tolist(), row[5:]) for row in rows]
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
