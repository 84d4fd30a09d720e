"""Keras's callbacks in `train`: told what the report is told, and able to end the run early."""

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

OF_STEPS = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")


class WatchedReport(Report):
    """A report that callbacks are told of, too.

    An epoch's end comes before it is saved, so that what a callback changes, such as a learning
    rate, is saved with it. What a callback raises is raised once the run is saved.

    Args:
        callbacks: Keras's.
        model: the GAN in training, which they know as `self.model`.
        of_report: the arguments of `Report`.
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        model: DCGAN,
        *of_report: Any,
    ) -> None:
        super().__init__(*of_report)
        self.model = model
        self.taken = self.step
        self.error: BaseException | None = None
        self.callbacks = keras.callbacks.CallbackList(
            [*callbacks],
            model=model,
            epochs=-(-self.last_step // self.steps_per_epoch),
            steps=self.steps_per_epoch,
            verbose=0,
        )
        # A step's figures are waited for only where one looks at them.
        self.hears_steps = any(overrides(each, name) for each in callbacks for name in OF_STEPS)

    def begin(self, reals: np.ndarray, grid: np.ndarray) -> None:
        super().begin(reals, grid)
        self.begin_training()

    def resume(self) -> None:
        super().resume()
        self.begin_training()

    def begin_training(self) -> None:
        self.model.stop_training = False
        self.tell("on_train_begin")
        self.begin_epoch()

    def begin_epoch(self) -> None:
        if self.taken < self.last_step:
            self.tell("on_epoch_begin", self.taken // self.steps_per_epoch)
            self.begin_step()

    def begin_step(self) -> None:
        if self.hears_steps and self.taken < self.last_step:
            self.tell("on_train_batch_begin", self.taken % self.steps_per_epoch)

    def add(self, output: StepOutput) -> None:
        super().add(output)
        self.taken += int(np.prod(output.scalars.gen_loss.shape))  # 1, or several at once
        if self.hears_steps:
            figures = output.scalars._asdict().items()
            logs = {name: float(np.ravel(value)[-1]) for name, value in figures}
            self.tell("on_train_batch_end", (self.taken - 1) % self.steps_per_epoch, logs)
        if not self.schedule.report_is_due(self.taken):
            self.begin_step()

    def end_epoch(
        self, grid: np.ndarray, models: list[keras.Model], adaptive: dict[str, float]
    ) -> None:
        super().end_epoch(grid, models, adaptive)
        row, evaluation = self.last_epoch(), self.history.evaluation_of(self.step)
        columns = row.columns() | (evaluation.columns() if evaluation else {})
        del columns["epoch"]  # it is an argument, which Keras counts from 0
        self.tell("on_epoch_end", row.epoch - 1, columns)
        self.begin_epoch()

    def tell(self, event: str, *arguments: Any) -> None:
        """Tells all callbacks, unless the run is about to end."""
        if self.should_stop:
            return
        try:
            getattr(self.callbacks, event)(*arguments)
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
    """Whether a callback has a method of its own by this name."""
    method = getattr(getattr(callback, name), "__func__", None)
    return method is not getattr(keras.callbacks.Callback, name)


def check_callbacks(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Refuses what are not callbacks, and callbacks in a cluster, whose workers end together.

    Raises:
        UserError: they are refused.
    """
    for each in callbacks:
        if not isinstance(each, keras.callbacks.Callback):
            raise UserError(f"`callbacks` must be keras.callbacks.Callback, not {each!r:.80}")
    if callbacks and num_workers() > 1:
        raise UserError("`callbacks` are for one process, and the cluster has several: leave them")
