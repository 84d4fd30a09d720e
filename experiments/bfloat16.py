"""Compares training in float32 and in bfloat16: losses and Fréchet distance over the steps.

    python -m experiments.bfloat16 [--run "fast epochs=5"] [--seeds 3]

A run is a preset and settings that differ from it, as in `benchmarks.time_to_quality`. Draws
precision.png.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.time_to_quality import compare, draw
from dcgan_tf.commands import program
from dcgan_tf.reporting.plots import save_figure

PICTURE = Path("precision.png")
PANELS = {
    "gen_loss": "generator's loss",
    "disc_loss": "discriminator's loss",
    "distance": "Fréchet distance",
}


def main() -> None:
    """Trains with every seed in both precisions, prints the last values, and draws all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", default="fast epochs=5")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--moments", type=int, default=16)
    flags = parser.parse_args()

    runs = [f"{flags.run} precision={name}" for name in ("float32", "bfloat16")]
    curves, baseline = compare(runs, flags.seeds, flags.moments)
    for run in runs:
        ends = [curves[run, seed][-1] for seed in range(flags.seeds)]
        means = np.mean(ends, axis=0)
        print(f"{run}, means of {flags.seeds} seeds at step {means[0]:.0f}:")
        for name, mean, values in zip(ends[0]._fields[1:], means[1:], zip(*(e[1:] for e in ends))):
            print(f"  {name:<10} {mean:8.4f}  {' '.join(f'{value:.4f}' for value in values)}")

    figure = Figure(figsize=(12, 4), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(1, 3), PANELS.items()):
        draw(axes, curves, "step", name)
        axes.set(xscale="log", xlabel="step", title=title)
    axes.axhline(baseline, linestyle=":", color="tab:gray", label="real images")
    axes.set(yscale="log")
    axes.legend()
    save_figure(PICTURE, figure, dpi=80)


if __name__ == "__main__":
    program.run(main)
