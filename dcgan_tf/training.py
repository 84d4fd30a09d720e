"""The training loop: takes steps, and reports, evaluates and saves when each is due.

The loop itself is in `Trainer._take_steps`.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.conditional.label_inputs import stack_of
from dcgan_tf.conditional.labels import NO_CLASSES, Labels
from dcgan_tf.data import Batch, Images, make_batches
from dcgan_tf.datasets.disk_images import DiskImages, check_images
from dcgan_tf.distributed.cluster import (
    agree_on_stop,
    barrier,
    broadcast,
    is_chief,
    lost_worker_errors,
)
from dcgan_tf.distributed.replicas import distribute
from dcgan_tf.evaluation.scores import Evaluation
from dcgan_tf.gan import make_gan
from dcgan_tf.models import all_layers
from dcgan_tf.reporting.grids import grid_noise, real_grid
from dcgan_tf.reporting.history import History
from dcgan_tf.reporting.report import Report
from dcgan_tf.run.checkpoints import Checkpoints, check_finite
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.run.schedule import Schedule
from dcgan_tf.run.signals import StopSignals
from dcgan_tf.settings.choices import PENALTIES
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import Diverged, Interrupted, UserError
from dcgan_tf.steps.compile_step import compile_step, repeat_step
from dcgan_tf.steps.make_step import choose_step, make_step
from dcgan_tf.train_step import StepOutput

Evaluate = Callable[[int, keras.Sequential], Evaluation]  # called with a step and its generator


class Trainer:
    """Trains a GAN on images, and holds the state that checkpoints save.

    Create and use it within the scope of a `tf.distribute.Strategy` if there is one.

    Args:
        config: the settings of the run.
        images: the training images, uint8 [N, H, W, C].
        labels: the labels of the images, in a conditional run.

    Raises:
        UserError: the settings are incompatible, a conditional run has no labels, or the shape or
            dtype of the images is wrong.

    Attributes:
        gan: the GAN.
        train_step: the compiled step, from a batch to a `StepOutput`.
        train_steps: several steps in one call; see `repeat_step`.
        schedule: what is due after each step.
        history: the metrics of past steps.
        state: what a checkpoint saves.
    """

    def __init__(self, config: Config, images: Images, labels: Labels | None = None) -> None:
        if config.learns_labels and labels is None:
            raise UserError(
                "a conditional run needs the labels of its images: pass them as `labels`"
            )
        check_images(images, labels and labels.ids)
        self.config = config
        self.images = images
        self.labels = labels
        self.classes = labels.classes if labels else NO_CLASSES
        self.schedule = Schedule.of(config, len(images))
        step = make_step(config)
        self.gan = make_gan(config, images.shape[1:], self.classes)
        self.train_step = compile_step(functools.partial(step, self.gan), config.jit_compile)
        self.train_steps = repeat_step(self.train_step)

        self.grid_noise = tf.Variable(grid_noise(config, self.classes), trainable=False)
        self.history = History()
        adaptive = {"augmentation": self.gan.adaptive} if self.gan.adaptive else {}
        # These names are keys in existing checkpoints.
        self.state = tf.train.Checkpoint(
            **self.stacks,
            generator_optimizer=self.gan.generator_optimizer,
            discriminator_optimizer=self.gan.discriminator_optimizer,
            dropout_seeds=dropout_seeds(self.gan.discriminator),
            step=self.gan.step,
            grid_noise=self.grid_noise,
            history=self.history,
            **adaptive,
        )

    @property
    def step(self) -> int:
        """The number of steps taken."""
        return int(self.gan.step.numpy())

    @property
    def stacks(self) -> dict[str, keras.Sequential]:
        """The stacks of the models by their keys in a checkpoint."""
        stacks = {
            "generator": stack_of(self.gan.generator),
            "discriminator": stack_of(self.gan.discriminator),
        }
        if self.gan.ema_generator is not None:
            stacks["averaged_generator"] = self.gan.ema_generator
        return stacks

    @property
    def evaluation_is_due(self) -> bool:
        """Whether the current step should be evaluated and has not been yet."""
        is_due = self.schedule.evaluation_is_due(self.step)
        return is_due and self.history.evaluation_of(self.step) is None

    @property
    def is_evaluated(self) -> bool:
        """Whether any step of the run is due for an evaluation."""
        return 0 < self.schedule.evaluation_interval <= self.schedule.last_step

    def describe_step(self) -> str:
        """A short description of the step and its penalties."""
        names = [row.name for setting, row in PENALTIES.items() if getattr(self.config, setting)]
        return ", with ".join([choose_step(self.config).name, *names])

    def sample_grid(self) -> np.ndarray:
        """Images of the fixed noise, float32 [N, H, W, C] in [-1, 1]; one row per class."""
        return self.gan.sampling_generator(self.grid_noise, training=False).numpy()

    def restore(self, run: RunDirectory) -> int:
        """Restores the run's newest intact checkpoint, as found by the chief.

        Returns:
            The step to resume from; 0 if there is no checkpoint.

        Raises:
            UserError: the run has checkpoints, but none is intact.
        """
        checkpoints = Checkpoints(run.checkpoints, self.state)
        step = 0
        if is_chief():
            checkpoints.complete_save()
            step = checkpoints.restore() or 0
            checkpoints.set_aside_after(step)
        step = int(broadcast(step))
        if step and not is_chief():
            checkpoints.restore(step)
        return step

    def fit(
        self,
        run: RunDirectory,
        evaluate: Evaluate | None = None,
        make_report: Callable[..., Report] = Report,
    ) -> None:
        """Trains from the current step to the last, or until the report stops it.

        Args:
            run: the run directory to write to.
            evaluate: called when an evaluation is due; None to skip evaluations.
            make_report: `Report`, or a function with the same arguments.

        Raises:
            Interrupted: a signal stopped the training, and everything is saved.
            Diverged: a loss or weight is not finite.
            OSError: a file can't be written.
            UserError: another worker was lost, or images on disk can no longer be read.
        """
        checkpoints = Checkpoints(run.checkpoints, self.state)
        report = make_report(run, self.config, self.history, self.schedule, self.classes.names)
        try:
            with StopSignals() as stop, report, lost_worker_errors():
                if self.step == 0:
                    report.begin(
                        real_grid(self.config, self.images, self.labels), self.sample_grid()
                    )
                else:
                    report.resume()
                self._take_steps(checkpoints, report, evaluate, stop)
        except Diverged as error:
            steps = checkpoints.steps()
            good = f"{run.checkpoints}/ckpt-{steps[-1]}" if steps else "none"
            raise Diverged(
                f"{error}, and was not saved (last good checkpoint: {good}); a new run with a "
                f"lower `learning_rate` may do better"
            ) from None

    def _take_steps(
        self,
        checkpoints: Checkpoints,
        report: Report,
        evaluate: Evaluate | None,
        stop: StopSignals,
    ) -> None:
        """Takes the remaining steps, or stops at a signal; reports and saves on the way."""
        schedule, step, last = self.schedule, self.step, self.schedule.last_step
        gan = self.gan
        models = [gan.generator, gan.discriminator]
        trained = [*models, gan.generator_optimizer, gan.discriminator_optimizer]
        saved_at, saved_step = time.monotonic(), step

        def save(show: Callable[[], None], draw: bool = False) -> None:
            """Checks, reports and saves the state, then draws the plots."""
            nonlocal saved_at, saved_step
            with report.pause():
                check_finite(trained, self.step)
                show()
                checkpoints.save(self.step, self.history.by_quality())
                saved_at, saved_step = time.monotonic(), self.step
                if draw:
                    report.draw_if_due()

        def add_evaluation() -> None:
            if evaluate:
                evaluation = evaluate(self.step, gan.sampling_generator)
                self.history.evaluations.append(evaluation)

        def end_evaluation() -> None:
            add_evaluation()
            report.end_evaluation()

        def end_run() -> None:
            report.show(self.sample_grid())
            report.end_steps()

        def end_epoch() -> None:
            if stopped is None and self.evaluation_is_due:
                add_evaluation()
            adaptive = {"augment_probability": float(gan.adaptive.value)} if gan.adaptive else {}
            report.end_epoch(self.sample_grid(), models, adaptive)

        if self.evaluation_is_due:  # the run was stopped before it
            if evaluate:
                save(end_evaluation)
            barrier()
        # Python reads images on disk anyway. With one step at a time, a read error loses no other.
        on_disk = isinstance(self.images, DiskImages)
        max_at_once = 1 if on_disk else self.config.steps_per_execution
        batches = self.make_iterator()
        while step < last and not report.should_stop:
            count = schedule.steps_at_once(step, max_at_once)
            try:
                output = self.take(batches, count, at_once=max_at_once > 1)
            except OSError as damage:
                if step > saved_step and is_chief():
                    save(report.end_steps)
                raise UserError(
                    f"{damage.filename} {damage.strerror}: repair it and run the same "
                    f"command again to resume from step {saved_step} of {last}"
                ) from None
            report.add(output)
            step += count
            if report.preview_is_due:
                report.show(self.sample_grid())

            save_is_due = schedule.save_is_due(step, saved_at)
            stopped, save_is_due = agree_on_stop(stop.received, save_is_due)
            run_ends = step == last or stopped is not None or report.should_stop
            if schedule.report_is_due(step):
                save(end_epoch, draw=not run_ends)  # at the end, the report draws
            elif run_ends:
                save(end_run)
            elif save_is_due:
                save(lambda: None)
            if run_ends:
                barrier()
            if stopped is not None:
                raise Interrupted(
                    stopped, f"saved at step {step} of {last}; run the same command again to resume"
                )

    def take(self, batches: Iterator[Batch], count: int, at_once: bool) -> StepOutput:
        """Takes `count` steps and returns their output.

        Args:
            batches: the batches of the steps.
            count: the number of steps; 1 unless `at_once`.
            at_once: whether the steps run in one graph. All steps of a run use the same graph, as
                another may round differently.

        Raises:
            OSError: images on disk can no longer be read.
        """
        try:
            if at_once:
                return self.train_steps(batches, tf.constant(count))
            return self.train_step(next(batches))
        except tf.errors.OpError:
            if isinstance(self.images, DiskImages) and self.images.damage:
                raise self.images.damage from None
            raise

    def make_iterator(self) -> Iterator[Batch]:
        """The batches from the current step on, on the devices that run the steps."""
        labels = None if self.labels is None else self.labels.ids
        last = self.schedule.last_step
        make = functools.partial(
            make_batches, self.images, self.config, self.step, last, labels=labels
        )
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            return distribute(make)
        gpus = tf.config.list_logical_devices("GPU")
        return iter(make(gpus[0].name if gpus else None))


def dropout_seeds(model: keras.Model) -> list[tf.Variable]:
    """The states of a model's dropout layers, which `tf.train.Checkpoint` doesn't track."""
    return [
        layer.seed_generator.state.value
        for layer in all_layers(model)
        if isinstance(layer, keras.layers.Dropout)
    ]
