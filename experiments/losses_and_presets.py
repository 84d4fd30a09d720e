"""Compares losses and presets: the tables and pictures of docs/results/.

    python -m experiments.losses_and_presets digits
    python -m experiments.losses_and_presets presets
    python -m experiments.losses_and_presets faces FACES

The first trains small models on MNIST for minutes, and evaluates them after each epoch. The second
trains presets with their own settings for hours. The third trains on a folder or .zip of faces, and
shows the grids. The runs are kept under runs/results_…, so an interrupted experiment can be
resumed. Pictures go to the current folder.
"""

import argparse
import csv
import shlex
from pathlib import Path

import imageio.v3 as iio
from matplotlib.figure import Figure

from dcgan_tf.commands import program
from dcgan_tf.reporting.plots import save_figure
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.settings.choices import LOSSES
from experiments.processes import train

RUNS = Path("runs")
TUTORIAL = "--kernel_size 4 --initializer_stddev 0.02 --learning_rate 5e-4 --beta_1 0.5"
DIGITS = "--base_filters 16 --batch_size 64 --ema_decay 0.999 --epochs 3 --eval_every 1"
PRESETS = {"paper": 28, "blocks": 32, "upsample": 32}  # with the image size of their sources
FACES = "--dataset folder --preset blocks --base_filters 32 --batch_size 32 --ema_decay 0.99"


def digits() -> dict[str, str]:
    """The flags of each run on MNIST; the losses train the tutorial's models."""
    models = {name: f"--preset {name} --image_size 28 {DIGITS}" for name in PRESETS}
    return {loss: f"--loss {loss} {TUTORIAL} {DIGITS}" for loss in LOSSES} | models


def presets() -> dict[str, str]:
    """The flags of each preset's run on MNIST."""
    return {
        name: f"--preset {name} --image_size {side} --epochs 15 --eval_every 3"
        for name, side in PRESETS.items()
    }


def faces(source: str) -> dict[str, str]:
    """The flags of each run on the faces."""
    common = f"{FACES} --data_dir {shlex.quote(source)} --epochs 10"
    return {loss: f"--loss {loss} {common}" for loss in LOSSES}


def metrics_of(name: str, flags: str) -> list[dict[str, str]]:
    """Starts or resumes a run, and returns the rows of its metrics.csv."""
    run = RunDirectory(RUNS / name)
    train(shlex.split(flags), run)
    with run.metrics_file.open() as file:
        return list(csv.DictReader(file))


def draw_grids(path: Path, runs: dict[str, str]) -> None:
    """Draws the last grid of each run, side by side."""
    columns = (len(runs) + 1) // 2 if len(runs) > 5 else len(runs)
    rows = -(-len(runs) // columns)
    figure = Figure(figsize=(2.6 * columns, 2.8 * rows), layout="constrained")
    panels = figure.subplots(rows, columns).ravel()
    for axes in panels:
        axes.axis("off")
    for axes, name in zip(panels, runs):
        grid = iio.imread([*RunDirectory(RUNS / path.stem / name).frames().values()][-1])
        axes.imshow(grid, cmap="gray", vmin=0, vmax=255)
        axes.set_title(name)
    save(path, figure)


def draw_curves(path: Path, tables: dict[str, list[dict[str, str]]]) -> None:
    """Draws the Fréchet distance of each run over the minutes of training."""
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, table in tables.items():
        minutes, distances = 0.0, []
        for row in table:
            minutes += float(row["seconds"]) / 60
            distances.append((minutes, float(row["frechet_distance"])))
        axes.plot(*zip(*distances), "o-" if name in LOSSES else "s--", markersize=4, label=name)
    baseline = float(table[-1]["frechet_baseline"])
    axes.axhline(baseline, linestyle=":", color="tab:gray", label="real images")
    axes.set(yscale="log", xlabel="minutes of training", ylabel="Fréchet distance")
    axes.grid(alpha=0.3, which="both")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    save(path, figure)


def save(path: Path, figure: Figure) -> None:
    save_figure(path, figure, dpi=80)


def main() -> None:
    """Trains all runs of a kind, prints a Markdown table, and draws the pictures."""
    parser = argparse.ArgumentParser()
    kinds = parser.add_subparsers(dest="kind", required=True)
    kinds.add_parser("digits")
    kinds.add_parser("presets")
    kinds.add_parser("faces").add_argument("source", metavar="FACES")
    flags = parser.parse_args()
    kind = flags.kind
    runs = {"digits": digits, "presets": presets, "faces": lambda: faces(flags.source)}[kind]()
    tables = {name: metrics_of(f"results_{kind}/{name}", flags) for name, flags in runs.items()}
    columns = ["frechet_distance", "frechet_baseline", "precision", "recall", "classes_missed"]
    columns = [column for column in columns if all(column in rows[-1] for rows in tables.values())]
    print(f"\n| run | epochs | minutes | {' | '.join(columns)} |\n|{'---|' * (3 + len(columns))}")
    for name, table in tables.items():
        last = table[-1]
        minutes = sum(float(row["seconds"]) for row in table) / 60
        values = [f"{float(last[column]):.4g}" for column in columns]
        cells = [f"`{name}`", last["epoch"], f"{minutes:.1f}", *values]
        print(f"| {' | '.join(cells)} |")
    draw_grids(Path(f"results_{kind}.png"), runs)
    if kind == "digits":
        draw_curves(Path("results_curves.png"), tables)


if __name__ == "__main__":
    program.run(main)
