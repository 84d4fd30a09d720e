"""The command line: flags from settings, and `--help`."""

from __future__ import annotations

import dataclasses
import inspect
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags

from dcgan_tf.commands.program import as_flags, program_name
from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.fields import Settings, value_type, wanted

DEFINE: dict[type, Callable[..., Any]] = {
    str: flags.DEFINE_string,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    bool: flags.DEFINE_boolean,
}


def parse(
    description: str | None, *classes: type[Settings], argv: Sequence[str] | None = None
) -> list[Any]:
    """Parses the command line into one instance of each dataclass of settings.

    The arguments and errors are those of `parse_given`.
    """
    given = parse_given(description, *classes, argv=argv)
    return [cls.from_flags(values) for cls, values in zip(classes, given)]


def parse_given(
    description: str | None, *classes: type[Settings], argv: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Parses the command line into the values given for each dataclass of settings.

    Every field is a flag, and its old name, if any, is an alias. `--help` prints the fields by
    group and exits.

    Args:
        description: the first paragraph of `--help`; None under `python -OO`.
        classes: dataclasses of `setting`s.
        argv: the command line, starting with the program name; `sys.argv` by default.

    Raises:
        UserError: a flag is unknown, or its value has the wrong type.
    """
    argv = sys.argv if argv is None else argv
    fields = [field for cls in classes for field in dataclasses.fields(cls)]
    values = flags.FlagValues()
    flags.DEFINE_boolean("help", False, "show this help", short_name="h", flag_values=values)
    for field in fields:
        DEFINE[value_type(field)](
            field.name, field.default, field.metadata["help"], flag_values=values
        )
        if field.metadata["old_name"]:
            flags.DEFINE_alias(field.metadata["old_name"], field.name, flag_values=values)
    try:
        surplus = values(argv)[1:]
    except flags.IllegalFlagValueError as error:
        raise UserError(_invalid_value(error, fields)) from None
    except flags.Error as error:
        raise UserError(f"{error} (--help lists the flags)".replace("\n", " ")) from None
    if values["help"].value:
        print(_help(description, program_name(), fields))
        sys.exit(0)
    if surplus:
        raise UserError(
            f"unexpected argument {surplus[0]!r}: pass settings as flags (--help lists them), and "
            f"put a value with spaces in quotes"
        )
    given = {field.name: values[field.name].value for field in fields if values[field.name].present}
    return [
        {field.name: given[field.name] for field in dataclasses.fields(cls) if field.name in given}
        for cls in classes
    ]


def _invalid_value(error: flags.Error, fields: list[dataclasses.Field]) -> str:
    """The error message for an invalid value, with the setting's own rule."""
    given = str(error).removesuffix(f": {error.__context__}").removeprefix("flag ")
    name, _, value = given.partition("=")
    for field in fields:
        if name.removeprefix("--") in (field.name, field.metadata["old_name"]):
            return f"{name} must be {wanted(field)}, not {value!r}"
    return f"{error} (--help lists the flags)".replace("\n", " ")


def _help(description: str | None, program: str, fields: list[dataclasses.Field]) -> str:
    def flag(field: dataclasses.Field) -> str:
        if value_type(field) is bool:
            return f"--[no]{field.name}"
        return f"--{field.name} {value_type(field).__name__.upper()}"

    width = max(len(flag(field)) for field in fields) + 4
    columns = max(60, min(100, shutil.get_terminal_size().columns))
    lines = [inspect.cleandoc(description or ""), "", f"usage: {program} [flags]"]
    for group in dict.fromkeys(field.metadata["group"] for field in fields):
        lines += ["", group]
        for field in fields:
            if field.metadata["group"] == group:
                given = "" if field.default is None else f" (default: {field.default})"
                lines += textwrap.wrap(
                    as_flags(field.metadata["help"]) + given,
                    columns,
                    initial_indent=f"  {flag(field)}".ljust(width),
                    subsequent_indent=" " * width,
                )
    return "\n".join(lines)
