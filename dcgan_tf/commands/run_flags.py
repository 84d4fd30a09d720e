"""Flags that select a run, a checkpoint, or a pretrained generator."""

import dataclasses
from pathlib import Path

from dcgan_tf.pretrained.generators import PRETRAINED, pretrained_run
from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.fields import Settings, one_of, setting


@dataclasses.dataclass(frozen=True)
class RunFlags(Settings):
    """Flags of a command that needs a run directory.

    Raises:
        UserError: `run_dir` is missing.
    """

    run_dir: str | None = setting(None, "Run", "folder of the run (required)", is_path=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.run_dir is None:
            raise UserError("--run_dir is required: the folder of a run made by dcgan train")


@dataclasses.dataclass(frozen=True)
class CheckpointFlags(Settings):
    """Flags of a command that loads one checkpoint of a run."""

    checkpoint: str | None = setting(
        None, "Run", "step of the checkpoint, or best (default: the newest)"
    )


@dataclasses.dataclass(frozen=True)
class GeneratorFlags(Settings):
    """Flags of a command that needs a generator.

    Raises:
        UserError: `run_dir` and `pretrained` are both missing, or both given.
    """

    run_dir: str | None = setting(None, "Run", "folder of the run", is_path=True)
    pretrained: str | None = setting(
        None,
        "Run",
        f"a pretrained generator, instead of a run: {', '.join(PRETRAINED)}",
        one_of(PRETRAINED),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.run_dir is None and self.pretrained is None:
            raise UserError(
                "--run_dir is required: the folder of a run made by dcgan train; or use "
                f"--pretrained, one of {', '.join(PRETRAINED)}"
            )
        if self.run_dir is not None and self.pretrained is not None:
            raise UserError("--run_dir and --pretrained each name a generator: use only one")

    @property
    def run_path(self) -> Path:
        """The run directory of the generator.

        Raises:
            UserError: the pretrained generator is damaged.
        """
        if self.pretrained is not None:
            return pretrained_run(self.pretrained)
        return Path(str(self.run_dir))

    @property
    def output_folder(self) -> Path:
        """The folder for the command's output: the run's, or the current one."""
        return Path(self.run_dir or ".")
