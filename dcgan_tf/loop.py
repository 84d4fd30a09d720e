"""The loop around the training step: it reports, judges, saves, and stops when it is asked to."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING

import tensorflow as tf

from dcgan_tf.checkpoints import Checkpoints, check_finite
from dcgan_tf.cluster import agree, lost_workers_named, wait_for_all
from dcgan_tf.config import Config
from dcgan_tf.data import make_batches
from dcgan_tf.errors import Diverged, Interrupted
from dcgan_tf.interrupts import StopSignals
from dcgan_tf.replicas import distribute
from dcgan_tf.reporting import Report
from dcgan_tf.run_directory import RunDirectory
from dcgan_tf.training import GRID_IMAGES, Trainer

if TYPE_CHECKING:
    from dcgan_tf.evaluation import Evaluator

SAVE_SECONDS = 600


def fit(trainer: Trainer, run: RunDirectory, evaluator: Evaluator | None = None) -> None:
    """Trains from the trainer's current step to its last.

    Args:
        trainer: takes the steps.
        run: where everything goes.
        evaluator: judges the images after some epochs, if they are to be judged.

    Raises:
        Interrupted: a signal asked to stop, and everything is saved.
        Diverged: a loss or a weight is no longer a number.
        OSError: something can't be written.
        UserError: another worker is lost.
    """
    checkpoints = Checkpoints(run.checkpoints, trainer.state)
    report = Report(
        run, trainer.config, trainer.history, trainer.steps_per_epoch, trainer.last_step()
    )
    try:
        with StopSignals() as stop, report, lost_workers_named():
            if int(trainer.step.numpy()) == 0:
                report.begin(trainer.images[:GRID_IMAGES], trainer.sample_grid())
            else:
                report.resume()
            run_steps(trainer, checkpoints, report, evaluator, stop)
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
    evaluator: Evaluator | None,
    stop: StopSignals,
) -> None:
    """Takes the steps up to the last, or until a signal; reports and saves on the way."""
    config = trainer.config
    step = int(trainer.step.numpy())
    last = trainer.last_step()
    saved_at = time.monotonic()
    evaluate_if_due(trainer, step, evaluator)
    gpus = tf.config.list_logical_devices("GPU")
    device = gpus[0].name if gpus else None
    make = functools.partial(make_batches, trainer.images, config, step, last)
    batches = distribute(make) if trainer.replicas > 1 else iter(make(device))
    while step < last:
        count = steps_at_once(config, step, trainer.steps_per_epoch, last)
        if count == 1:
            report.add(trainer.train_step(next(batches)))
        else:
            report.add(trainer.train_steps(batches, tf.constant(count)))
        step += count

        stopped, save_is_due = agree(stop.received, is_save_due(config, step, saved_at))
        epoch_ends = step % trainer.steps_per_epoch == 0
        run_ends = step == last or stopped is not None
        if epoch_ends or run_ends or save_is_due:
            with report.pause():
                check_finite(trainer.trained, step)
                if epoch_ends:
                    if stopped is None:
                        evaluate_if_due(trainer, step, evaluator)
                    models = [trainer.generator, trainer.discriminator]
                    report.end_epoch(trainer.sample_grid(), models)
                elif run_ends:
                    report.end_steps()
                checkpoints.save(step, trainer.history.by_quality())
                saved_at = time.monotonic()
        if run_ends:
            wait_for_all()
        if stopped is not None:
            raise Interrupted(
                stopped, f"saved at step {step} of {last}; go on with the same command"
            )


def evaluate_if_due(trainer: Trainer, step: int, evaluator: Evaluator | None) -> None:
    """Judges the images after an epoch whose turn it is, unless that was done already."""
    if evaluator is None or step == 0 or trainer.history.evaluation_of(step):
        return
    if step % (trainer.steps_per_epoch * trainer.config.epochs_to_evaluation) == 0:
        made = evaluator.evaluation(step, trainer.averaged_generator or trainer.generator)
        trainer.history.evaluations.append(made)


def steps_at_once(config: Config, step: int, steps_per_epoch: int, last: int) -> int:
    """How many steps the next call takes: up to the next at which something is to be done."""
    intervals = (steps_per_epoch, config.checkpoint_steps or last)
    pause = min(last, *(step - step % interval + interval for interval in intervals))
    return min(config.steps_per_call, pause - step)


def is_save_due(config: Config, step: int, saved_at: float) -> bool:
    """Whether to save within an epoch: every `checkpoint_steps`, and every 10 minutes."""
    every = config.checkpoint_steps
    return bool(every and step % every == 0) or time.monotonic() - saved_at > SAVE_SECONDS
