"""What the terminal shows: a bar for the current epoch, a line for finished epochs."""

from __future__ import annotations

import math
import sys

import numpy as np
from tqdm import tqdm

from dcgan_tf.evaluation.scores import MAX_CLASSES, METRICS, Evaluation
from dcgan_tf.reporting.history import EpochMetrics

FORECAST_SECONDS = 15  # of training, after which a run prints how long it will take
HOUR = 3600


class Progress:
    """Shows the progress of a run on the terminal; without a terminal, there is no bar.

    Args:
        steps_per_epoch: the number of steps in an epoch.
        last_step: the step at which the run ends.
        faster_hint: a hint to print if the run takes more than an hour.
    """

    def __init__(self, steps_per_epoch: int, last_step: int, faster_hint: str = "") -> None:
        self.steps_per_epoch = steps_per_epoch
        self.last_step = last_step
        self.epochs = -(-last_step // steps_per_epoch)
        self.faster_hint = faster_hint
        self.forecast_is_due = True
        self.bar: tqdm | None = None
        self.epoch = 0  # the bar's

    def update(self, row: EpochMetrics, pace: float, seconds: float) -> None:
        """Moves the bar to `row.step`, and shows the means of the epoch so far.

        Args:
            row: the row of the epoch.
            pace: the seconds per step.
            seconds: the time that this process has trained.
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
        """Prints how long the rest of the run takes if it is more than a minute."""
        self.forecast_is_due = False
        seconds = (self.last_step - step) * pace
        if seconds > 60:
            self.close()
            hint = f"; {self.faster_hint}" if self.faster_hint and seconds > HOUR else ""
            print(
                f"time           about {duration(seconds)} to step {self.last_step}{hint}",
                flush=True,
            )

    def end_epoch(
        self,
        row: EpochMetrics,
        pace: float,
        evaluation: Evaluation | None = None,
    ) -> None:
        """Replaces the bar with a line about the epochs since the last line.

        Args:
            row: the row of these epochs.
            pace: the seconds per step.
            evaluation: the evaluation after their last step, shown on its own line.
        """
        self.close()
        step_in_epoch = row.step % self.steps_per_epoch
        print(
            f"stopped in epoch {row.epoch} at step {step_in_epoch} of {self.steps_per_epoch}  "
            if step_in_epoch
            else f"epoch {row.epoch}/{self.epochs}  step {row.step}  ",
            f"gen_loss {row.means.gen_loss:.4f}  disc_loss {row.means.disc_loss:.4f}  "
            f"D(x) {row.means.d_real:.3f}  D(G(z)) {row.means.d_fake:.3f}  "
            f"{speed(row.images_per_second)}  "
            f"took {duration(row.seconds)}  left {time_of(self.last_step - row.step, pace)}",
            sep="",
            flush=True,
        )
        if evaluation is not None:
            print(f"  {describe_evaluation(evaluation)}", flush=True)

    def close(self) -> None:
        """Removes the bar from the terminal."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def describe_evaluation(evaluation: Evaluation) -> str:
    """The metrics as text, without a class distribution of more than MAX_CLASSES classes."""
    words, values = [], evaluation.values
    for name, metric in METRICS.items():
        if name in values and np.size(values[name]) <= MAX_CLASSES:
            words.append(f"{metric.label} {metric.show(values[name])}")
            if metric.baseline:
                words[-1] += f" (real images {metric.show(values[metric.baseline])})"
    by = f"by {evaluation.features.replace('_', ' ')}: " if evaluation.features else ""
    return by + "  ".join(words)


def time_of(steps: int, pace: float) -> str:
    """The time that some steps take, as text."""
    return duration(steps * pace if steps else 0.0)


def speed(images_per_second: float) -> str:
    """Images per second as text; `?` if not known yet."""
    return "? images/s" if math.isnan(images_per_second) else f"{images_per_second:.0f} images/s"


def duration(seconds: float) -> str:
    """Seconds as `m:ss` or `h:mm:ss`; `?` if not known yet."""
    if math.isnan(seconds):
        return "?"
    return tqdm.format_interval(round(seconds))
