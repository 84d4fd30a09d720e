"""Trains a DCGAN, by default the TensorFlow tutorial's, or resumes a run that was stopped.

Everything goes into the run directory: config, checkpoints, sample grids, training.gif,
losses.png, metrics.csv and TensorBoard's events. Give the same flags again, or only --run_dir, to
resume.
"""

import dataclasses
from pathlib import Path

from dcgan_tf.commands.flags import parse_given
from dcgan_tf.commands.memory import keep_freed_memory
from dcgan_tf.commands.program import quiet_tensorflow
from dcgan_tf.settings.config import RULES, Config
from dcgan_tf.settings.fields import Settings, setting


@dataclasses.dataclass(frozen=True)
class TrainFlags(Settings):
    """Flags that are not settings of the run."""

    run_dir: str | None = setting(
        None, "Run", "folder of the run (default: named by its settings, under runs/)", is_path=True
    )
    resume: bool = setting(True, "Run", "resume the run in the folder, if any")
    augment_preview: str | None = setting(
        None,
        "Run",
        "only draw some augmented images (--augment) to this .png, without training",
        is_path=True,
    )


def main() -> None:
    """Reads the flags, then starts or resumes the run."""
    given, given_flags = parse_given(__doc__, Config, TrainFlags)
    flags = TrainFlags.from_flags(given_flags)
    resumes = flags.run_dir and flags.resume and Path(flags.run_dir, "config.json").exists()
    if not resumes:
        config = Config.from_flags(given)
    run_dir = Path(flags.run_dir or config.default_run_dir())
    keep_freed_memory()
    with quiet_tensorflow():
        from dcgan_tf.distributed.strategy import make_strategy
        from dcgan_tf.reporting.augmentation_preview import write_augmentation_preview
        from dcgan_tf.run.run_directory import RunDirectory
        from dcgan_tf.starting.start import train_run

        run_directory = RunDirectory(run_dir)
        if resumes:
            config = run_directory.resumed_config(given)
        elif flags.resume and run_directory.config_file.exists():
            run_directory.resumed_config({name: given[name] for name in {*given} & {*RULES}})
        if not flags.augment_preview:
            strategy = make_strategy(config)
    if flags.augment_preview:
        write_augmentation_preview(config, Path(flags.augment_preview))
        print(f"images, and augmented versions below: {flags.augment_preview}")
        return
    train_run(config, run_directory.path, strategy, flags.resume)
