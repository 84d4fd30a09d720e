"""Benchmarks a GPU in about ten minutes, unattended, and writes a table, gpu.md.

    python -m benchmarks.gpu [--preset paper] [--rounds 5] [--output gpu.md]
    python -m benchmarks.gpu --small    # narrow models and few steps, as a smoke test

Times a training step of this project with each setting for fast devices, of the tutorial, of
PyTorch, and on all GPUs; then the training loop's overhead, and the Fréchet distance over the
minutes of `--preset fast`. Each step runs in its own process, alternating with the default
settings. A failed measurement is reported in the table, and the others continue. Without a GPU,
everything runs on the CPU, with two replicas.
"""

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.peers import alternate, command
from benchmarks.time_to_quality import compare
from benchmarks.timing import setup, spread
from benchmarks.train_step import PRODUCTS
from dcgan_tf.commands import program
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import first_line
from dcgan_tf.starting.measure import TRIALS, resolve_auto

with program.quiet_tensorflow():
    import tensorflow as tf

SMALL = {"batch_size": 8, "base_filters": 4}
MEASUREMENTS = 8
VARIED: dict[str, list[dict[str, Any]]] = {
    "precision": [{"precision": name} for name in ("float32", "bfloat16", "float16")],
    "XLA": [{"jit_compile": True, "precision": name} for name in ("float32", "bfloat16")],
    "steps per call": [
        {"steps_per_execution": 10},
        {"steps_per_execution": 50},
        {"steps_per_execution": 50, "jit_compile": True},
    ],
    "convolutions": [{"convolutions": name} for name in ("native", "subpixel")],
}
TORCH = [
    {"precision": precision, "channels_last": True, "compiled": compiled}
    for compiled in (False, True)
    for precision in ("float32", "bfloat16")
]


class Row(NamedTuple):
    """A process to time: its command line, and the images in one of its steps."""

    command: list[str]
    images: int


def groups(settings: dict[str, Any], num_gpus: int) -> dict[str, dict[str, Row]]:
    """The processes to time, by group and name."""
    images = Config.from_flags(settings).batch_size

    def varied(changes: dict[str, Any]) -> tuple[str, Row]:
        flags = " ".join(f"--{name} {value}" for name, value in changes.items())
        return flags, Row(command("dcgan_tf", settings | changes), images)

    found = {title: dict(map(varied, rows)) for title, rows in VARIED.items()}
    others = {"the tutorial's step, float32": Row(command("tutorial", settings), images)}
    if importlib.util.find_spec("torch"):
        for way in TORCH:
            compiled = ", compiled" if way["compiled"] else ""
            name = f"PyTorch, {way['precision']}, channels last{compiled}"
            others[name] = Row(command("torch", settings, **way), images)
    found["others"] = others
    if num_gpus != 1:
        replicas = num_gpus or 2
        changes = {"strategy": "mirrored", "batch_size": replicas * images}
        row = Row(command("dcgan_tf", settings | changes), replicas * images)
        found["replicas"] = {f"{replicas} replicas, each with a batch": row}
    return found


def measured(title: str, rows: dict[str, Row], rounds: int) -> Iterator[str]:
    """The table lines of a group; speeds are relative to its first row."""
    seconds, failures = alternate({name: row.command for name, row in rows.items()}, rounds)
    first = next(iter(rows))
    for name, row in rows.items():
        if name in failures:
            yield f"| {title} | {name} | not measured: {failures[name]} | | |"
            continue
        rate = row.images / seconds[name]
        speed = spread(rate * seconds[first] / rows[first].images) if first in seconds else ""
        milliseconds = 1000 * float(np.median(seconds[name]))
        yield f"| {title} | {name} | {milliseconds:.2f} | {np.median(rate):.0f} | {speed} |"


def overhead(settings: dict[str, Any]) -> str:
    """The overhead of the training loop, from `benchmarks.train_loop`."""
    names = ("preset", "batch_size", "base_filters")
    flags = [f"--{name}={settings[name]}" for name in names if name in settings]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.train_loop", *flags], capture_output=True, text=True
    )
    last = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()[-1]
    return last.split()[-1] if done.returncode == 0 else f"not measured: {last}"


def quality(run: str) -> Iterator[str]:
    """The Fréchet distance over the minutes of a run."""
    try:
        curves, baseline = compare([run], 1, MEASUREMENTS)
    except Exception as error:  # so that the rest of the table is written
        yield f"not measured: {first_line(error)}"
        return
    yield "| minutes of steps | step | Fréchet distance |\n|---|---|---|"
    for point in curves[run, 0]:
        yield f"| {point.minutes:.2f} | {point.step} | {point.distance:.2f} |"
    yield f"| | real images | {baseline:.2f} |"


def report(flags: argparse.Namespace) -> Iterator[str]:
    """Yields the lines of the table as they are measured."""
    given = {"preset": flags.preset} | (SMALL if flags.small else {})
    with tempfile.TemporaryDirectory() as folder:
        config = resolve_auto(Config.from_flags(given), RunDirectory(Path(folder)))
    settings = given | {name: getattr(config, name) for name in TRIALS} | {"strategy": "one"}
    default = {"default": Row(command("dcgan_tf", settings), config.batch_size)}
    yield f"{setup()}\n"
    yield (
        f"`--preset {config.preset}`, batch {config.batch_size}; the default is "
        f"`--precision {config.precision} --convolutions {config.convolutions}`. Median of "
        f"{flags.rounds} (quartiles).\n"
    )
    yield "| | | milliseconds per step | images per second | relative to the default |"
    yield "|---|---|---|---|---|"
    for title, rows in groups(settings, len(tf.config.list_physical_devices("GPU"))).items():
        yield from measured(title, default | rows, flags.rounds)
    yield f"\nOverhead of the training loop over the bare step: {overhead(given)}.\n"
    run = " ".join(["fast", *(f"{name}={value}" for name, value in SMALL.items()), "max_steps=20"])
    yield from quality(run if flags.small else "fast")


def main() -> None:
    """Runs all measurements, and writes the table line by line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--preset", choices=PRODUCTS, default="tutorial")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("gpu.md"))
    parser.add_argument("--small", action="store_true")
    flags = parser.parse_args()
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    with flags.output.open("w") as file:
        for line in report(flags):
            print(line, flush=True)
            print(line, file=file, flush=True)


if __name__ == "__main__":
    program.run(main)
