"""Keras callbacks in `train`, which are called with the report's metrics and may end the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from dcgan_tf.distributed.cluster import num_workers
from dcgan_tf.keras_api.model import DCGAN
from dcgan_tf.reporting.report import Report
from dcgan_tf.settings.errors import UserError
from dcgan_tf.train_step import StepOutput

STEP_METHODS = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")


class WatchedReport(Report):
    """A report that also calls callbacks.

    `on_epoch_end` is called before the epoch is saved, so a change that a callback makes, such as a
    new learning rate, is saved with it. If a callback raises, the run is saved before the exception
    is raised again.

    Args:
        callbacks: the callbacks.
        model: the GAN in training; `self.model` of the callbacks.
        report_arguments: the arguments of `Report`.
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        model: DCGAN,
        *report_arguments: Any,
    ) -> None:
        super().__init__(*report_arguments)
        self.model = model
        self.steps_taken = self.step
        self.error: BaseException | None = None
        self.callbacks = keras.callbacks.CallbackList(
            [*callbacks],
            model=model,
            epochs=-(-self.last_step // self.steps_per_epoch),
            steps=self.steps_per_epoch,
            verbose=0,
        )
        # Waits for the scalars of each step only if a callback uses them.
        self.calls_steps = any(overrides(each, name) for each in callbacks for name in STEP_METHODS)

    def begin(self, reals: np.ndarray, grid: np.ndarray) -> None:
        super().begin(reals, grid)
        self.begin_training()

    def resume(self) -> None:
        super().resume()
        self.begin_training()

    def begin_training(self) -> None:
        self.model.stop_training = False
        self.call("on_train_begin")
        self.begin_epoch()

    def begin_epoch(self) -> None:
        if self.steps_taken < self.last_step:
            self.call("on_epoch_begin", self.steps_taken // self.steps_per_epoch)
            self.begin_step()

    def begin_step(self) -> None:
        if self.calls_steps and self.steps_taken < self.last_step:
            self.call("on_train_batch_begin", self.steps_taken % self.steps_per_epoch)

    def add(self, output: StepOutput) -> None:
        super().add(output)
        self.steps_taken += int(np.prod(output.scalars.gen_loss.shape))  # 1, or several at once
        if self.calls_steps:
            scalars = output.scalars._asdict().items()
            logs = {name: float(np.ravel(value)[-1]) for name, value in scalars}
            self.call("on_train_batch_end", (self.steps_taken - 1) % self.steps_per_epoch, logs)
        if not self.schedule.report_is_due(self.steps_taken):
            self.begin_step()

    def end_epoch(
        self, grid: np.ndarray, models: list[keras.Model], adaptive: dict[str, float]
    ) -> None:
        super().end_epoch(grid, models, adaptive)
        row, evaluation = self.last_epoch(), self.history.evaluation_of(self.step)
        columns = row.columns() | (evaluation.columns() if evaluation else {})
        del columns["epoch"]  # Keras passes it as an argument, counted from 0
        self.call("on_epoch_end", row.epoch - 1, columns)
        self.begin_epoch()

    def call(self, method: str, *arguments: Any) -> None:
        """Calls a method of all callbacks, unless the run is about to end."""
        if self.should_stop:
            return
        try:
            getattr(self.callbacks, method)(*arguments)
        except BaseException as error:
            self.error = error
        self.should_stop = self.error is not None or self.model.stop_training

    def __exit__(self, kind: type[BaseException] | None, *others: object) -> None:
        super().__exit__(kind, *others)
        if kind is None and self.error is None:
            self.callbacks.on_train_end()
        if kind is None and self.error is not None:
            raise self.error


def overrides(callback: keras.callbacks.Callback, name: str) -> bool:
    """Whether a callback overrides a method of `Callback`."""
    method = getattr(getattr(callback, name), "__func__", None)
    return method is not getattr(keras.callbacks.Callback, name)


def check_callbacks(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Rejects objects that are not callbacks, and callbacks in a cluster.

    A callback could end the run of one worker, but workers must end together.

    Raises:
        UserError: the callbacks are rejected.
    """
    for each in callbacks:
        if not isinstance(each, keras.callbacks.Callback):
            raise UserError(f"`callbacks` must be keras.callbacks.Callback, not {each!r:.80}")
    if callbacks and num_workers() > 1:
        raise UserError(
            "`callbacks` work in one process, but the cluster has several: leave them out"
        )
