"""Measures start-up time and memory, compared with the tutorial's script.

    python -m benchmarks.start [--steps 12] [--rounds 5] [--cold]

Alternates between `python train.py` and the tutorial's script. The first progress of `train.py` is
measured on a terminal. The tutorial's script prints nothing before the end of its first epoch, so
the end of its first step is used instead. With `--cold`, Python, its packages and the project are
dropped from the page cache before each start, unless other processes use them.
"""

import argparse
import fcntl
import os
import pty
import shlex
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

import numpy as np

from benchmarks.timing import forget, print_setup, spread
from dcgan_tf.commands import program
from dcgan_tf.settings.errors import UserError

PROGRESS = b"epoch 1/"


def run_to_end(command: list[str]) -> tuple[float, float]:
    """Seconds and peak resident MiB of a command.

    Raises:
        UserError: the command fails.
    """
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise UserError(f"{shlex.join(['python', *command[1:]])} failed: run it alone to see why")
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def run_to_progress(command: list[str]) -> tuple[float, float]:
    """Seconds until a command shows progress on a terminal, and peak resident MiB until then."""
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=end)
    os.close(end)
    shown = b""
    while PROGRESS not in shown:
        shown += os.read(terminal, 1024)
    seconds = time.perf_counter() - began
    process.send_signal(signal.SIGKILL)
    _, _, usage = os.wait4(process.pid, 0)
    os.close(terminal)
    return seconds, usage.ru_maxrss / 1024


def forget_python() -> None:
    """Drops what both commands read at start-up from the page cache."""
    for folder in {sys.prefix, sys.base_prefix, os.getcwd()}:
        for path in Path(folder).rglob("*"):
            if path.is_file() and not path.is_symlink():
                forget(path)


def main() -> None:
    """Runs both, and prints the medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cold", action="store_true")
    flags = parser.parse_args()

    print_setup()
    measures = {
        "the first progress": (1, run_to_progress),
        "the end of step 1": (1, run_to_end),
        f"the end of step {flags.steps}": (flags.steps, run_to_end),
    }
    for name, (steps, measure) in measures.items():
        figures = []
        for _ in range(flags.rounds):
            with tempfile.TemporaryDirectory() as folder:
                ours = ["train.py", "--run_dir", folder]
                ours += ["--max_steps", str(steps)] if measure is run_to_end else []
                tutorial = ["-m", "benchmarks.tutorial", str(steps)]
                row = []
                for command, how in ((tutorial, run_to_end), (ours, measure)):
                    if flags.cold:
                        forget_python()
                    row.append(how([sys.executable, *command]))
                figures.append(row)
        (tutorial_seconds, tutorial_memory), (seconds, memory) = np.transpose(figures, (1, 2, 0))
        print(f"to {name}, median of {flags.rounds} (quartiles)")
        print(
            f"  the tutorial's script   {spread(tutorial_seconds)} s, {spread(tutorial_memory)} MiB"
        )
        print(f"  train.py                {spread(seconds)} s, {spread(memory)} MiB")
        print(
            f"  ratio                   {spread(seconds / tutorial_seconds)}  "
            f"{spread(memory / tutorial_memory)}"
        )


if __name__ == "__main__":
    program.run(main)
