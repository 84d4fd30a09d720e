"""Seconds from the command to the end of the first steps, and peak memory, beside the tutorial's.

    python -m benchmarks.start [--steps 12] [--rounds 5]

Runs `python train.py` and the tutorial's script in alternation, each for one step and for a few.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks.timing import print_setup, spread


def measure(command: list[str]) -> tuple[float, float]:
    """Seconds and peak resident MiB of a command."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, command
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def main() -> None:
    """Runs both, and prints the medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    flags = parser.parse_args()

    print_setup()
    for steps in (1, flags.steps):
        figures = []
        for _ in range(flags.rounds):
            with tempfile.TemporaryDirectory() as folder:
                ours = ["train.py", "--max_steps", str(steps), "--run_dir", folder]
                theirs = ["-m", "benchmarks.tutorial", str(steps)]
                figures.append([measure([sys.executable, *each]) for each in (theirs, ours)])
        (their_seconds, their_memory), (seconds, memory) = np.transpose(figures, (1, 2, 0))
        print(f"{steps} steps, median of {flags.rounds} (quartiles)")
        print(f"  the tutorial's script   {spread(their_seconds)} s, {spread(their_memory)} MiB")
        print(f"  train.py                {spread(seconds)} s, {spread(memory)} MiB")
        print(
            f"  ratio                   {spread(seconds / their_seconds)}  "
            f"{spread(memory / their_memory)}"
        )


if __name__ == "__main__":
    main()
