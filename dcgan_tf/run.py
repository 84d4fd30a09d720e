"""Training a run, and what can be done with one in Python."""

from __future__ import annotations

import math
from pathlib import Path

from dcgan_tf.config import Config
from dcgan_tf.data import load_images
from dcgan_tf.distributed.cluster import (
    check_same,
    describe_devices,
    is_chief,
    lost_workers_named,
    open_aside,
)
from dcgan_tf.fast.measure import resolve_auto
from dcgan_tf.run_directory import RunDirectory, device_name, open_run
from dcgan_tf.training import Trainer, fit


def train_run(config: Config, path: Path, resume: bool = True) -> None:
    """Starts or resumes a run, on the devices of the strategy in whose scope it is called.

    Args:
        config: the settings of the run.
        path: its folder; new, empty, or of a run with the same settings and images.
        resume: whether to go on with a run; if not, a folder in use is refused.

    Raises:
        UserError: the run can't be started, or was asked to stop.
        OSError: something can't be read or written.
    """
    images = load_images(config)
    config = resolve_auto(config, RunDirectory(path))
    trainer = Trainer(config, images)
    evaluate = None
    if trainer.is_evaluated:
        # Here, since scikit-learn takes a while to import.
        from dcgan_tf.evaluation.evaluator import TRAINING_NUM_IMAGES, Evaluator

        evaluate = Evaluator(config, images, TRAINING_NUM_IMAGES).evaluation
    check_same(config, images)
    opened = open_run(path, config, images, resume) if is_chief() else open_aside()
    with lost_workers_named(), opened as run_directory:
        start = trainer.restore(RunDirectory(path))
        shape = "×".join(map(str, images.shape[1:]))
        print(f"dataset        {config.dataset}: {len(images):,} images of {shape}")
        for model in (trainer.gan.generator, trainer.gan.discriminator):
            trainable = sum(math.prod(weights.shape) for weights in model.trainable_variables)
            print(f"{model.name:<14} {model.count_params():,} parameters, {trainable:,} trainable")
        print(f"training step  {trainer.describe_step()}")
        print(f"device         {describe_devices(device_name())}")
        print(f"run directory  {path}{'' if is_chief() else ', kept by worker 0'}")
        print(
            f"training       {f'resumed after step {start}' if start else 'from the start'}, "
            f"to step {trainer.last_step} ({trainer.steps_per_epoch} steps an epoch)",
            flush=True,
        )
        if start >= trainer.last_step:
            print("nothing left to do: more --epochs or --max_steps go on with this run")
        else:
            fit(trainer, run_directory, evaluate)
