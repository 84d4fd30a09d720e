"""The Fréchet distance over the minutes of training: a table, and time_to_quality.png.

    python -m benchmarks.time_to_quality [--runs tutorial fast digits] [--seeds 3]
    python -m benchmarks.time_to_quality --runs fast "fast learning_rate=1e-3 epochs=3" --half 0

A run is a preset, followed by what is to be different. Each trains on MNIST with each seed, in
turn; only the steps' time is counted. Its images are compared with every other one of the test
digits: the ones that settings are chosen by are those with even numbers (`--half 0`), the ones to
report are those with odd numbers (`--half 1`).
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
FIRST_MOMENT = 0.02
PICTURE = Path("time_to_quality.png")
ALIKE = ("dataset", "data_dir", "image_size", "channels", "conditional", "init_from")


class Moment(NamedTuple):
    """What a training has come to: the losses are means since the moment before."""

    step: int
    minutes: float
    gen_loss: float
    disc_loss: float
    distance: float


def main() -> None:
    """Trains all, prints what each moment came to, and draws it."""
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
    runs: list[str], seeds: int, moments: int, half: int = 1
) -> tuple[dict[tuple[str, int], list[Moment]], float]:
    """Trains runs with each of some seeds, and prints what each moment came to.

    Returns:
        The moments of each run and seed; and the distance of as many real images.
    """
    keep_freed_memory()
    print_setup()
    with tempfile.TemporaryDirectory() as folder:
        settled = resolve_auto(Config(), RunDirectory(Path(folder)))
    configs = [read_run(run, settled) for run in runs]
    for run, config in zip(runs, configs):
        for name in ALIKE:
            if getattr(config, name) != getattr(settled, name):
                raise UserError(f"--runs {run!r}: {name} is the same in all runs that are compared")
    images = load_images(settled)
    held_out = load_held_out(settled)[half::2]
    names = ["frechet_distance"]
    evaluator = Evaluator(settled, images, NUM_IMAGES, names, held_out=held_out)
    curves: dict[tuple[str, int], list[Moment]] = {}
    for seed in range(seeds):
        for run, config in zip(runs, configs):
            seeded = dataclasses.replace(config, seed=config.seed + seed)
            curves[run, seed] = []
            for moment in train(seeded, images, evaluator, moments):
                curves[run, seed].append(moment)
                print(
                    f"{run}, seed {seed}: step {moment.step:>6}, {moment.minutes:6.2f} min, "
                    f"gen_loss {moment.gen_loss:.4f}, disc_loss {moment.disc_loss:.4f}, "
                    f"Fréchet distance {moment.distance:.2f}",
                    flush=True,
                )
    baseline = float(evaluator.baseline["frechet_distance"])
    print(f"real images: {baseline:.2f}")
    return curves, baseline


def read_run(text: str, settled: Config) -> Config:
    """The settings of a run: "fast epochs=3" is the preset `fast` with one change.

    What is left to the device is as it was settled for all runs.

    Raises:
        UserError: there are no such settings.
    """
    preset, *changes = text.split()
    given: dict[str, Any] = {"preset": preset} | {name: getattr(settled, name) for name in TRIALS}
    for change in changes:
        name, _, value = change.partition("=")
        if Config.unknown({name: value}):
            raise UserError(f"--runs {text!r}: there is no setting {name!r}")
        try:
            given[name] = json.loads(value)
        except ValueError:
            given[name] = value
    return Config.from_flags(given)


def train(config: Config, images: Images, evaluator: Evaluator, number: int) -> Iterator[Moment]:
    """Trains one run; its moments are evenly spaced on a logarithmic scale."""
    labels = find_clusters(config, images).labels if config.clusters else None
    trainer = Trainer(config, images, labels)
    evaluator.classes = trainer.classes
    batches = trainer.make_iterator()
    last = trainer.schedule.last_step
    moments = set(np.geomspace(FIRST_MOMENT * last, last, number).round().astype(int).tolist())
    seconds, losses = 0.0, []
    for step, batch in enumerate(batches, 1):
        began = time.perf_counter()
        output = trainer.train_step(batch)
        losses.append((float(output.scalars.gen_loss), float(output.scalars.disc_loss)))
        seconds += time.perf_counter() - began
        if step in moments:
            scores = evaluator.scores(evaluator.samples(trainer.gan.sampling_generator))
            gen_loss, disc_loss = np.mean(losses, axis=0).tolist()
            distance = float(scores["frechet_distance"])
            yield Moment(step, seconds / 60, gen_loss, disc_loss, distance)
            losses = []


def draw(axes: Any, curves: dict[tuple[str, int], list[Moment]], x: str, y: str) -> None:
    """Draws one attribute of the moments over another, a colour for each run."""
    names = list(dict.fromkeys(run for run, _ in curves))
    for (run, seed), moments in curves.items():
        axes.plot(
            [getattr(moment, x) for moment in moments],
            [getattr(moment, y) for moment in moments],
            "o-",
            markersize=3,
            color=f"C{names.index(run)}",
            label=None if seed else run,
        )
    axes.grid(alpha=0.3, which="both")


if __name__ == "__main__":
    program.run(main)
