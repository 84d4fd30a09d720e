"""Runs commands in separate processes, and prints their command lines."""

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
        log: the file for all output; by default, output goes to the terminal.
    """
    print(f"\n$ python {shlex.join(arguments)}", flush=True)
    command, errors = [sys.executable, *arguments], subprocess.STDOUT if log else None
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=log, stderr=errors)


def train(flags: Sequence[str], run: RunDirectory) -> None:
    """Starts or resumes a run.

    Raises:
        UserError: training fails; its own error is already printed.
    """
    if start(["train.py", *flags, "--run_dir", str(run.path)]).wait():
        raise UserError(f"{run.path}: training failed, see the error above")
