"""Every setting of a run, in one frozen dataclass that flags, files and code share."""

import dataclasses
import math
import typing
from collections.abc import Callable
from typing import Any

from dcgan_tf.errors import UserError

DATASETS = ("mnist", "fashion_mnist")


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a value must be: a test, and the words for it in an error."""

    wanted: str
    holds: Callable[[Any], bool]


AT_LEAST_ONE = Rule("a whole number from 1 up", lambda value: value >= 1)
POSITIVE = Rule("a number above 0", lambda value: value > 0 and math.isfinite(value))
BELOW_ONE = Rule("a number from 0 up to, but not including, 1", lambda value: 0 <= value < 1)
SEED = Rule("a whole number from 0 to 2147483647", lambda value: 0 <= value < 2**31)


def one_of(names: tuple[str, ...]) -> Rule:
    return Rule(f"one of {', '.join(names)}", lambda value: value in names)


def setting(
    default: object, group: str, help: str, rule: Rule | None = None, fixed: bool = False
) -> Any:
    """Declares one setting: a dataclass field that is also a flag.

    Args:
        default: the value where none is given; None marks a setting that may stay unset.
        group: the heading in `--help`.
        help: the line in `--help`.
        rule: what the value must be.
        fixed: whether a run must keep the value from its first step to its last.
    """
    return dataclasses.field(
        default=default, metadata={"group": group, "help": help, "rule": rule, "fixed": fixed}
    )


class Settings:
    """Base of dataclasses made of `setting`s: checks every value when it is made.

    Raises:
        UserError: a value has the wrong type or breaks its rule.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is None and field.default is None:
                continue
            kind = value_type(field)
            accepted = (int, float) if kind is float else kind
            rule = field.metadata["rule"]
            if not isinstance(value, accepted) or (rule and not rule.holds(value)):
                wanted = rule.wanted if rule else f"a {kind.__name__}"
                raise UserError(f"--{field.name} must be {wanted}, not {value!r}")


def value_type(field: dataclasses.Field) -> type:
    """The type of a setting's value, without the `None` of one that may stay unset."""
    return (*typing.get_args(field.type), field.type)[0]


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """The settings of one run; the defaults are those of the TensorFlow DCGAN tutorial.

    Raises:
        UserError: a value is not one that the setting can have.
    """

    dataset: str = setting(
        "mnist", "Data", f"images to learn: {' or '.join(DATASETS)}", one_of(DATASETS), fixed=True
    )
    data_dir: str | None = setting(
        None, "Data", "folder with your own copy: IDX files (plain or .gz) or a Keras .npz"
    )
    batch_size: int = setting(256, "Training", "images a step", AT_LEAST_ONE, fixed=True)
    epochs: int = setting(50, "Training", "passes over the images, in total", AT_LEAST_ONE)
    max_steps: int | None = setting(
        None, "Training", "stop after this many steps, wherever that is", AT_LEAST_ONE
    )
    learning_rate: float = setting(
        1e-4, "Training", "Adam's learning rate, of both models", POSITIVE, fixed=True
    )
    beta_1: float = setting(
        0.9, "Training", "Adam's decay of the mean gradient", BELOW_ONE, fixed=True
    )
    noise_dim: int = setting(
        100, "Training", "length of the noise vector z", AT_LEAST_ONE, fixed=True
    )
    seed: int = setting(
        0, "Training", "fixes the weights, noise, data order and dropout", SEED, fixed=True
    )
    checkpoint_steps: int | None = setting(
        None, "Run", "also save every so many steps", AT_LEAST_ONE
    )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Config":
        """The config that `dataclasses.asdict` turned into `values`.

        Raises:
            UserError: a setting is missing, unknown or has an impossible value.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if values.keys() != names:
            odd = ", ".join(sorted(values.keys() ^ names))
            raise UserError(f"missing or unknown settings: {odd}")
        return cls(**values)

    def differences(self, other: "Config") -> list[str]:
        """Names the settings, among those a run must keep, in which `other` differs."""
        return [
            f"--{field.name} was {getattr(self, field.name)}, is {getattr(other, field.name)}"
            for field in dataclasses.fields(self)
            if field.metadata["fixed"] and getattr(self, field.name) != getattr(other, field.name)
        ]

    def default_run_dir(self) -> str:
        """A readable folder under `runs/` that the same settings always lead back to."""
        changed = [
            f"{field.name}={getattr(self, field.name)}"
            for field in dataclasses.fields(self)
            if field.metadata["fixed"]
            and field.name != "dataset"
            and getattr(self, field.name) != field.default
        ]
        return "/".join(["runs", "-".join([self.dataset, *changed])])
