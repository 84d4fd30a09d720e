"""Starts or resumes a run."""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from dcgan_tf.conditional.labels import Classes, Labels
from dcgan_tf.data import Images
from dcgan_tf.datasets.loading import load_images, load_report, load_training_labels
from dcgan_tf.datasets.passed import ValueRange, passing, read_passed
from dcgan_tf.datasets.report import Report
from dcgan_tf.datasets.transparency import are_opaque
from dcgan_tf.distributed.cluster import (
    check_same,
    check_shared,
    is_chief,
    lost_worker_errors,
    temporary_run,
)
from dcgan_tf.distributed.strategy import describe_devices, make_strategy, unused_gpu
from dcgan_tf.evaluation.evaluator import Evaluator
from dcgan_tf.evaluation.scores import IN_TRAINING
from dcgan_tf.keras_api.callbacks import WatchedReport, check_callbacks
from dcgan_tf.keras_api.model import DCGAN
from dcgan_tf.reporting.report import Report as ProgressReport
from dcgan_tf.reporting.report import draw_run
from dcgan_tf.run.checkpoints import Checkpoints
from dcgan_tf.run.devices import cpu_kernels, device_name
from dcgan_tf.run.open_run import open_run
from dcgan_tf.run.run_directory import RunDirectory, as_started
from dcgan_tf.serving.notebook import Run, load_run
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.starting.image_clusters import find_clusters, keep_clusters
from dcgan_tf.starting.measure import resolve_auto
from dcgan_tf.steps.make_step import make_step
from dcgan_tf.training import Evaluate, Trainer
from dcgan_tf.transfer.init_from import origin_of, start_from

FEW_IMAGES = 200
MAX_LEFT_OUT = 0.1  # of the images, in each epoch

logger = logging.getLogger(__name__)


def train(
    config: Config,
    run_dir: str | Path | None = None,
    resume: bool = True,
    *,
    images: Any = None,
    labels: Any = None,
    value_range: ValueRange | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Run:
    """Starts or resumes a run, as `dcgan train` does, on the devices that the config names.

    The results equal those of the command bit for bit, with these exceptions:

    - With `unroll_steps`, the second and later trainings in a process differ by rounding.
      TensorFlow orders the operations of that step by the names of layers, which Keras numbers
      throughout the process.
    - On a processor without AVX-512, TensorFlow doesn't use oneDNN's kernels by default. Commands
      turn them on. For the same results, set TF_ENABLE_ONEDNN_OPTS=1 before TensorFlow is imported.
      The first lines and `made_with` in config.json name the kernels of the CPU.
    - Keras draws the seeds of weights from Python's `random`. If another thread draws from it, such
      as a second training, the weights differ. Start trainings one after the other or in separate
      processes.

    Args:
        config: the settings of the run.
        run_dir: the folder of the run: new, empty, or of a run with the same settings and images.
            By default, a folder under `runs/`, named after the settings.
        resume: whether to resume a run. If not, a folder in use is refused.
        images: for `dataset=arrays`, the images, [N, H, W, C] or grayscale [N, H, W]. Or an
            iterable, such as a `tf.data.Dataset`, of images or batches, with or without labels, the
            same in the same order each time. The fraction `held_out` is kept from training.
        labels: the labels of all images, [N], integers or text, in a `conditional` run.
        value_range: the values of black and white. By default, images are uint8 in [0, 255].
        callbacks: called at each step and epoch, with the columns of metrics.csv. Their
            `self.model` is a `DCGAN`, and they may set its `stop_training`. If one raises, the run
            is saved before the exception is raised again.

    Returns:
        The run, as of its newest checkpoint.

    Raises:
        UserError: the run can't be started, or was asked to stop.
        OSError: something can't be read or written.
    """
    path = Path(run_dir or config.default_run_dir())
    passed = read_passed(config, images, labels, value_range)
    with passing(passed):
        train_run(config, path, make_strategy(config), resume, callbacks)
    return dataclasses.replace(load_run(path), _passed=passed)


def train_run(
    config: Config,
    path: Path,
    strategy: tf.distribute.Strategy,
    resume: bool = True,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> None:
    """Starts or resumes a run.

    Args:
        config: the settings of the run.
        path: the folder of the run: new, empty, or of a run with the same settings and images.
        strategy: the strategy for the run's devices.
        resume: whether to resume a run. If not, a folder in use is refused.
        callbacks: see `train`.

    Raises:
        UserError: the run can't be started, or was asked to stop.
        OSError: something can't be read or written.
    """
    run = RunDirectory(path)
    config = as_started(config, run)
    alone = strategy.num_replicas_in_sync == 1
    if config.sync_batch_norm and alone and not run.config_file.exists():
        raise UserError(
            "`sync_batch_norm` is for several replicas, but there is only one: leave it out"
        )
    with strategy.scope():
        make_step(config)  # rejects incompatible settings before images are read
        check_callbacks(callbacks)
    images = load_images(config)
    labels = given_labels = load_training_labels(config, images)
    report = load_report(config)
    with strategy.scope(), lost_worker_errors():
        check_shared(run)
        config = resolve_auto(config, run)
        check_same(config, images, labels)
        if config.clusters:
            clusters = find_clusters(config, images, run)
            labels = clusters.labels
        trainer = Trainer(config, images, labels)
        origin = "from the start"
        if config.init_from and not Checkpoints(run.checkpoints).steps():
            other = origin_of(config.init_from)
            step = start_from(other, config, images.shape[1:], trainer.classes, trainer.stacks)
            origin = f"from step 0, with the weights of {config.init_from} at step {step}"
        evaluates = trainer.is_evaluated and is_chief()
    # Outside the scope, so a classifier for it is trained as on a single device.
    evaluate = None
    if evaluates:
        evaluate = make_evaluation(config, images, given_labels, trainer.classes)
    with (
        strategy.scope(),
        lost_worker_errors(),
        open_run(path, config, images, resume, labels, report)
        if is_chief()
        else temporary_run() as output,  # only the chief keeps its files
    ):
        if config.clusters:
            keep_clusters(output, clusters)
        if start := trainer.restore(run):
            origin = f"resumed after step {start}"
        print_first_lines(trainer, path, origin, report)
        ended = start >= trainer.schedule.last_step
        if ended and not (trainer.evaluation_is_due and evaluate):
            print_nothing_left(trainer)
        if not ended or trainer.evaluation_is_due:  # all workers wait for it
            trainer.fit(output, evaluate, report_to(callbacks, trainer))
        elif is_chief():  # it may have been killed after the last save, while drawing
            steps_per_epoch = trainer.schedule.steps_per_epoch
            draw_run(output, trainer.history, steps_per_epoch, trainer.classes.names)


def report_to(
    callbacks: Sequence[keras.callbacks.Callback], trainer: Trainer
) -> Callable[..., ProgressReport]:
    """A function that creates a run's report, which calls the callbacks if there are any."""
    if not callbacks:
        return ProgressReport
    shape = trainer.images.shape[1:]
    model = DCGAN(trainer.config, shape, trainer.classes, trainer.gan)
    model.compile()
    return functools.partial(WatchedReport, callbacks, model)


def make_evaluation(
    config: Config, images: Images, labels: Labels | None, classes: Classes
) -> Evaluate | None:
    """A function that evaluates the generator in training; None, with a warning, if it can't be.

    Args:
        config, images: the settings and the training images.
        labels: the labels that came with the images, in a conditional run.
        classes: the classes that the generator learns.

    Raises:
        UserError: it can't be evaluated, but a setting requests it.
    """
    try:
        evaluator = Evaluator(config, images, metrics=IN_TRAINING, labels=labels, classes=classes)
        return evaluator.evaluation
    except UserError as error:
        if config.eval_every is not None or config.inception_weights is not None:
            raise
        logger.warning("images are not evaluated during training: %s", error)
        return None


def print_first_lines(
    trainer: Trainer, path: Path, origin: str, report: Report | None = None
) -> None:
    """Prints what will be trained, on what data and device, and for how many steps."""
    config, images = trainer.config, trainer.images
    shape = "×".join(map(str, images.shape[1:]))
    kind = "clusters" if config.clusters else "classes"
    of_classes = f" in {len(trainer.classes)} {kind}" if trainer.labels else ""
    print(f"dataset        {config.dataset}: {len(images):,} images of {shape}{of_classes}")
    for name, line in (report.lines() if report else {}).items():
        print(f"{name:<14} {line}")
    for name, line in images_lines(len(images), config.images_per_step).items():
        print(f"{name:<14} {line}")
    if are_opaque(images):
        print("alpha          no image has transparency: three channels are enough")
    for name in ("generator", "discriminator"):
        model = trainer.stacks[name]
        trainable = sum(math.prod(weights.shape) for weights in model.trainable_variables)
        print(f"{name:<14} {model.count_params():,} parameters, {trainable:,} trainable")
    print(f"training step  {trainer.describe_step()}")
    kernels = f", {cpu_kernels()}'s kernels" if device_name() == "CPU" else ""
    print(f"device         {describe_devices(device_name())}{kernels}")
    if config.device == "auto" and unused_gpu():
        logger.warning(
            "this machine has an NVIDIA GPU, but TensorFlow does not see it: "
            'pip install "dcgan-tf[gpu]", or use `device` cpu'
        )
    print(f"run directory  {path}{'' if is_chief() else ', kept by worker 0'}")
    steps = trainer.schedule.steps_per_epoch
    print(
        f"training       {origin}, to step {trainer.schedule.last_step} "
        f"({steps} step{'s' if steps > 1 else ''} per epoch)",
        flush=True,
    )
    if config.decay_steps is not None:
        end = config.decay_from + config.decay_steps
        print(f"learning rate  decays from step {config.decay_from} on, to 0 at step {end}")
        if trainer.schedule.last_step > end:
            logger.warning(
                "the learning rates are 0 after step %d, but training ends at step %d: start a run "
                "with a larger `decay_steps` or with `max_steps` %d",
                end,
                trainer.schedule.last_step,
                end,
            )


def images_lines(count: int, step_size: int) -> dict[str, str]:
    """Lines about the number of training images, by their headings.

    Args:
        count: the number of training images.
        step_size: the number of images in a step.
    """
    lines = {}
    if count < FEW_IMAGES:
        lines["few images"] = (
            "expect copies of them, or a collapse: see docs/own_pictures.md for what helps"
        )
    left_out = count % step_size
    if left_out > MAX_LEFT_OUT * count:
        fitting = next(
            size for size in range(step_size, 0, -1) if count % size <= MAX_LEFT_OUT * count
        )
        lines["batches"] = (
            f"{count - left_out} of the {count:,} images per epoch, different ones each time; with "
            f"{fitting} images per step, {count - count % fitting}"
        )
    return lines


def print_nothing_left(trainer: Trainer) -> None:
    """Prints that a run has ended, and which settings continue it."""
    config = trainer.config
    ends = {
        "`epochs`": config.epochs * trainer.schedule.steps_per_epoch,
        "`max_steps`": config.max_steps,
    }
    reached = " and ".join(name for name in ends if ends[name] == trainer.schedule.last_step)
    print(f"nothing left to do: to train longer, use a larger {reached}")
