"""The flags of a command that needs a generator alone: a run's, or one of the project's."""

import dataclasses
from pathlib import Path

from dcgan_tf.cli.errors import UserError
from dcgan_tf.cli.settings import Settings, one_of, setting
from dcgan_tf.pretrained.table import PRETRAINED, pretrained_run


@dataclasses.dataclass(frozen=True)
class GeneratorFlags(Settings):
    """Which generator.

    Raises:
        UserError: none is given, or two.
    """

    run_dir: str | None = setting(None, "Run", "folder of the run")
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
                "--run_dir is required: the folder of a run that train.py made; or give "
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
