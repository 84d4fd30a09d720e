"""The training loop: it picks and repeats a step, reports, evaluates, saves, and stops in time."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.checkpoints import Checkpoints, check_finite
from dcgan_tf.cli.errors import Diverged, Interrupted, UserError
from dcgan_tf.cli.signals import StopSignals
from dcgan_tf.config import EVAL_EPOCHS, EVAL_STEPS, Config
from dcgan_tf.data import Images, make_batches
from dcgan_tf.datasets.disk_images import DiskImages
from dcgan_tf.datasets.labels import UNLABELLED, Labels
from dcgan_tf.distributed.cluster import (
    agree_on_stop,
    barrier,
    broadcast,
    is_chief,
    lost_workers_named,
)
from dcgan_tf.distributed.replicas import distribute, on_all_replicas
from dcgan_tf.evaluation.table import Evaluation
from dcgan_tf.gan import Gan, separate_gradients
from dcgan_tf.growing.fade_in import fade_images, unfold
from dcgan_tf.reporting.grids import grid_noise, real_grid
from dcgan_tf.reporting.history import History
from dcgan_tf.reporting.report import Report
from dcgan_tf.run_directory import RunDirectory
from dcgan_tf.steps.critic import critic_step
from dcgan_tf.steps.loss_scaling import scaled_gradients
from dcgan_tf.steps.real_penalty import with_real_penalty
from dcgan_tf.steps.shared_backward import shared_gradients
from dcgan_tf.steps.unrolled import check_onednn, unrolled_step
from dcgan_tf.train_step import StepOutput, StepScalars, train_step

SAVE_SECONDS = 600
MOST_REPORTS = 1000

Evaluate = Callable[[int, keras.Sequential], Evaluation]  # a step and its generator


class Choice(NamedTuple):
    """A row of a table, of which the first is taken whose condition holds.

    Attributes:
        name: what a run's first lines call it.
        function: what is taken.
        applies: whether it is, by the config.
    """

    name: str
    function: Callable[..., Any]
    applies: Callable[[Config], Any]


STEPS = (
    Choice("several critic updates", critic_step, lambda config: config.alternates),
    Choice("unrolled discriminator", unrolled_step, lambda config: config.unroll_steps),
    Choice("the tutorial's", train_step, lambda config: True),
)
BACKWARD_PASSES = (
    Choice("scaled losses", scaled_gradients, lambda config: config.precision == "float16"),
    Choice("shared backward pass", shared_gradients, lambda config: config.shares_backward_pass),
    Choice("one backward pass for each loss", separate_gradients, lambda config: True),
)


def choose(table: tuple[Choice, ...], config: Config) -> Choice:
    """The first row of a table whose condition holds."""
    return next(row for row in table if row.applies(config))


class Trainer:
    """A GAN with its training images: takes the steps, and holds all that a checkpoint saves.

    To be made, and to train, within the scope of its `tf.distribute.Strategy`.

    Args:
        config: the settings of the run.
        images: the training images, uint8 [N, H, W, C].
        labels: theirs, in a conditional run.

    Raises:
        UserError: the step is one that oneDNN can't always run, or a conditional run has no labels.
    """

    def __init__(self, config: Config, images: Images, labels: Labels | None = None) -> None:
        if config.conditional and labels is None:
            raise UserError("a conditional run is trained on images with labels: give these, too")
        self.config = config
        self.images = images
        self.labels = labels
        self.classes = labels.classes if labels else UNLABELLED
        self.steps_per_epoch = len(images) // config.images_per_step
        self.algorithm, self.backward = choose(STEPS, config), choose(BACKWARD_PASSES, config)
        backward = self.backward.function
        if config.real_penalty:
            backward = with_real_penalty(backward, config.real_penalty)
        check_onednn(config)
        self.gan = Gan(config, images.shape[1:], backward, self.classes)
        self.train_step = compile_step(self.algorithm.function, self.gan)

        self.grid_noise = tf.Variable(grid_noise(config, self.classes), trainable=False)
        self.history = History()
        # These names are keys in every checkpoint that was ever written.
        self.state = tf.train.Checkpoint(
            generator=self.gan.generator,
            discriminator=self.gan.discriminator,
            generator_optimizer=self.gan.generator_optimizer,
            discriminator_optimizer=self.gan.discriminator_optimizer,
            dropout_seeds=dropout_seeds(self.gan.discriminator),
            step=self.gan.step,
            grid_noise=self.grid_noise,
            history=self.history,
        )
        if self.gan.ema_generator is not None:
            self.state.averaged_generator = self.gan.ema_generator

    @tf.function(autograph=False)
    def train_steps(self, batches: Iterator[tf.Tensor], count: tf.Tensor) -> StepOutput:
        """Some steps, without Python in between.

        Args:
            batches: of a dataset, whose elements `train_step` takes.
            count: int scalar, how many steps.

        Returns:
            What they return, each stacked: float32 [count, …].
        """
        scalars = StepScalars(*[tf.float32] * len(StepScalars._fields))
        return tf.map_fn(
            lambda _: self.train_step(next(batches)),
            tf.range(count),
            fn_output_signature=StepOutput(scalars, tf.float32, tf.float32),
            parallel_iterations=1,
        )

    @property
    def step(self) -> int:
        """How many steps were taken."""
        return int(self.gan.step.numpy())

    @property
    def last_step(self) -> int:
        """The step at which training ends."""
        last = self.config.epochs * self.steps_per_epoch
        return min(last, self.config.max_steps or last)

    @property
    def evaluation_interval(self) -> int:
        """After every how many steps, of whole epochs, images are evaluated; 0 if they are not."""
        epochs = self.config.eval_every
        if epochs is None:
            epochs = max(EVAL_EPOCHS, -(-EVAL_STEPS // self.steps_per_epoch))
        return epochs * self.steps_per_epoch

    @property
    def report_is_due(self) -> bool:
        """Whether the epoch that the current step ends is reported and saved.

        In a run of up to MOST_REPORTS epochs, every epoch is. In a longer one, whose epochs are
        short, at most MOST_REPORTS are, and also the last one and each that is evaluated.
        """
        epochs = -(-self.last_step // self.steps_per_epoch)
        interval = self.steps_per_epoch * -(-epochs // MOST_REPORTS)
        is_last = self.step == self.last_step
        return self.step % interval == 0 or is_last or self.evaluation_is_due

    @property
    def evaluation_is_due(self) -> bool:
        """Whether the images of the current step are to be evaluated, and were not yet."""
        interval = self.evaluation_interval
        at_interval = interval and self.step and self.step % interval == 0
        return bool(at_interval) and self.history.evaluation_of(self.step) is None

    @property
    def is_evaluated(self) -> bool:
        """Whether training reaches an epoch after which its images are evaluated."""
        return 0 < self.evaluation_interval <= self.last_step

    def check_finite(self) -> None:
        """Refuses a state that must not be saved.

        Raises:
            Diverged: a weight or a moment is infinite or not a number.
        """
        gan = self.gan
        for trained in (
            gan.generator,
            gan.discriminator,
            gan.generator_optimizer,
            gan.discriminator_optimizer,
        ):
            check_finite(trained, self.step)

    def describe_step(self) -> str:
        """Which step is taken, and how its gradients come back, in a few words."""
        if self.algorithm.function is not train_step:
            return self.algorithm.name
        penalty = ", and R1" if self.config.real_penalty else ""
        return f"{self.algorithm.name}, {self.backward.name}{penalty}"

    def sample_grid(self) -> np.ndarray:
        """The fixed noise's images, float32 [N, H, W, C] in [-1, 1]; the classes', row by row."""
        return self.gan.sampling_generator(self.grid_noise, training=False).numpy()

    def restore(self, run: RunDirectory) -> int:
        """Goes back to the run's newest intact checkpoint, which the chief looks for.

        Returns:
            The step that the run goes on from; 0 where it has no checkpoint.

        Raises:
            UserError: the run has checkpoints, and none is intact.
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


def compile_step(step: Callable[..., StepOutput], gan: Gan) -> Callable[[Any], StepOutput]:
    """A step of this GAN as a graph, on every replica of the strategy."""

    def one_replica(images: tf.Tensor) -> StepOutput:
        if gan.config.fade_in:
            images = fade_images(images, gan.alpha, gan.config.stride)
        return step(gan, images)

    if gan.replicas > 1:
        return on_all_replicas(one_replica)
    jit_compile = gan.config.jit_compile or None
    return tf.function(one_replica, jit_compile=jit_compile, autograph=False)


def dropout_seeds(model: keras.Sequential) -> list[tf.Variable]:
    """The states of a model's dropout layers, which `tf.train.Checkpoint` doesn't track."""
    return [
        layer.seed_generator.state.value
        for layer in unfold(model, "old", "new")
        if isinstance(layer, keras.layers.Dropout)
    ]


def fit(trainer: Trainer, run: RunDirectory, evaluate: Evaluate | None = None) -> None:
    """Trains from the trainer's current step to its last.

    Args:
        trainer: takes the steps.
        run: where everything goes.
        evaluate: evaluates the generator after some epochs, if it is to be evaluated.

    Raises:
        Interrupted: a signal asked to stop, and everything is saved.
        Diverged: a loss or a weight is no longer a number.
        OSError: something can't be written.
        UserError: another worker is lost, or images on disk can't be read any more.
    """
    checkpoints = Checkpoints(run.checkpoints, trainer.state)
    report = Report(
        run,
        trainer.config,
        trainer.history,
        trainer.steps_per_epoch,
        trainer.last_step,
    )
    try:
        with StopSignals() as stop, report, lost_workers_named():
            if trainer.step == 0:
                report.begin(real_grid(trainer.images, trainer.labels), trainer.sample_grid())
            else:
                report.resume()
            run_steps(trainer, checkpoints, report, evaluate, stop)
    except Diverged as error:
        steps = checkpoints.steps()
        good = f"{run.checkpoints}/ckpt-{steps[-1]}" if steps else "none"
        raise Diverged(
            f"{error}, and was not saved (last good checkpoint: {good}); a new run with a "
            f"lower --learning_rate may do better"
        ) from None


def run_steps(
    trainer: Trainer,
    checkpoints: Checkpoints,
    report: Report,
    evaluate: Evaluate | None,
    stop: StopSignals,
) -> None:
    """Takes the steps up to the last, or until a signal; reports and saves on the way."""
    config, gan, step, last = trainer.config, trainer.gan, trainer.step, trainer.last_step
    if isinstance(trainer.images, DiskImages):
        # Python reads them in any case; and where it can't, all steps before are whole.
        config = dataclasses.replace(config, steps_per_execution=1)
    if trainer.evaluation_is_due:  # a signal stopped the run before it
        if evaluate:
            with report.pause():
                trainer.history.evaluations.append(evaluate(step, gan.sampling_generator))
                report.end_evaluation()
                checkpoints.save(step, trainer.history.by_quality())
        barrier()
    saved_at, saved_step = time.monotonic(), step
    batches = make_iterator(trainer, step)
    while step < last:
        count = steps_at_once(config, step, trainer.steps_per_epoch, last)
        try:
            output = take_steps(trainer, batches, count, config.steps_per_execution > 1)
        except OSError as damage:
            if step > saved_step and is_chief():
                with report.pause():
                    trainer.check_finite()
                    report.end_steps()
                    checkpoints.save(step, trainer.history.by_quality())
                    saved_step = step
            raise UserError(
                f"{damage.filename} {damage.strerror}: repair it, and the same command resumes "
                f"from step {saved_step} of {last}"
            ) from None
        report.add(output)
        step += count

        stopped, save_is_due = agree_on_stop(stop.received, is_save_due(config, step, saved_at))
        epoch_ends = step % trainer.steps_per_epoch == 0 and trainer.report_is_due
        run_ends = step == last or stopped is not None
        if epoch_ends or run_ends or save_is_due:
            with report.pause():
                trainer.check_finite()
                if epoch_ends:
                    if evaluate and stopped is None and trainer.evaluation_is_due:
                        trainer.history.evaluations.append(evaluate(step, gan.sampling_generator))
                    report.end_epoch(trainer.sample_grid(), [gan.generator, gan.discriminator])
                elif run_ends:
                    report.end_steps()
                checkpoints.save(step, trainer.history.by_quality())
                saved_at, saved_step = time.monotonic(), step
                if epoch_ends and not run_ends:  # a run that ends draws once all is saved
                    report.draw_if_due()
        if run_ends:
            barrier()
        if stopped is not None:
            raise Interrupted(
                stopped, f"saved at step {step} of {last}; the same command resumes it"
            )


def take_steps(trainer: Trainer, batches: Iterator[Any], count: int, at_once: bool) -> StepOutput:
    """Some steps, and what they return.

    Args:
        trainer: takes them.
        batches: theirs.
        count: how many; 1, if they are not taken at once.
        at_once: whether without Python in between. A run has one graph for all its steps: another
            may compute the same with other rounding.

    Raises:
        OSError: images on disk can't be read any more.
    """
    try:
        if at_once:
            return trainer.train_steps(batches, tf.constant(count))
        return trainer.train_step(next(batches))
    except tf.errors.OpError:
        if isinstance(trainer.images, DiskImages) and trainer.images.damage:
            raise trainer.images.damage from None
        raise


def make_iterator(trainer: Trainer, step: int) -> Iterator[Any]:
    """The batches from a step on, on the device that takes them, or on all replicas."""
    labels = None if trainer.labels is None else trainer.labels.numbers
    make = functools.partial(
        make_batches, trainer.images, trainer.config, step, trainer.last_step, labels=labels
    )
    if trainer.gan.replicas > 1:
        return distribute(make)
    gpus = tf.config.list_logical_devices("GPU")
    return iter(make(gpus[0].name if gpus else None))


def steps_at_once(config: Config, step: int, steps_per_epoch: int, last: int) -> int:
    """How many steps the next call takes: up to the next at which something is to be done."""
    intervals = (steps_per_epoch, config.checkpoint_steps or last)
    pause = min(last, *(step - step % interval + interval for interval in intervals))
    return min(config.steps_per_execution, pause - step)


def is_save_due(config: Config, step: int, saved_at: float) -> bool:
    """Whether to save within an epoch: every `checkpoint_steps`, and every 10 minutes."""
    every = config.checkpoint_steps
    return bool(every and step % every == 0) or time.monotonic() - saved_at > SAVE_SECONDS
