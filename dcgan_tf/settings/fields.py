"""Dataclass fields that are flags too, and check their values."""

import dataclasses
import math
import os
import typing
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from dcgan_tf.settings.errors import UserError

S = TypeVar("S", bound="Settings")
WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a str"}
LARGEST = 2**31 - 1  # what TensorFlow's int32 holds


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a value must be: the words for it, made as an error asks for them, and a test."""

    wanted: Callable[[], str]
    holds: Callable[[Any], bool]


def between(least: int, most: int) -> Rule:
    return Rule(
        lambda: f"a whole number from {least} to {most}", lambda value: least <= value <= most
    )


def at_least(least: int) -> Rule:
    return between(least, LARGEST)


AT_LEAST_ZERO = at_least(0)
AT_LEAST_ONE = at_least(1)
POSITIVE = Rule(lambda: "a number above 0", lambda value: value > 0 and math.isfinite(value))
NOT_NEGATIVE = Rule(lambda: "a number from 0 up", lambda value: value >= 0 and math.isfinite(value))
CHANNELS = Rule(lambda: "1, 3 or 4", lambda value: value in (1, 3, 4))
BELOW_ONE = Rule(
    lambda: "a number from 0 up to, but not including, 1", lambda value: 0 <= value < 1
)
FRACTION = Rule(lambda: "a number from 0 to 1", lambda value: 0 <= value <= 1)


def one_of(names: Collection[str]) -> Rule:
    """One of a table's names, those of rows that are added later included."""
    return Rule(lambda: f"one of {', '.join(names)}", lambda value: value in names)


def some_of(names: Collection[str]) -> Rule:
    """Some of a table's names, as `one_of`."""
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
    one_form: Callable[[Any], Any] | None = None,
) -> Any:
    """Declares one setting: a dataclass field that is also a flag.

    Files of older runs lack a setting that is added to `Config`. They are read as if they had its
    default, or `before`: the value with which is computed what was computed then.

    Args:
        default: the value where none is given; None marks a setting that may stay unset.
        group: the heading in `--help`.
        help: the line in `--help`.
        rule: what the value must be.
        may_change: whether a run may go on with another value than it began with.
        of_models: whether given weights compute something else with another value.
        old_name: what it was called before, still taken as a flag and in files of older runs.
        old_values: the same for values that have another name now.
        before: the value of runs that were started before there was the setting, where it is not
            the default.
        is_path: whether the value names a file or folder, in which ~ is the user's home.
        one_form: from a value in any form that is taken to the one that is kept.
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
        "one_form": one_form or (lambda value: value),
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base of dataclasses made of `setting`s: checks every value when it is made.

    Raises:
        UserError: a value has the wrong type or breaks its rule.
    """

    def __new__(cls: type[S], *_: Any, **given: Any) -> S:
        for field in dataclasses.fields(cls):
            if field.metadata["old_name"] in given:
                raise UserError(f"`{field.metadata['old_name']}` is now called `{field.name}`")
        return super().__new__(cls)

    @classmethod
    def from_flags(cls: type[S], given: dict[str, Any]) -> S:
        """The settings as given on the command line, the others at their defaults."""
        return cls(**cls.with_new_names(given))

    @classmethod
    def with_new_names(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Settings by their names of today, where they or their values have old ones."""
        renamed = dict(values)
        for field in dataclasses.fields(cls):
            if field.metadata["old_name"] in renamed:
                renamed[field.name] = renamed.pop(field.metadata["old_name"])
            value = renamed.get(field.name)
            if isinstance(value, str):
                value = field.metadata["old_values"].get(value, value)
                renamed[field.name] = expand(field, value)
        return renamed

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = expand(field, plain(getattr(self, field.name)))
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
    """Refuses text that is empty, or that no file could hold.

    Raises:
        UserError: it is such text.
    """
    if value == "":
        raise UserError(f"`{name}` is empty: give a value, or leave it out")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise UserError(
            f"`{name}` must be UTF-8 text, not {value!r}; in another locale, set PYTHONUTF8=1"
        )


def wanted(field: dataclasses.Field) -> str:
    """What a setting's value must be, in words."""
    rule = field.metadata["rule"]
    return rule.wanted() if rule else WORDS[value_type(field)]


def expand(field: dataclasses.Field, value: Any) -> Any:
    """The value of a setting in its one form, with the user's home for a ~ in a path."""
    is_path = field.metadata["is_path"] and isinstance(value, str)
    return os.path.expanduser(value) if is_path else field.metadata["one_form"](value)


def plain(value: Any) -> Any:
    """A path as text, a NumPy number as Python's; any other value as it is."""
    value = os.fspath(value) if isinstance(value, os.PathLike) else value
    return value.item() if hasattr(value, "item") and not getattr(value, "ndim", 0) else value


def value_type(field: dataclasses.Field) -> type:
    """The type of a setting's value as a flag."""
    return value_types(field)[0]


def value_types(field: dataclasses.Field) -> tuple[type, ...]:
    """The types of a setting's value, without the `None` of one that may stay unset."""
    types = typing.get_args(field.type) or (field.type,)
    return tuple(each for each in types if each is not type(None))
