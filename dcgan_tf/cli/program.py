"""What the commands share: flags from settings, `--help`, errors in one sentence."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import inspect
import logging
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, TextIO

from absl import flags

from dcgan_tf.cli.errors import UserError
from dcgan_tf.cli.settings import Settings, value_type

DEFINE = {
    str: flags.DEFINE_string,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    bool: flags.DEFINE_boolean,
}


def parse(description: str, *classes: type[Settings], argv: Sequence[str] | None = None) -> list:
    """Reads the command line into one instance of each dataclass of settings.

    Arguments, and what is raised, are as of `parse_given`.
    """
    given = parse_given(description, *classes, argv=argv)
    return [cls.from_flags(values) for cls, values in zip(classes, given)]


def parse_given(
    description: str, *classes: type[Settings], argv: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Reads the command line: what was given of each dataclass of settings.

    Every field is a flag, and its old name, if it has one, an alias. `--help` prints the fields
    under their groups and exits.

    Args:
        description: the first paragraph of `--help`.
        classes: dataclasses made of `setting`s.
        argv: the command line, program name first; by default `sys.argv`.

    Raises:
        UserError: a flag is unknown, or its value is of another type.
    """
    argv = sys.argv if argv is None else argv
    fields = [field for cls in classes for field in dataclasses.fields(cls)]
    values = flags.FlagValues()
    flags.DEFINE_boolean("help", False, "show this", short_name="h", flag_values=values)
    for field in fields:
        DEFINE[value_type(field)](
            field.name, field.default, field.metadata["help"], flag_values=values
        )
        if field.metadata["old_name"]:
            flags.DEFINE_alias(field.metadata["old_name"], field.name, flag_values=values)
    try:
        surplus = values(argv)[1:]
    except flags.Error as error:
        raise UserError(f"{error} (--help lists the flags)".replace("\n", " ")) from None
    if values["help"].value:
        print(_help(description, program_name(), fields))
        sys.exit(0)
    if surplus:
        raise UserError(f"unexpected {surplus[0]!r}: every setting is a flag (--help lists them)")
    given = {field.name: values[field.name].value for field in fields if values[field.name].present}
    return [
        {field.name: given[field.name] for field in dataclasses.fields(cls) if field.name in given}
        for cls in classes
    ]


def _help(description: str, program: str, fields: list[dataclasses.Field]) -> str:
    def flag(field: dataclasses.Field) -> str:
        if value_type(field) is bool:
            return f"--[no]{field.name}"
        return f"--{field.name} {value_type(field).__name__.upper()}"

    width = max(len(flag(field)) for field in fields) + 4
    columns = max(60, min(100, shutil.get_terminal_size().columns))
    lines = [inspect.cleandoc(description), "", f"usage: {program} [flags]"]
    for group in dict.fromkeys(field.metadata["group"] for field in fields):
        lines += ["", group]
        for field in fields:
            if field.metadata["group"] == group:
                given = "" if field.default is None else f" (default: {field.default})"
                lines += textwrap.wrap(
                    field.metadata["help"] + given,
                    columns,
                    initial_indent=f"  {flag(field)}".ljust(width),
                    subsequent_indent=" " * width,
                )
    return "\n".join(lines)


def program_name() -> str:
    """How the running command was called: `train.py`, `dcgan sample`, `python -m dcgan_tf web`."""
    return sys.argv[0] if " " in sys.argv[0] else os.path.basename(sys.argv[0])


def run(main: Callable[[], Any]) -> NoReturn:
    """Runs a command's `main` and exits: 0 if it returns, else one sentence and non-zero."""
    program = program_name()
    out, err = (Unheard(stream) for stream in (sys.stdout, sys.stderr))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        logging.basicConfig(format="%(message)s")
        try:
            main()
            sys.exit(0)
        except UserError as error:
            message, code = str(error), error.exit_code
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            message, code = f"{where}{error.strerror or error}", 1
            if error.errno == errno.ENOSPC:
                message += "; free some space and run the same command again"
        except KeyboardInterrupt:
            message, code = "interrupted", 130
        finally:
            out.flush()
        line = "".join(letter if letter.isprintable() else " " for letter in message)
        print(f"{program}: {line}", file=sys.stderr)
        sys.exit(code)


class Unheard:
    """A stream whose reader may go away: a closed pipe or terminal ends no run.

    What is written from then on goes nowhere.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._going_on():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._going_on():
            self._stream.flush()

    @contextlib.contextmanager
    def _going_on(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())


@contextlib.contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Keeps TensorFlow's start-up messages off the terminal while it is imported.

    Some are printed before any log level is read, so standard error itself is set aside.
    Setting `TF_CPP_MIN_LOG_LEVEL` beforehand shows them all.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
