"""Starts commands as a user would, in processes of their own, and says so."""

import shlex
import subprocess
import sys
from collections.abc import Sequence
from typing import TextIO

from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.settings.errors import UserError
from experiments import ENVIRONMENT


def start(arguments: Sequence[str], log: TextIO | None = None) -> subprocess.Popen:
    """Starts Python.

    Args:
        arguments: a script, or -m and a module, and their flags.
        log: where everything that is printed goes; by default to the terminal.
    """
    print(f"\n$ python {shlex.join(arguments)}", flush=True)
    command, errors = [sys.executable, *arguments], subprocess.STDOUT if log else None
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=log, stderr=errors)


def train(flags: Sequence[str], run: RunDirectory) -> None:
    """Trains a run, or goes on with it.

    Raises:
        UserError: it fails, and has said why.
    """
    if start(["train.py", *flags, "--run_dir", str(run.path)]).wait():
        raise UserError(f"{run.path}: the training failed, as it says above")
