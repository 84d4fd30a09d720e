"""Dataclass fields that are also flags, and check their values."""

import dataclasses
import math
import os
import typing
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from dcgan_tf.settings.errors import UserError

S = TypeVar("S", bound="Settings")
WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a string"}
MAX_INT32 = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Rule:
    """A constraint on a value: its description, computed on demand, and the check."""

    wanted: Callable[[], str]
    holds: Callable[[Any], bool]


def between(low: int, high: int) -> Rule:
    return Rule(lambda: f"a whole number from {low} to {high}", lambda value: low <= value <= high)


def at_least(low: int) -> Rule:
    return between(low, MAX_INT32)


AT_LEAST_ZERO = at_least(0)
AT_LEAST_ONE = at_least(1)
CLUSTERS = Rule(
    lambda: "0, or a whole number from 2 to 1000", lambda value: not value or 2 <= value <= 1000
)
POSITIVE = Rule(lambda: "a number above 0", lambda value: value > 0 and math.isfinite(value))
NOT_NEGATIVE = Rule(
    lambda: "a non-negative number", lambda value: value >= 0 and math.isfinite(value)
)
CHANNELS = Rule(lambda: "1, 3 or 4", lambda value: value in (1, 3, 4))
BELOW_ONE = Rule(lambda: "at least 0 and below 1", lambda value: 0 <= value < 1)
FRACTION = Rule(lambda: "a number from 0 to 1", lambda value: 0 <= value <= 1)


def one_of(names: Collection[str]) -> Rule:
    """One of a table's names, including rows that are added later."""
    return Rule(lambda: f"one of {', '.join(names)}", lambda value: value in names)


def some_of(names: Collection[str]) -> Rule:
    """Several of a table's names, separated by commas, or none."""
    return Rule(
        lambda: f"none, or some of {','.join(names)}, separated by commas",
        lambda value: value == "none" or set(value.split(",")) <= set(names),
    )


def setting(
    default: object,
    group: str,
    help: str,
    rule: Rule | None = None,
    may_change: bool = False,
    of_models: bool = False,
    old_name: str | None = None,
    old_values: dict[str, str] | None = None,
    before: object = None,
    is_path: bool = False,
    convert: Callable[[Any], Any] | None = None,
) -> Any:
    """Declares one setting: a dataclass field that is also a flag.

    Files of older runs lack settings that were added to `Config` later. These take their default,
    or `before`, the value that reproduces what was computed then.

    Args:
        default: the value if none is given; None marks a setting that may stay unset.
        group: the heading in `--help`.
        help: the line in `--help`.
        rule: the constraint on the value.
        may_change: whether a run may be resumed with a different value.
        of_models: whether the value changes what given weights compute.
        old_name: a former name, still accepted as a flag and in files of older runs.
        old_values: maps former values to current ones.
        before: the value for runs older than the setting, if it differs from the default.
        is_path: whether the value is a path, in which ~ is expanded.
        convert: maps every accepted form of the value to the one that is stored.
    """
    metadata = {
        "group": group,
        "help": help,
        "rule": rule,
        "may_change": may_change,
        "of_models": of_models,
        "old_name": old_name,
        "old_values": old_values or {},
        "before": default if before is None else before,
        "is_path": is_path,
        "convert": convert or (lambda value: value),
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base class of dataclasses of `setting`s, which checks every value.

    Raises:
        UserError: a value has the wrong type or violates its rule.
    """

    def __new__(cls: type[S], *_: Any, **given: Any) -> S:
        for field in dataclasses.fields(cls):
            if field.metadata["old_name"] in given:
                raise UserError(f"`{field.metadata['old_name']}` is now called `{field.name}`")
        return super().__new__(cls)

    @classmethod
    def from_flags(cls: type[S], given: dict[str, Any]) -> S:
        """The settings given on the command line, and defaults for the others."""
        return cls(**cls.with_new_names(given))

    @classmethod
    def with_new_names(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Replaces former names of settings and values with the current ones."""
        renamed = dict(values)
        for field in dataclasses.fields(cls):
            if field.metadata["old_name"] in renamed:
                renamed[field.name] = renamed.pop(field.metadata["old_name"])
            value = renamed.get(field.name)
            if isinstance(value, str):
                value = field.metadata["old_values"].get(value, value)
                renamed[field.name] = normalize(field, value)
        return renamed

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = normalize(field, to_builtin(getattr(self, field.name)))
            object.__setattr__(self, field.name, value)
            if value is None and field.default is None:
                continue
            kind = value_type(field)
            accepted = (int, float) if kind is float else value_types(field)
            is_kind = isinstance(value, accepted) and (type(value) is not bool or kind is bool)
            if isinstance(value, str):
                check_text(field.name, value)
            rule = field.metadata["rule"]
            if not is_kind or (rule and not rule.holds(value)):
                shown = " ".join(repr(value).split())
                raise UserError(f"`{field.name}` must be {wanted(field)}, not {shown}")


def check_text(name: str, value: str) -> None:
    """Rejects text that is empty or can't be encoded as UTF-8.

    Raises:
        UserError: the text is rejected.
    """
    if value == "":
        raise UserError(f"`{name}` is empty: set a value, or leave it out")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise UserError(
            f"`{name}` must be UTF-8 text, not {value!r}; in another locale, set PYTHONUTF8=1"
        )


def wanted(field: dataclasses.Field) -> str:
    """The description of a setting's valid values."""
    rule = field.metadata["rule"]
    return rule.wanted() if rule else WORDS[value_type(field)]


def normalize(field: dataclasses.Field, value: Any) -> Any:
    """The value of a setting as it is stored; ~ in a path is expanded."""
    is_path = field.metadata["is_path"] and isinstance(value, str)
    return os.path.expanduser(value) if is_path else field.metadata["convert"](value)


def to_builtin(value: Any) -> Any:
    """Converts paths to strings and NumPy scalars to Python's; returns other values unchanged."""
    value = os.fspath(value) if isinstance(value, os.PathLike) else value
    return value.item() if hasattr(value, "item") and not getattr(value, "ndim", 0) else value


def value_type(field: dataclasses.Field) -> type:
    """The type of a setting's flag."""
    return value_types(field)[0]


def value_types(field: dataclasses.Field) -> tuple[type, ...]:
    """The types of a setting's value, without `None`."""
    types = typing.get_args(field.type) or (field.type,)
    return tuple(each for each in types if each is not type(None))
