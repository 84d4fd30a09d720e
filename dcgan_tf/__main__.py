"""Every command: `python -m dcgan_tf COMMAND`, the same as the installed `dcgan COMMAND`."""

import importlib
import inspect
import os
import sys
from typing import NoReturn

from dcgan_tf.cli.errors import UserError
from dcgan_tf.cli.program import run

COMMANDS = ("train", "sample", "evaluate", "features", "export", "web", "tfrecords", "classifier")


def main() -> NoReturn:
    """Runs the command that the first argument names, with the other arguments as its flags."""
    called = os.path.basename(sys.argv[0])
    program = called if called == "dcgan" else "python -m dcgan_tf"
    name, arguments = (sys.argv[1:2] or ["--help"])[0], sys.argv[2:]
    sys.argv = [program, *arguments]
    if name in ("-h", "--help", "--version"):
        run(show_help if name != "--version" else show_version)
    if name not in COMMANDS:
        run(lambda: refuse(name))
    sys.argv[0] = f"{program} {name}"
    run(importlib.import_module(f"dcgan_tf.commands.{name}").main)


def show_help() -> None:
    """Lists the commands, each with the first line of its own help."""
    print(f"usage: {sys.argv[0]} COMMAND [flags]; each command has a --help\n")
    for name in COMMANDS:
        description = inspect.getdoc(importlib.import_module(f"dcgan_tf.commands.{name}"))
        print(f"  {name:<12}{(description or '').splitlines()[0]}")


def show_version() -> None:
    """Prints the version of the package."""
    from dcgan_tf import __version__

    print(__version__)


def refuse(name: str) -> NoReturn:
    """Refuses what is no command."""
    raise UserError(f"there is no command {name!r}: give one of {', '.join(COMMANDS)}")


if __name__ == "__main__":
    main()
