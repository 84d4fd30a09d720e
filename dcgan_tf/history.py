"""What every step reported: the one record that `metrics.csv` and `losses.png` are drawn from."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf


class EpochMetrics(NamedTuple):
    """One row of `metrics.csv`.

    Losses, D(x) and D(G(z)) are means over the epoch's steps so far. `images_per_second` counts
    training steps only, without the one that traces the graph (NaN where there is no other);
    `seconds` is the epoch's whole time.
    """

    epoch: int
    step: int
    gen_loss: float
    disc_loss: float
    d_real: float
    d_fake: float
    images_per_second: float
    seconds: float


class History(tf.train.experimental.PythonState):
    """One row a step, saved within the checkpoint, so that a resumed run goes on with it.

    Attributes:
        rows: float64 [steps, 6]: generator loss, discriminator loss, mean D(x), mean D(G(z)),
            the step's seconds (NaN for one that traced the graph), and the training's seconds
            at its end.
    """

    def __init__(self) -> None:
        self.rows = np.empty((0, 6))

    def append(self, metrics: np.ndarray, step_seconds: float, seconds: float) -> None:
        """Adds the rows of some steps.

        Args:
            metrics: [steps, 4]: generator loss, discriminator loss, D(x), D(G(z)).
            step_seconds: how long each step took; NaN if it traced the graph.
            seconds: how long the steps, and all between them, took together.
        """
        count = len(metrics)
        start = self.rows[-1, 5] if len(self.rows) else 0.0
        times = np.column_stack(
            [np.full(count, step_seconds), start + seconds * np.arange(1, count + 1) / count]
        )
        self.rows = np.concatenate([self.rows, np.column_stack([metrics, times])])

    def epochs(self, steps_per_epoch: int, batch_size: int) -> Iterator[EpochMetrics]:
        """A row for each epoch, and one for the steps of an unfinished one."""
        for start in range(0, len(self.rows), steps_per_epoch):
            yield self._epoch(start, steps_per_epoch, batch_size)

    def last_epoch(self, steps_per_epoch: int, batch_size: int) -> EpochMetrics:
        """The row of the epoch that the last step belongs to."""
        last = len(self.rows) - 1
        return self._epoch(last - last % steps_per_epoch, steps_per_epoch, batch_size)

    def _epoch(self, start: int, steps_per_epoch: int, batch_size: int) -> EpochMetrics:
        """The row of the epoch whose first step has the index `start`."""
        rows = self.rows[start : start + steps_per_epoch]
        step_seconds = rows[:, 4][~np.isnan(rows[:, 4])]
        speed = batch_size / step_seconds.mean() if len(step_seconds) else np.nan
        began = self.rows[start - 1, 5] if start else 0.0
        return EpochMetrics(
            start // steps_per_epoch + 1,
            start + len(rows),
            *rows[:, :4].mean(axis=0),
            speed,
            rows[-1, 5] - began,
        )

    def serialize(self) -> bytes:
        """The rows as the bytes of a .npy file, for `tf.train.Checkpoint`."""
        file = io.BytesIO()
        np.save(file, self.rows, allow_pickle=False)
        return file.getvalue()

    def deserialize(self, value: bytes) -> None:
        """Takes the rows back from what `serialize` returned."""
        self.rows = np.load(io.BytesIO(value), allow_pickle=False)
