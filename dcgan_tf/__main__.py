"""Every command: `python -m dcgan_tf COMMAND`, the same as the installed `dcgan COMMAND`."""

import importlib
import inspect
import sys
from pathlib import Path
from typing import NoReturn

import dcgan_tf
from dcgan_tf.commands.program import run
from dcgan_tf.settings.errors import UserError

COMMANDS = ("train", "sample", "evaluate", "features", "export", "web", "tfrecords")


def main() -> NoReturn:
    """Runs the command that the first argument names, with the other arguments as its flags."""
    program = "dcgan" if Path(sys.argv[0]).stem == "dcgan" else "python -m dcgan_tf"
    name, *arguments = sys.argv[1:] or ["--help"]
    sys.argv = [program, *arguments]
    if name in COMMANDS:
        sys.argv[0] += f" {name}"
        run(importlib.import_module(f"dcgan_tf.commands.{name}").main)
    run(lambda: print_help_or_version(name))


def print_help_or_version(argument: str) -> None:
    """Prints the help or the version.

    Raises:
        UserError: the command is unknown.
    """
    if argument in ("-h", "--help"):
        print(f"usage: {sys.argv[0]} COMMAND [flags]\n")
        for name in COMMANDS:
            description = inspect.getdoc(importlib.import_module(f"dcgan_tf.commands.{name}")) or ""
            first_line = description.partition("\n")[0]
            print(f"  {name:<12}{first_line}")
        print(f"\n{sys.argv[0]} COMMAND --help lists the flags of a command.")
    elif argument == "--version":
        print(dcgan_tf.__version__)
    else:
        raise UserError(f"unknown command {argument!r}: use one of {', '.join(COMMANDS)}")


if __name__ == "__main__":
    main()
