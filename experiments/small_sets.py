"""Trains on a few images for some minutes, and compares with PyTorch's DCGAN example.

    python -m experiments.small_sets IMAGES [--minutes 30] [--images 500,1000,4000] [--seeds 1]

IMAGES is a folder or .zip. A tenth of it is held out. Each number of `--images` is the size of a
folder whose other nine tenths are trained on, one after the other, each in its own process, by

    small       this project's `--preset small`
    pytorch     PyTorch's example as it is (64 filters, batches of 64), where PyTorch is installed
    pytorch_32  the same with 32 filters and batches of 32

The minutes include startup and everything between the steps. Then 2,000 images of each are compared
with the held-out images. Generated images and grids are kept under runs/small_sets, so an
interrupted experiment can be resumed.
"""

import argparse
import importlib.util
import itertools
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import imageio.v3 as iio
import numpy as np
import tensorflow as tf

from benchmarks.timing import print_setup
from dcgan_tf.commands import program
from dcgan_tf.datasets.disk_images import Split, fingerprint
from dcgan_tf.datasets.loading import load_split
from dcgan_tf.evaluation.evaluator import evenly_spaced
from dcgan_tf.evaluation.feature_extractors import pixels_and_edges
from dcgan_tf.evaluation.metrics import frechet_distance
from dcgan_tf.reporting.images import image_grid, save_png
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.sampling.sampler import load_generator, sample_images
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from experiments.processes import start

NUM_IMAGES = 2000
SIZE = 64
SPLITS: tuple[Split, ...] = ("train", "test")
RUNS = Path("runs/small_sets")


class Job(NamedTuple):
    """A training to run.

    Attributes:
        images: the training images, uint8 [N, 64, 64, 3].
        seed: the seed of the run.
        minutes: the wall-clock minutes of training.
        path: the folder for the run and the images.
    """

    images: np.ndarray
    seed: int
    minutes: float
    path: Path


def train_here(job: Job) -> tuple[np.ndarray, int]:
    """Trains with this project; returns NUM_IMAGES generated images, uint8, and the step."""
    pictures, run = job.path / "pictures", RunDirectory(job.path / "run")
    shutil.rmtree(job.path, ignore_errors=True)
    pictures.mkdir(parents=True)
    for index, image in enumerate(job.images):
        iio.imwrite(pictures / f"{index:06d}.png", image)
    source = f"--dataset folder --data_dir {pictures} --held_out 0"
    flags = f"--preset small {source} --epochs 1000000 --seed {job.seed} --run_dir {run.path}"
    process = start(["train.py", *flags.split()])
    try:
        process.wait(60 * job.minutes)
        raise UserError(f"train.py ended too early, with code {process.returncode}")
    except subprocess.TimeoutExpired:
        process.terminate()  # it saves, and ends
        process.wait()
    generator, config, step = load_generator(run)
    drawn = sample_images(generator, config, job.seed, NUM_IMAGES, 250)
    return np.concatenate([*drawn]), step


def train_torch(job: Job, flags: str = "") -> tuple[np.ndarray, int]:
    """Trains PyTorch's example, with the arguments and results of `train_here`."""
    job.path.mkdir(exist_ok=True)
    source, output = job.path / "pictures.npy", job.path / "made.npz"
    np.save(source, job.images)
    ends = f"--minutes {job.minutes} --seed {job.seed}"
    # In `benchmarks`: modules of `experiments` import TensorFlow, and with it PyTorch breaks.
    words = ["-m", "benchmarks.torch_example", str(source), str(output)]
    if start([*words, *flags.split(), *ends.split()]).wait():
        raise UserError("PyTorch's example failed, see the error above")
    with np.load(output) as made:
        return made["images"], int(made["step"])


TRAININGS: dict[str, Callable[[Job], tuple[np.ndarray, int]]] = {
    "small": train_here,
    "pytorch": train_torch,
    "pytorch_32": lambda job: train_torch(job, "--base_filters 32 --batch_size 32"),
}


def results(name: str, job: Job) -> dict[str, Any]:
    """The generated images of a job, from its file if it finished before.

    Returns:
        `images`, uint8 [NUM_IMAGES, 64, 64, 3]; `step`; and `minutes` of processor time.
    """
    file = job.path.with_suffix(".npz")
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        before = os.times()
        images, step = TRAININGS[name](job)
        after = os.times()
        seconds = sum(after[2:4]) - sum(before[2:4])
        save_png(job.path.with_suffix(".png"), image_grid(images[:36]))
        np.savez(file, images=images, step=step, minutes=seconds / 60)
    with np.load(file) as made:
        return dict(made)


def compare(real: np.ndarray, images: np.ndarray) -> tuple[float, float, float]:
    """Compares generated images with real ones.

    Args:
        real: held-out images, uint8 [N, H, W, 3].
        images: generated images, uint8 [M, H, W, 3].

    Returns:
        The spread: the mean standard deviation of a pixel over the images, divided by that over the
        real ones. The Fréchet distance of the images averaged to 8×8 pixels in [0, 1]. The Fréchet
        distance of pixels and edges.
    """
    deviations = [each.astype(np.float32).std(axis=0).mean() for each in (images, real)]
    extract = pixels_and_edges(Config())
    return (
        float(deviations[0] / deviations[1]),
        frechet_distance(coarse(real), coarse(images)),
        frechet_distance(extract(real).features, extract(images).features),
    )


def coarse(images: np.ndarray) -> np.ndarray:
    """Images averaged to 8×8 pixels: float [N, 192] in [0, 1]."""
    return tf.image.resize(images, (8, 8), "area").numpy().reshape(len(images), -1) / 255


def load(source: str, split: Split) -> np.ndarray:
    """A split of the images, uint8 [N, 64, 64, 3]."""
    images = load_split(Config(dataset="folder", data_dir=source, image_size=SIZE), split)[:]
    return np.broadcast_to(images, (*images.shape[:3], 3))


def main() -> None:
    """Runs all jobs, and prints a row for each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("source", metavar="IMAGES")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument(
        "--images", type=lambda text: [*map(int, text.split(","))], help="by default all of them"
    )
    parser.add_argument("--seeds", type=int, default=1)
    flags = parser.parse_args()
    print_setup()
    training, held_out = (load(flags.source, split) for split in SPLITS)
    total = len(training) + len(held_out)
    has_torch = importlib.util.find_spec("torch") is not None
    names = [*TRAININGS] if has_torch else ["small"]
    rows = [("", "real images", "", "", *compare(held_out, evenly_spaced(training, NUM_IMAGES)))]
    for count in flags.images or [total]:
        images = evenly_spaced(training, round(len(training) * min(count, total) / total))
        what = f"{len(images)}_{fingerprint(images)[:8]}_{60 * flags.minutes:.0f}s"
        for seed, name in itertools.product(range(flags.seeds), names):
            path = RUNS / f"{what}_{name}_{seed}"
            made = results(name, Job(images, seed, flags.minutes, path))
            cells = (f"{len(images):,}", name, f"{made['step']:,}", f"{made['minutes']:.1f}")
            rows.append((*cells, *compare(held_out, made["images"])))
    print(
        f"\n{flags.minutes:g} minutes each, compared with {len(held_out):,} held-out images\n\n"
        "| trained on | | steps | minutes of processor time | spread | 8×8 pixels | pixels and "
        "edges |\n|---|---|---|---|---|---|---|"
    )
    for *found, spread, pixels, edges in rows:
        print(f"| {' | '.join(found)} | {spread:.2f} | {pixels:.2f} | {edges:.2f} |")


if __name__ == "__main__":
    program.run(main)
