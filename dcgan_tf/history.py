"""What every step reported: the one record that `metrics.csv` and `losses.png` are drawn from."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from dcgan_tf.pictures import written_whole


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
    """What every step reported and how long it took.

    The metrics are saved within the checkpoint. The times, in which no two runs are alike, are
    kept in a file of their own, so that equal runs have equal checkpoints.

    Attributes:
        metrics: float64 [steps, 4]: generator loss, discriminator loss, mean D(x), mean D(G(z)).
        times: float64 [steps, 2]: the step's seconds (NaN for one that traced the graph), and the
            seconds with all that came between it and the step before.
    """

    def __init__(self) -> None:
        self.metrics = np.empty((0, 4))
        self.times = np.empty((0, 2))

    def append(self, metrics: np.ndarray, step_seconds: float, seconds: float) -> None:
        """Adds the rows of some steps.

        Args:
            metrics: [steps, 4]: generator loss, discriminator loss, D(x), D(G(z)).
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
            *metrics.mean(axis=0),
            batch_size / timed.mean() if len(timed) else np.nan,
            np.nansum(seconds),
        )

    def serialize(self) -> bytes:
        """The metrics as the bytes of a .npy file, for `tf.train.Checkpoint`."""
        file = io.BytesIO()
        np.save(file, self.metrics, allow_pickle=False)
        return file.getvalue()

    def deserialize(self, value: bytes) -> None:
        """Takes the metrics back from what `serialize` returned; the times are unknown."""
        self.metrics = np.load(io.BytesIO(value), allow_pickle=False)
        self.times = np.full((len(self.metrics), 2), np.nan)

    def save_times(self, path: Path) -> None:
        """Writes the times as a .npy file."""
        with written_whole(path) as file:
            np.save(file, self.times, allow_pickle=False)

    def load_times(self, path: Path) -> None:
        """Reads the times of the steps there are metrics of, as far as the file has them."""
        try:
            saved = np.load(path, allow_pickle=False).reshape(-1, 2)[: len(self.metrics)]
        except (OSError, ValueError, EOFError):
            return
        self.times[: len(saved)] = saved
