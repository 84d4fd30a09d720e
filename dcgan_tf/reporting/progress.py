"""What the terminal shows: a bar for the running epoch, lines for those that are done."""

from __future__ import annotations

import math
import sys

import numpy as np
from tqdm import tqdm

from dcgan_tf.evaluation.scores import METRICS, MOST_CLASSES, Evaluation
from dcgan_tf.reporting.history import EpochMetrics

FORECAST_SECONDS = 15  # of training, after which a run says how long all of it takes
HOUR = 3600


class Progress:
    """Follows a run on the terminal; the bar is left out where the output is not one.

    Args:
        steps_per_epoch: steps of one epoch.
        last_step: the step at which the run ends.
        faster: what to do where that takes more than an hour.
    """

    def __init__(self, steps_per_epoch: int, last_step: int, faster: str = "") -> None:
        self.steps_per_epoch = steps_per_epoch
        self.last_step = last_step
        self.epochs = -(-last_step // steps_per_epoch)
        self.faster = faster
        self.forecast_is_due = True
        self.bar: tqdm | None = None
        self.epoch = 0  # the bar's

    def update(self, row: EpochMetrics, pace: float, seconds: float) -> None:
        """Moves the bar to `row.step`; the numbers are the epoch's means so far.

        Args:
            row: of the epoch.
            pace: the seconds of a step.
            seconds: how long this process has trained.
        """
        if self.forecast_is_due and seconds > FORECAST_SECONDS and pace > 0:
            self.forecast(row.step, pace)
        if not sys.stderr.isatty():
            return
        if row.epoch != self.epoch:
            self.close()
        if self.bar is None:
            self.epoch = row.epoch
            before = (row.epoch - 1) * self.steps_per_epoch
            self.bar = tqdm(
                total=min(self.steps_per_epoch, self.last_step - before),
                desc=f"epoch {row.epoch}/{self.epochs}",
                bar_format="{desc} |{bar}| {n_fmt}/{total_fmt}{postfix}",
                dynamic_ncols=True,
                leave=False,
            )
        step = row.step - (row.epoch - 1) * self.steps_per_epoch
        self.bar.set_postfix_str(
            f"gen_loss {row.means.gen_loss:.3f}  disc_loss {row.means.disc_loss:.3f}  "
            f"{speed(row.images_per_second)}  "
            f"left: {time_of(self.bar.total - step, pace)}, "
            f"run {time_of(self.last_step - row.step, pace)}",
            refresh=False,
        )
        self.bar.update(step - self.bar.n)
        self.bar.refresh()

    def forecast(self, step: int, pace: float) -> None:
        """Says how long the rest of the run takes, unless a minute will do."""
        self.forecast_is_due = False
        seconds = (self.last_step - step) * pace
        if seconds > 60:
            self.close()
            faster = f"; {self.faster}" if self.faster and seconds > HOUR else ""
            print(
                f"time           about {duration(seconds)} to step {self.last_step}{faster}",
                flush=True,
            )

    def end_epoch(
        self,
        row: EpochMetrics,
        pace: float,
        evaluation: Evaluation | None = None,
    ) -> None:
        """Replaces the bar by one line on the epochs since the last, and one on an evaluation.

        Args:
            row: of these epochs.
            pace: the seconds of a step.
            evaluation: of its last step.
        """
        self.close()
        within = row.step % self.steps_per_epoch
        print(
            f"stopped in epoch {row.epoch} at step {within} of {self.steps_per_epoch}  "
            if within
            else f"epoch {row.epoch}/{self.epochs}  step {row.step}  ",
            f"gen_loss {row.means.gen_loss:.4f}  disc_loss {row.means.disc_loss:.4f}  "
            f"D(x) {row.means.d_real:.3f}  D(G(z)) {row.means.d_fake:.3f}  "
            f"{speed(row.images_per_second)}  "
            f"took {duration(row.seconds)}  left {time_of(self.last_step - row.step, pace)}",
            sep="",
            flush=True,
        )
        if evaluation is not None:
            print(f"  {describe(evaluation)}", flush=True)

    def close(self) -> None:
        """Takes the bar off the terminal."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def describe(evaluation: Evaluation) -> str:
    """The metrics in words; a class distribution is left out if it has more than MOST_CLASSES."""
    words, values = [], evaluation.values
    for name, metric in METRICS.items():
        if name in values and np.size(values[name]) <= MOST_CLASSES:
            words.append(f"{metric.label} {metric.show(values[name])}")
            if metric.baseline:
                words[-1] += f" (real images {metric.show(values[metric.baseline])})"
    by = f"by {evaluation.features.replace('_', ' ')}: " if evaluation.features else ""
    return by + "  ".join(words)


def time_of(steps: int, pace: float) -> str:
    """How long some steps take, in words."""
    return duration(steps * pace if steps else 0.0)


def speed(images_per_second: float) -> str:
    """Images per second in words; `?` where it is not known yet."""
    return "? images/s" if math.isnan(images_per_second) else f"{images_per_second:.0f} images/s"


def duration(seconds: float) -> str:
    """Seconds as `m:ss` or `h:mm:ss`; `?` where they are not known yet."""
    if math.isnan(seconds):
        return "?"
    return tqdm.format_interval(round(seconds))
