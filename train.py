"""Trains a DCGAN, by default the TensorFlow tutorial's, and goes on with a run that was stopped.

Everything goes into the run directory: config, checkpoints, sample grids, training.gif,
losses.png, metrics.csv and TensorBoard's events. The same command continues a run.
"""

import dataclasses
import math
from pathlib import Path

from dcgan_tf.commandline import parse, quiet_tensorflow, run
from dcgan_tf.config import Config
from dcgan_tf.memory import keep_freed_memory
from dcgan_tf.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class RunFlags(Settings):
    """Where the run is kept, which is no part of what it is."""

    run_dir: str | None = setting(
        None, "Run", "folder of the run (default: named by its settings, under runs/)"
    )
    resume: bool = setting(True, "Run", "go on with the run in the folder, if there is one")


def main() -> None:
    """Reads the flags, then starts or resumes the run that they describe."""
    config, flags = parse(__doc__, Config, RunFlags)
    keep_freed_memory()
    with quiet_tensorflow():
        from dcgan_tf.cluster import make_strategy

        strategy = make_strategy(config)
    with strategy.scope():
        train(config, Path(flags.run_dir or config.default_run_dir()), flags.resume)


def train(config: Config, path: Path, resume: bool) -> None:
    """Starts or resumes a run, on the devices of the strategy in whose scope it is called."""
    from dcgan_tf.autotune import settle
    from dcgan_tf.cluster import (
        check_same,
        describe_devices,
        is_chief,
        lost_workers_named,
        open_aside,
    )
    from dcgan_tf.data import load_images
    from dcgan_tf.loop import fit
    from dcgan_tf.run_directory import RunDirectory, device_name, open_run
    from dcgan_tf.training import Trainer

    images = load_images(config)
    config = settle(config, RunDirectory(path))
    trainer = Trainer(config, images)
    evaluator = None
    if trainer.is_judged():
        from dcgan_tf import evaluation  # and scikit-learn, which takes a while to import

        evaluator = evaluation.Evaluator(config, images, evaluation.TRAINING_NUM_IMAGES)
    check_same(config, images)
    opened = open_run(path, config, images, resume) if is_chief() else open_aside()
    with lost_workers_named(), opened as run_directory:
        start = trainer.restore(RunDirectory(path))
        shape = "×".join(map(str, images.shape[1:]))
        last = trainer.last_step()
        print(f"dataset        {config.dataset}: {len(images):,} images of {shape}")
        for model in (trainer.generator, trainer.discriminator):
            trainable = sum(math.prod(weights.shape) for weights in model.trainable_variables)
            print(f"{model.name:<14} {model.count_params():,} parameters, {trainable:,} trainable")
        print(f"device         {describe_devices(device_name())}")
        print(f"run directory  {path}{'' if is_chief() else ', kept by worker 0'}")
        print(
            f"training       {f'resumed after step {start}' if start else 'from the start'}, "
            f"to step {last} ({trainer.steps_per_epoch} steps an epoch)",
            flush=True,
        )
        if start >= last:
            print("nothing left to do: more --epochs or --max_steps go on with this run")
        else:
            fit(trainer, run_directory, evaluator)


if __name__ == "__main__":
    run(main)
