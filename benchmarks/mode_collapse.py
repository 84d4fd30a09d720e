"""Counts the modes that a GAN covers on stacked MNIST, with and without remedies: a table.

    python -m benchmarks.mode_collapse [STEPS]

Three digits in three channels make 1,000 modes. Each run below trains the same models for the same
number of generator updates; then a digit classifier names the three digits of 26,000 samples, as in
Metz et al., 2017, section 3.3.1, and Lin et al., 2018. The runs are kept under
runs/mode_collapse: an interrupted benchmark goes on where it was.
"""

import csv
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np

from benchmarks.timing import print_setup
from dcgan_tf.config import Config
from dcgan_tf.data import load_images
from dcgan_tf.evaluation.classifier import classify, load_classifier
from dcgan_tf.run_directory import RunDirectory
from dcgan_tf.sampling import load_generator, sample_images

STEPS = 1000
SAMPLES = 26_000
MODES = 1000
RUNS = Path("runs/mode_collapse")
COMMON = (
    "--dataset stacked_mnist --batch_size 64 --base_filters 16 --kernel_size 4 "
    "--initializer_stddev 0.02 --learning_rate 5e-4 --beta_1 0.5"
)
REMEDIES = {
    "bce": "--loss bce",
    "unrolled": "--unroll_steps 5",
    "wasserstein": "--loss wasserstein",
    "packed": "--pack 2",
}


def train(name: str, steps: int) -> RunDirectory:
    """Trains one of the runs, or goes on with it."""
    run = RunDirectory(RUNS / name)
    # As many epochs as steps, since the steps alone are to end the run.
    flags = f"{COMMON} {REMEDIES[name]} --max_steps {steps} --epochs {steps} --run_dir {run.path}"
    print(f"\n$ python train.py {flags}", flush=True)
    subprocess.run([sys.executable, "train.py", *flags.split()], check=True)
    return run


def covered(classifier: keras.Sequential, images: np.ndarray) -> tuple[int, float]:
    """How many of the 1,000 modes there are among some images, and how unevenly.

    Args:
        classifier: of single digits.
        images: uint8 [N, 28, 28, 3] in [0, 255].

    Returns:
        The number of modes, and the Kullback-Leibler divergence of their fractions from 1/1,000
        each, in nats: 0 to log 1000 = 6.9.
    """
    digits = [classify(classifier, images[..., i : i + 1]) for i in range(3)]
    _, counts = np.unique(100 * digits[0] + 10 * digits[1] + digits[2], return_counts=True)
    fractions = counts / len(images)
    return len(fractions), float((fractions * np.log(MODES * fractions)).sum())


def main() -> None:
    """Trains each run, counts, and prints the table and what helped."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else STEPS
    print_setup()
    classifier = load_classifier()
    real = load_images(Config(dataset="stacked_mnist"))[:SAMPLES]
    rows = [("real images", *covered(classifier, real), "")]
    for name, flags in REMEDIES.items():
        run = train(name, steps)
        generator, config, _ = load_generator(run)
        samples = np.concatenate(list(sample_images(generator, config, 0, SAMPLES, 1000)))
        with run.metrics_file.open() as file:
            seconds = sum(float(row["seconds"]) for row in csv.DictReader(file))
        rows.append((flags, *covered(classifier, samples), f"{seconds:.0f}"))

    print(f"\nafter {steps} updates of the generator, {SAMPLES:,} samples each")
    print(f"{'':<20} {'modes':>10} {'KL':>6} {'seconds':>8}")
    for flags, modes, divergence, seconds in rows:
        print(f"{flags:<20} {modes:>5}/{MODES} {divergence:>6.3f} {seconds:>8}")
    _, (_, plain, _, _), *remedies = rows
    helped = [f"{flags} (+{modes - plain})" for flags, modes, _, _ in remedies if modes > plain]
    print(f"covers more modes than plain bce: {', '.join(helped) or 'none of them'}")


if __name__ == "__main__":
    main()
