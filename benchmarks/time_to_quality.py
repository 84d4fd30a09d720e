"""Measures the Fréchet distance over training time: prints a table, draws time_to_quality.png.

    python -m benchmarks.time_to_quality [--runs tutorial fast digits] [--seeds 3]
    python -m benchmarks.time_to_quality --runs fast "fast learning_rate=1e-3 epochs=3" --half 0

A run is a preset, followed by changed settings. The runs train on MNIST with each seed, in turn;
only the time of their steps is counted. Images are compared with half of the test digits: use the
even indices (`--half 0`) to choose settings, and the odd ones (`--half 1`) to report results.
"""

import argparse
import dataclasses
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from benchmarks.timing import print_setup
from dcgan_tf.commands import program
from dcgan_tf.commands.memory import keep_freed_memory
from dcgan_tf.datasets.disk_images import Images
from dcgan_tf.datasets.loading import load_held_out, load_images
from dcgan_tf.evaluation.evaluator import Evaluator
from dcgan_tf.reporting.plots import save_figure
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.starting.image_clusters import find_clusters
from dcgan_tf.starting.measure import TRIALS, resolve_auto
from dcgan_tf.training import Trainer

NUM_IMAGES = 5000
FIRST_FRACTION = 0.02  # of the steps, at the first measurement
PICTURE = Path("time_to_quality.png")
COMMON_SETTINGS = ("dataset", "data_dir", "image_size", "channels", "conditional", "init_from")


class Measurement(NamedTuple):
    """The state of a training; losses are means since the last measurement."""

    step: int
    minutes: float
    gen_loss: float
    disc_loss: float
    distance: float


def main() -> None:
    """Trains all runs, prints the measurements, and plots them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", nargs="+", default=["tutorial", "fast", "digits"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--moments", type=int, default=16)
    parser.add_argument("--half", type=int, choices=(0, 1), default=1)
    flags = parser.parse_args()
    curves, baseline = compare(flags.runs, flags.seeds, flags.moments, flags.half)
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    draw(axes, curves, "minutes", "distance")
    axes.axhline(baseline, linestyle=":", color="tab:gray", label="real images")
    axes.set(xscale="log", yscale="log", xlabel="minutes of training", ylabel="Fréchet distance")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.legend()
    save_figure(PICTURE, figure, dpi=80)


def compare(
    runs: list[str], seeds: int, measurements: int, half: int = 1
) -> tuple[dict[tuple[str, int], list[Measurement]], float]:
    """Trains runs with several seeds, and prints the measurements.

    Returns:
        The measurements of each run and seed; and the distance of the same number of real images.
    """
    keep_freed_memory()
    print_setup()
    with tempfile.TemporaryDirectory() as folder:
        settled = resolve_auto(Config(), RunDirectory(Path(folder)))
    configs = [read_run(run, settled) for run in runs]
    for run, config in zip(runs, configs):
        for name in COMMON_SETTINGS:
            if getattr(config, name) != getattr(settled, name):
                raise UserError(f"--runs {run!r}: {name} must be the same in all runs")
    images = load_images(settled)
    held_out = load_held_out(settled)[half::2]
    names = ["frechet_distance"]
    evaluator = Evaluator(settled, images, NUM_IMAGES, names, held_out=held_out)
    curves: dict[tuple[str, int], list[Measurement]] = {}
    for seed in range(seeds):
        for run, config in zip(runs, configs):
            seeded = dataclasses.replace(config, seed=config.seed + seed)
            curves[run, seed] = []
            for point in train(seeded, images, evaluator, measurements):
                curves[run, seed].append(point)
                print(
                    f"{run}, seed {seed}: step {point.step:>6}, {point.minutes:6.2f} min, "
                    f"gen_loss {point.gen_loss:.4f}, disc_loss {point.disc_loss:.4f}, "
                    f"Fréchet distance {point.distance:.2f}",
                    flush=True,
                )
    baseline = float(evaluator.baseline["frechet_distance"])
    print(f"real images: {baseline:.2f}")
    return curves, baseline


def read_run(text: str, settled: Config) -> Config:
    """Parses the settings of a run: "fast epochs=3" is the preset `fast` with one change.

    Settings that depend on the device are the same for all runs.

    Raises:
        UserError: a setting or value is invalid.
    """
    preset, *changes = text.split()
    given: dict[str, Any] = {"preset": preset} | {name: getattr(settled, name) for name in TRIALS}
    for change in changes:
        name, _, value = change.partition("=")
        if Config.unknown({name: value}):
            raise UserError(f"--runs {text!r}: unknown setting {name!r}")
        try:
            given[name] = json.loads(value)
        except ValueError:
            given[name] = value
    return Config.from_flags(given)


def train(
    config: Config, images: Images, evaluator: Evaluator, measurements: int
) -> Iterator[Measurement]:
    """Trains a run, and yields measurements at logarithmically spaced steps."""
    labels = find_clusters(config, images).labels if config.clusters else None
    trainer = Trainer(config, images, labels)
    evaluator.classes = trainer.classes
    batches = trainer.make_iterator()
    last = trainer.schedule.last_step
    spaced = np.geomspace(FIRST_FRACTION * last, last, measurements)
    steps = set(spaced.round().astype(int).tolist())
    seconds, losses = 0.0, []
    for step, batch in enumerate(batches, 1):
        began = time.perf_counter()
        output = trainer.train_step(batch)
        losses.append((float(output.scalars.gen_loss), float(output.scalars.disc_loss)))
        seconds += time.perf_counter() - began
        if step in steps:
            scores = evaluator.scores(evaluator.samples(trainer.gan.sampling_generator))
            gen_loss, disc_loss = np.mean(losses, axis=0).tolist()
            distance = float(scores["frechet_distance"])
            yield Measurement(step, seconds / 60, gen_loss, disc_loss, distance)
            losses = []


def draw(axes: Any, curves: dict[tuple[str, int], list[Measurement]], x: str, y: str) -> None:
    """Plots one attribute of the measurements over another, with one color per run."""
    names = list(dict.fromkeys(run for run, _ in curves))
    for (run, seed), points in curves.items():
        axes.plot(
            [getattr(point, x) for point in points],
            [getattr(point, y) for point in points],
            "o-",
            markersize=3,
            color=f"C{names.index(run)}",
            label=None if seed else run,
        )
    axes.grid(alpha=0.3, which="both")


if __name__ == "__main__":
    program.run(main)
