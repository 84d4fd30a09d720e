"""Everything that a run shows while it trains: files, TensorBoard, terminal."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import gc
import io
import itertools
import logging
import math
import time
from collections.abc import Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.data import to_uint8
from dcgan_tf.distributed.cluster import num_workers
from dcgan_tf.files.atomic_files import atomic_write, make_folders
from dcgan_tf.reporting.diagnostics import Diagnostics
from dcgan_tf.reporting.grids import GRID_COLUMNS
from dcgan_tf.reporting.history import EpochMetrics, History
from dcgan_tf.reporting.images import image_grid, save_png, save_training_gif
from dcgan_tf.reporting.plots import plot_evaluations, plot_losses
from dcgan_tf.reporting.progress import Progress
from dcgan_tf.reporting.tensorboard import TensorBoard
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.run.schedule import Schedule
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import Diverged, Interrupted
from dcgan_tf.train_step import StepOutput, StepScalars

COLLECT_SECONDS = 0.5
SCALARS_EVERY = 10
MAX_DRAWING_FRACTION = 0.05  # of the time, for plots and GIF; each drawing takes longer than before
FIRST_DRAWING_SECONDS = 0.5  # an estimate
PREVIEW_SECONDS = 60
LINE_SECONDS = 10

logger = logging.getLogger(__name__)


class Report:
    """Collects what the steps return, and keeps the files of the run directory up to date.

    Several steps are collected at once, so a fast device does not wait after each step.

    Args:
        run: the run directory.
        config: the settings of the run.
        history: the steps up to the checkpoint at which the run resumes.
        schedule: what is due after each step.
        class_names: the names of the classes that the run learns.

    Attributes:
        should_stop: whether the run should end before its last step.
    """

    should_stop = False

    def __init__(
        self,
        run: RunDirectory,
        config: Config,
        history: History,
        schedule: Schedule,
        class_names: Sequence[str] = (),
    ) -> None:
        self.run = run
        self.config = config
        self.columns = GRID_COLUMNS if config.conditional else None
        self.history = history
        self.schedule = schedule
        self.class_names = class_names
        self.steps_per_epoch, self.last_step = schedule.steps_per_epoch, schedule.last_step
        self.step = self.began_at = len(history.metrics)
        self.printed_step = self.step - self.step % self.steps_per_epoch  # of the last line
        self.printed_at = -math.inf
        self.is_drawn = True
        self.drawing_seconds = FIRST_DRAWING_SECONDS
        self.finished_rows: list[dict[str, str]] = []  # of metrics.csv, all but the last
        self.pending: list[StepOutput] = []
        self.traced = False
        # All workers must find at the same step that a loss is not a number.
        self.patience = COLLECT_SECONDS if num_workers() == 1 else 0.0
        self.diagnostics = Diagnostics(config.loss, self.step)
        self.tensorboard = TensorBoard(run.events, self.step)
        self.progress = Progress(self.steps_per_epoch, self.last_step, faster_hint(config))
        self.reported_at = self.steps_began_at = self.drawn_at = self.shown_at = time.perf_counter()

    def __enter__(self) -> Report:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.progress.close()
        self.tensorboard.close()
        if kind in (None, Interrupted) and not self.is_drawn:
            self.draw()

    def begin(self, reals: np.ndarray, grid: np.ndarray) -> None:
        """Shows training images, and images of the untrained generator.

        Args:
            reals: training images, uint8 [N, H, W, C] in [0, 255].
            grid: the fixed noise's images, float32 [N, H, W, C] in [-1, 1].
        """
        picture = image_grid(to_uint8(grid), columns=self.columns)
        make_folders(self.run.samples)
        self.drop_later_frames()
        save_png(self.run.samples / "reals.png", image_grid(reals, columns=self.columns))
        save_png(self.run.samples / "init.png", picture)
        self.tensorboard.settings(dataclasses.asdict(self.config))
        self.tensorboard.images("samples", picture, 0)

    def resume(self) -> None:
        """Restores the files as of the checkpoint."""
        self.history.load_times(self.run.times_file)
        self.drop_later_frames()
        self.write_table()
        self.draw()

    def drop_later_frames(self) -> None:
        """Deletes the grids of epochs that will be trained again."""
        for epoch, path in self.run.frames().items():
            if epoch > self.step // self.steps_per_epoch:
                path.unlink()

    def add(self, output: StepOutput) -> None:
        """Adds the output of one step, or of several at once, and collects periodically.

        Raises:
            Diverged: a loss was not a number.
        """
        self.pending.append(output)
        waited = time.perf_counter() - self.steps_began_at
        if not self.traced or waited >= self.patience:
            self.collect()

    def collect(self) -> None:
        """Adds the pending steps to the history, TensorBoard and the bar."""
        if not self.pending:
            return
        metrics = np.concatenate(
            [np.reshape(output.scalars, (len(output.scalars), -1)).T for output in self.pending]
        )
        now = time.perf_counter()
        for step, values in enumerate(metrics, self.step + 1):
            scalars = StepScalars(*values)
            if not (np.isfinite(scalars.gen_loss) and np.isfinite(scalars.disc_loss)):
                raise Diverged(
                    f"step {step} has gen_loss {scalars.gen_loss} and disc_loss {scalars.disc_loss}"
                )
        step_seconds = (now - self.steps_began_at) / len(metrics) if self.traced else math.nan
        self.history.append(metrics, step_seconds, now - self.reported_at)
        for step, values in enumerate(metrics, self.step + 1):
            if step % SCALARS_EVERY == 0:
                self.tensorboard.scalars("step", StepScalars(*values)._asdict(), step)
        self.step += len(metrics)
        last = self.pending[-1]
        self.last_logits = {"real": last.real_logits, "fake": last.fake_logits}
        self.pending = []
        self.traced = True
        self.progress.update(
            self.last_epoch(), self.history.pace(self.began_at), self.history.seconds(self.began_at)
        )
        self.warn(self.diagnostics.warnings(self.history.metrics))
        self.reported_at = now
        self.steps_began_at = time.perf_counter()

    def warn(self, warnings: Iterator[str]) -> None:
        """Prints each warning on its own line."""
        for warning in warnings:
            self.progress.close()
            logger.warning("%s", warning)

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Collects all steps so far, and excludes the time within the context from theirs."""
        self.collect()
        self.history.save_times(self.run.times_file)
        self.tensorboard.flush()
        yield
        self.steps_began_at = time.perf_counter()

    @property
    def preview_is_due(self) -> bool:
        """Whether the newest grid was written more than PREVIEW_SECONDS ago."""
        return time.perf_counter() - self.shown_at > PREVIEW_SECONDS

    def show(self, grid: np.ndarray) -> None:
        """Writes the newest grid.

        Args:
            grid: the fixed noise's images, float32 [N, H, W, C] in [-1, 1].
        """
        save_png(self.run.latest_grid, image_grid(to_uint8(grid), columns=self.columns))
        self.shown_at = time.perf_counter()

    def end_epoch(
        self, grid: np.ndarray, models: list[keras.Model], adaptive: dict[str, float]
    ) -> None:
        """Writes the grid, the scalars and the histograms of a finished epoch.

        Args:
            grid: the fixed noise's images, float32 [N, H, W, C] in [-1, 1].
            models: their weights are shown as histograms.
            adaptive: settings that adapt during training, for TensorBoard.
        """
        row = self.last_epoch()
        picture = image_grid(to_uint8(grid), columns=self.columns)
        save_png(self.run.frame(row.epoch), picture)
        with atomic_write(self.run.latest_grid) as file:
            file.write(self.run.frame(row.epoch).read_bytes())
        self.shown_at = time.perf_counter()
        self.tensorboard.images("samples", picture, row.step)
        self.tensorboard.histograms(models, self.last_logits, row.step)
        scalars = row.columns()
        del scalars["epoch"], scalars["step"]
        self.tensorboard.scalars("epoch", scalars | adaptive, row.step)
        self.end_evaluation()

    def end_evaluation(self) -> None:
        """Shows the evaluation after the last step, if there is one, and calls `end_steps`."""
        if evaluation := self.history.evaluation_of(self.step):
            self.tensorboard.scalars("evaluation", evaluation.columns(), self.step)
            self.warn(self.diagnostics.quality_warnings(self.history.evaluations))
        self.tensorboard.flush()
        self.end_steps()

    def end_steps(self) -> None:
        """Updates metrics.csv and the terminal at the end of an epoch or of the run.

        Epochs that end within LINE_SECONDS share a line, except evaluated ones.
        """
        self.write_table()
        self.is_drawn = False
        now, evaluation = time.perf_counter(), self.history.evaluation_of(self.step)
        is_partial = self.step % self.steps_per_epoch > 0
        ends = self.should_stop or self.step == self.last_step or is_partial
        if not (ends or evaluation or now - self.printed_at >= LINE_SECONDS):
            return
        sizes = self.steps_per_epoch, self.config.images_per_step
        epoch_began = (self.step - 1) // self.steps_per_epoch * self.steps_per_epoch
        row = self.history.since(min(self.printed_step, epoch_began), *sizes)
        self.progress.end_epoch(row, self.history.pace(self.began_at), evaluation)
        self.printed_step, self.printed_at = row.step, now

    def write_table(self) -> None:
        """Rewrites metrics.csv from the history."""
        evaluations = {each.step: each.columns() for each in self.history.evaluations}
        sizes = self.steps_per_epoch, self.config.images_per_step
        for row in self.history.epochs(*sizes, first=len(self.finished_rows)):
            columns = row.columns() | evaluations.get(row.step, {})
            self.finished_rows.append(
                {
                    name: str(value) if isinstance(value, int) else f"{value:.6g}"
                    for name, value in columns.items()
                    if not math.isnan(value)
                }
            )
        names = dict.fromkeys(itertools.chain(self.last_epoch().columns(), *evaluations.values()))
        table = io.StringIO()
        writer = csv.DictWriter(table, list(names), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.finished_rows)
        del self.finished_rows[-1]  # its epoch may be unfinished, or be evaluated later
        with atomic_write(self.run.metrics_file) as file:
            file.write(table.getvalue().encode())

    def draw_if_due(self) -> None:
        """Calls `draw` if that takes at most MAX_DRAWING_FRACTION of the time."""
        if self.drawing_seconds <= MAX_DRAWING_FRACTION * (time.perf_counter() - self.drawn_at):
            self.draw()

    def draw(self) -> None:
        """Redraws the plots and training.gif from the history and the grids."""
        began = time.perf_counter()
        draw_run(self.run, self.history, self.steps_per_epoch, self.class_names)
        self.is_drawn = True
        self.drawn_at = time.perf_counter()
        self.drawing_seconds = self.drawn_at - began

    def last_epoch(self) -> EpochMetrics:
        """The row of metrics.csv that the last step belongs to."""
        return self.history.last_epoch(self.steps_per_epoch, self.config.images_per_step)


def draw_run(
    run: RunDirectory, history: History, steps_per_epoch: int, class_names: Sequence[str]
) -> None:
    """Draws the plots and training.gif of a run from its history and its grids."""
    plot_losses(run.losses_plot, history.metrics, steps_per_epoch)
    if history.evaluations:
        plot_evaluations(run.evaluations_plot, history.evaluations, steps_per_epoch, class_names)
    if frames := [*run.frames().values()]:
        save_training_gif(run.training_gif, frames)
    # Figures are large, and only the garbage collector frees their reference cycles.
    gc.collect()


def faster_hint(config: Config) -> str:
    """What to try if a run takes hours; empty without a suggestion."""
    is_digits = config.dataset == "mnist" and config.preset == "tutorial"
    if not is_digits or tf.config.list_logical_devices("GPU"):
        return ""
    return "`preset=digits` gives better digits in less time"
