"""Trains runs that go wrong, and their remedies: the pictures of docs/training.md.

    python -m experiments.training_guide [--faces FACES] [NAME ...]

FACES is a folder or .zip of face images, for cases that need them. Runs and their output are kept
under runs/training_guide, so an interrupted experiment can be resumed. Their warnings are printed.
The picture of each case, NAME.png, goes to the current folder.
"""

import argparse
import shlex
from pathlib import Path

import imageio.v3 as iio
from matplotlib.figure import Figure

from dcgan_tf.commands import program
from dcgan_tf.reporting.plots import save_figure
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.settings.errors import UserError
from experiments.processes import start

RUNS = Path("runs/training_guide")
DIGITS = "--preset fast --base_filters 16 --epochs 3"
FACES = "--preset paper --dataset folder --base_filters 32 --batch_size 32 --epochs 15 --data_dir"
SLOW = "--base_filters 16 --initializer_stddev 0.02 --learning_rate 5e-4 --beta_1 0.5 --epochs 2"
STRONG = "--discriminator_learning_rate 5e-3 --generator_learning_rate 5e-5 --dropout 0"

# The flags of a run that goes wrong, and of the same run with a remedy.
CASES = {
    "healthy": [DIGITS],
    "discriminator_wins": [
        f"{DIGITS} {STRONG}",
        f"{DIGITS} {STRONG} --label_smoothing 0.1",
    ],
    "collapse": [f"{FACES} {{faces}}", f"{FACES} {{faces}} --augment color,translation"],
    "vanishing_gradients": [f"{DIGITS} {STRONG} --loss minimax", f"{DIGITS} {STRONG} --loss bce"],
    "divergence": [f"{DIGITS} --learning_rate 0.05", DIGITS],
    "lagging_averages": [
        f"{SLOW} --batch_norm_momentum 0.999",
        f"{SLOW} --batch_norm_momentum 0.9",
    ],
}


def train(path: Path, flags: str) -> RunDirectory:
    """Starts or resumes a run, keeps its output, and prints its warnings.

    Raises:
        UserError: the run did not finish its first epoch.
    """
    command = ["train.py", *shlex.split(flags), "--run_dir", str(path)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".txt").open("a+") as log:
        # A run that diverges ends with an error, which is expected.
        start(command, log).wait()
        log.seek(0)
        print(*(line for line in log if "usually helps" in line or "train.py:" in line), sep="")
    run = RunDirectory(path)
    if not run.frames():
        raise UserError(f"nothing was trained in {path}: see {log.name} for the reason")
    return run


def draw(path: Path, runs: dict[str, RunDirectory]) -> None:
    """Writes a row for each run: its last grid, and its losses and probabilities."""
    figure = Figure(figsize=(11, 4.6 * len(runs)), layout="constrained")
    for part, (title, run) in zip(
        figure.subfigures(len(runs), 1, squeeze=False)[:, 0], runs.items()
    ):
        part.suptitle(title, fontsize=10)
        panels = part.subplots(1, 2, width_ratios=[2, 3])
        for axes, picture in zip(panels, ([*run.frames().values()][-1], run.losses_plot)):
            axes.axis("off")
            if picture.exists():
                axes.imshow(iio.imread(picture), cmap="gray", vmin=0, vmax=255)
    save_figure(path, figure, dpi=80)


def main() -> None:
    """Trains the runs of each case and draws them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=[*CASES], metavar="|".join(CASES))
    parser.add_argument("--faces", default="faces64.zip")
    flags = parser.parse_args()
    if unknown := {*flags.names} - {*CASES}:
        parser.error(f"unknown cases {', '.join(unknown)}: use some of {', '.join(CASES)}")
    for name in flags.names:
        variants = [variant.format(faces=shlex.quote(flags.faces)) for variant in CASES[name]]
        runs = [train(RUNS / f"{name}_{i}", each) for i, each in enumerate(variants)]
        titles = [variant.format(faces=Path(flags.faces).name) for variant in CASES[name]]
        draw(Path(f"{name}.png"), dict(zip(titles, runs)))


if __name__ == "__main__":
    program.run(main)
