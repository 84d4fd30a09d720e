"""Counts the modes of stacked MNIST that a GAN covers, with and without remedies.

    python -m experiments.mode_collapse [--steps 20000] [--seeds 3] [bce packed unrolled ...]

Three digits in three channels make 1,000 modes. All runs train the same models. At several numbers
of generator updates, a digit classifier names the three digits of 26,000 samples, as in Metz et
al., 2017, section 3.3.1, and Lin et al., 2018. The runs and their counts are kept under
runs/mode_collapse, so an interrupted experiment can be resumed. Prints a table and draws
mode_collapse.png.
"""

import argparse
import csv
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure

from benchmarks.timing import print_setup
from dcgan_tf.commands import program
from dcgan_tf.datasets.loading import load_images
from dcgan_tf.evaluation.classifier import classify, load_classifier
from dcgan_tf.reporting.plots import save_figure
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.sampling.sampler import load_generator, sample_images
from dcgan_tf.settings.config import Config
from experiments.processes import train

STAGES = (1_000, 2_500, 5_000, 10_000, 20_000, 50_000, 100_000)
SAMPLES = 26_000
MODES = 1000
RUNS = Path("runs/mode_collapse")
PICTURE = Path("mode_collapse.png")
COMMON = (
    "--dataset stacked_mnist --batch_size 64 --base_filters 16 --kernel_size 4 "
    "--initializer_stddev 0.02 --learning_rate 5e-4 --beta_1 0.5"
)
R1 = "--r1_gamma 1 --discriminator_batch_norm --dropout 0"
EMA = "--ema_decay 0.999"
REMEDIES = {
    "bce": "--loss bce",
    "packed": "--pack 2",
    "unrolled": "--unroll_steps 5",
    "wasserstein": "--loss wasserstein --gradient_penalty 10",
    "r1": R1,
    "r1_without_norm": "--r1_gamma 1 --dropout 0",
    "r1_ema": f"{R1} {EMA}",
    "clusters": f"{R1} {EMA} --clusters 50 --label_input projection",
    # For the default number of steps: at step 20,000, the learning rate is 0.
    "clusters_decay": f"{R1} {EMA} --clusters 200 --label_input projection --decay_from 10000 "
    "--decay_steps 10000",
    "relativistic": f"{R1} --loss relativistic --r2_gamma 1",
    "spectral_norm": "--loss hinge --spectral_norm --dropout 0",
}

Counts = dict[int, tuple[int, float]]  # modes and KL divergence by updates


def count_over(name: str, seed: int, last: int, classifier: keras.Sequential) -> Counts:
    """Starts or resumes a run, and counts modes at each stage up to the last step."""
    run, table = RunDirectory(RUNS / f"{name}_{seed}"), RUNS / f"{name}_{seed}.csv"
    counts: Counts = {}
    if table.exists():
        with table.open() as file:
            counts = {int(row[0]): (int(row[1]), float(row[2])) for row in csv.reader(file)}
    counted = max(counts, default=0)
    for steps in [stage for stage in sorted({*STAGES, last}) if counted < stage <= last]:
        # With as many epochs as steps, the steps end the run.
        ends = f"--max_steps {steps} --epochs {steps} --seed {seed}"
        train(f"{COMMON} {REMEDIES[name]} {ends}".split(), run)
        generator, config, _ = load_generator(run)
        batches = sample_images(generator, config, 0, SAMPLES, 1000, classes=run.read_classes())
        samples = np.concatenate([*batches])
        counts[steps] = covered(classifier, samples)
        with table.open("a") as file:
            csv.writer(file).writerow((steps, *counts[steps]))
    return {steps: count for steps, count in counts.items() if steps <= last}


def covered(classifier: keras.Sequential, images: np.ndarray) -> tuple[int, float]:
    """Counts the modes among images, and measures how uneven their frequencies are.

    Args:
        classifier: a classifier of single digits.
        images: uint8 [N, 28, 28, 3] in [0, 255].

    Returns:
        The number of modes, and the Kullback-Leibler divergence of their fractions from 1/1,000
        each, in nats: 0 to log 1000 = 6.9.
    """
    digits = [classify(classifier, images[..., i : i + 1]) for i in range(3)]
    _, counts = np.unique(100 * digits[0] + 10 * digits[1] + digits[2], return_counts=True)
    fractions = counts / len(images)
    return len(fractions), float((fractions * np.log(MODES * fractions)).sum())


def draw(results: dict[str, list[Counts]], real: tuple[int, float]) -> None:
    """Draws modes and KL over the updates: a curve for each seed, a color for each remedy.

    Args:
        results: the counts of each remedy, seed by seed.
        real: the modes and the KL divergence of real images.
    """
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    panels = figure.subplots(1, 2)
    for index, (name, seeds) in enumerate(results.items()):
        for seed, counts in enumerate(seeds):
            style = {"color": f"C{index}", "markersize": 4, "label": "" if seed else name}
            for axes, values in zip(panels, zip(*counts.values())):
                axes.plot(list(counts), values, "o-", **style)
    for axes, value in zip(panels, real):
        axes.axhline(value, linestyle=":", color="tab:gray", label="real images")
        axes.set(xscale="log", xlabel="updates of the generator")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.grid(alpha=0.3)
    panels[0].set(ylabel="modes covered", ylim=(0, None))
    panels[1].set(ylabel="KL divergence from uniform modes", yscale="log")
    panels[1].yaxis.set_major_formatter("{x:g}")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=6, fontsize=8)
    save_figure(PICTURE, figure, dpi=80)


def main() -> None:
    """Trains each run, counts modes, and prints a row for each remedy and stage."""
    parser = argparse.ArgumentParser()
    parser.add_argument("remedies", nargs="*", default=[*REMEDIES], metavar="|".join(REMEDIES))
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=1)
    flags = parser.parse_args()
    if unknown := {*flags.remedies} - {*REMEDIES}:
        parser.error(f"unknown remedies {', '.join(unknown)}: use some of {', '.join(REMEDIES)}")
    print_setup()
    classifier = load_classifier()
    real = covered(classifier, load_images(Config(dataset="stacked_mnist"))[:SAMPLES])
    results = {
        name: [count_over(name, seed, flags.steps, classifier) for seed in range(flags.seeds)]
        for name in flags.remedies
    }
    print(f"\n| | updates | modes of {MODES:,}, seed by seed | KL |\n|---|---|---|---|")
    print(f"| real images | | {real[0]} | {real[1]:.3f} |")
    for name, seeds in results.items():
        for steps in sorted(set.intersection(*map(set, seeds))):
            modes, divergences = zip(*(counts[steps] for counts in seeds))
            print(
                f"| `{REMEDIES[name]}` | {steps:,} | {', '.join(map(str, modes))} "
                f"| {', '.join(f'{divergence:.2f}' for divergence in divergences)} |"
            )
    draw(results, real)


if __name__ == "__main__":
    program.run(main)
