"""The flags by which a command is given a run, one of its checkpoints, or a generator alone."""

import dataclasses
from pathlib import Path

from dcgan_tf.pretrained.generators import PRETRAINED, pretrained_run
from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.fields import Settings, one_of, setting


@dataclasses.dataclass(frozen=True)
class RunFlags(Settings):
    """Flags of a command that starts from a run directory.

    Raises:
        UserError: none is given.
    """

    run_dir: str | None = setting(None, "Run", "folder of the run (required)", is_path=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.run_dir is None:
            raise UserError("--run_dir is required: the folder of a run that dcgan train made")


@dataclasses.dataclass(frozen=True)
class CheckpointFlags(Settings):
    """Flags of a command that starts from one checkpoint of a run."""

    checkpoint: str | None = setting(
        None, "Run", "step of the checkpoint, or best (default: the newest)"
    )


@dataclasses.dataclass(frozen=True)
class GeneratorFlags(Settings):
    """Which generator.

    Raises:
        UserError: none is given, or two.
    """

    run_dir: str | None = setting(None, "Run", "folder of the run", is_path=True)
    pretrained: str | None = setting(
        None,
        "Run",
        f"in place of a run, a generator that comes with the project: {', '.join(PRETRAINED)}",
        one_of(PRETRAINED),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.run_dir is None and self.pretrained is None:
            raise UserError(
                "--run_dir is required: the folder of a run that dcgan train made; or give "
                f"--pretrained, one of {', '.join(PRETRAINED)}"
            )
        if self.run_dir is not None and self.pretrained is not None:
            raise UserError("--run_dir and --pretrained each name a generator: give one")

    @property
    def run_path(self) -> Path:
        """The run directory that the generator is in.

        Raises:
            UserError: it comes with the project, and is damaged.
        """
        if self.pretrained is not None:
            return pretrained_run(self.pretrained)
        return Path(str(self.run_dir))

    @property
    def output_folder(self) -> Path:
        """Where what is made of the generator goes: its run's folder, or else the current one."""
        return Path(self.run_dir or ".")
