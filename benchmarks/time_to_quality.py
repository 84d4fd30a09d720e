"""The Fréchet distance over the minutes of training: a table, and time_to_quality.png.

    python -m benchmarks.time_to_quality [--presets tutorial fast] [--minutes 30] [--seeds 3]

Each preset trains on MNIST for so long, with each seed; only the steps' time is counted. Its images
are compared with every other one of the test digits: the ones that settings are chosen by are
those with even numbers (`--half 0`), the ones to report are those with odd numbers (`--half 1`).
"""

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.timing import print_setup
from dcgan_tf.autotune import settle
from dcgan_tf.config import PRESETS, Config
from dcgan_tf.data import load_images, make_batches
from dcgan_tf.evaluation import Evaluator
from dcgan_tf.memory import keep_freed_memory
from dcgan_tf.run_directory import RunDirectory
from dcgan_tf.training import Trainer
from dcgan_tf.writing import written_whole

NUM_IMAGES = 5000
PICTURE = Path("time_to_quality.png")


def train(
    config: Config, images: np.ndarray, evaluator: Evaluator, minutes: list[float]
) -> Iterator[tuple[float, int, float]]:
    """Trains one run; yields minutes, steps and the Fréchet distance at each of the moments."""
    trainer = Trainer(config, images)
    moments = iter(minutes)
    moment, spent = next(moments), 0.0
    last = trainer.last_step()
    for step, batch in enumerate(make_batches(images, config, 0, last), 1):
        began = time.perf_counter()
        float(trainer.train_step(batch).gen_loss)
        spent += time.perf_counter() - began
        if spent >= 60 * moment or step == last:
            generator = trainer.averaged_generator or trainer.generator
            distance = evaluator.scores(evaluator.samples(generator)).frechet_distance
            yield spent / 60, step, distance
            moment = next(moments, None)
            if moment is None:
                return


def draw(curves: dict[tuple[str, int], list[tuple[float, int, float]]], floor: float) -> None:
    """Draws the distance over the minutes, a colour for each preset."""
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    colors = dict(zip(dict.fromkeys(name for name, _ in curves), ("tab:blue", "tab:orange")))
    for (name, seed), points in curves.items():
        minutes, _, distances = zip(*points)
        label = name if seed == 0 else None
        axes.plot(minutes, distances, "o-", markersize=3, color=colors[name], label=label)
    axes.axhline(floor, linestyle=":", color="tab:gray", label="real images")
    axes.set(xscale="log", yscale="log", xlabel="minutes of training", ylabel="Fréchet distance")
    axes.set_xticks(minutes, [f"{each:.1f}" for each in minutes])
    axes.minorticks_off()
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    with written_whole(PICTURE) as file:
        figure.savefig(file, format="png", dpi=80)


def main() -> None:
    """Trains all, one after the other, and prints what each moment came to."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--presets", nargs="+", choices=PRESETS, default=["tutorial", "fast"])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--moments", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--half", type=int, choices=(0, 1), default=1)
    flags = parser.parse_args()

    keep_freed_memory()
    moments = np.geomspace(flags.minutes / 20, flags.minutes, flags.moments).tolist()
    curves = {}
    print_setup()
    for name in flags.presets:
        with tempfile.TemporaryDirectory() as folder:
            config = settle(Config.from_flags({"preset": name}), RunDirectory(Path(folder)))
        images = load_images(config)
        evaluator = Evaluator(config, images, 2 * NUM_IMAGES)
        evaluator.held_out = evaluator.held_out[flags.half :: 2]
        evaluator.num_images = NUM_IMAGES
        for seed in range(flags.seeds):
            points = curves[name, seed] = []
            seeded = dataclasses.replace(config, seed=seed)
            for minutes, step, distance in train(seeded, images, evaluator, moments):
                points.append((minutes, step, distance))
                print(
                    f"{name:<10} seed {seed}  {minutes:6.1f} min  {step:>6} steps  {distance:8.2f}",
                    flush=True,
                )
    print(f"real images: {evaluator.floor.frechet_distance:.2f}")
    draw(curves, evaluator.floor.frechet_distance)


if __name__ == "__main__":
    main()
