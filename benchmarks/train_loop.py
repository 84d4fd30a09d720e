"""Measures what the training loop costs over the bare step: data, logging, pictures, checkpoints.

    python -m benchmarks.train_loop [--epochs 8]
    python -m benchmarks.train_loop --preset paper --dataset tfrecords --data_dir DIR [--cold]

A real run, on shuffled data and with all its output, in which every step is followed by the same
step called bare, on one fixed batch. What the loop costs is what passes between its steps, in which
it waits for the next batch, and what its step takes longer than the bare one. Its epochs are short,
so that their ends (grid, GIF, plot, histograms, checkpoint) can be timed several times; one end is
counted per 234 steps, as in an epoch of MNIST.

With `--cold`, the system's cache forgets the image files before each step, so that every batch is
read from the disk.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.timing import forget, print_setup, spread
from dcgan_tf.commands import program
from dcgan_tf.commands.memory import keep_freed_memory
from dcgan_tf.data import Batch, scale
from dcgan_tf.datasets.disk_images import DiskImages
from dcgan_tf.datasets.loading import load_images
from dcgan_tf.run.run_directory import RunDirectory, open_run
from dcgan_tf.run.schedule import Schedule
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.starting.measure import resolve_auto
from dcgan_tf.train_step import StepOutput
from dcgan_tf.training import Trainer

with program.quiet_tensorflow():
    import tensorflow as tf

STEPS_AN_EPOCH = 5
MNIST_STEPS_AN_EPOCH = 234


class Stopwatch:
    """Stands in for a trainer's step, and times it, a bare one, and what passes in between.

    Args:
        trainer: whose step it is.
        forgotten: files that the system's cache is to forget before each step.

    Attributes:
        loop, bare, between: seconds, one of each for every step.
    """

    def __init__(self, trainer: Trainer, forgotten: Sequence[Path] = ()) -> None:
        self.forgotten = forgotten
        self.step = trainer.train_step
        self.batch = scale(trainer.images[: trainer.config.batch_size])
        self.step(self.batch)
        trainer.gan.step.assign(0)
        self.loop: list[float] = []
        self.bare: list[float] = []
        self.between: list[float] = []
        self.left_at = time.perf_counter()

    def __call__(self, batch: Batch) -> StepOutput:
        entered = time.perf_counter()
        for path in self.forgotten:
            forget(path)
        output = self.step(batch)
        tf.test.experimental.sync_devices()
        stepped = time.perf_counter()
        self.step(self.batch)
        tf.test.experimental.sync_devices()
        self.between.append(entered - self.left_at)
        self.loop.append(stepped - entered)
        self.left_at = time.perf_counter()
        self.bare.append(self.left_at - stepped)
        return output


def main() -> None:
    """Runs the loop, and prints the parts of its cost and their sum."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=8)
    for name in ("preset", "dataset", "data_dir"):
        parser.add_argument(f"--{name}", default=argparse.SUPPRESS)
    for name in ("batch_size", "base_filters"):
        parser.add_argument(f"--{name}", type=int, default=argparse.SUPPRESS)
    parser.add_argument("--cold", action="store_true")
    flags = vars(parser.parse_args())
    cold = flags.pop("cold")
    keep_freed_memory()
    config = Config.from_flags(flags)
    with tempfile.TemporaryDirectory() as folder:
        config = resolve_auto(config, RunDirectory(Path(folder)))
        images = load_images(config)
        on_disk = images.paths if isinstance(images, DiskImages) else ()
        if cold and not on_disk:
            raise UserError("--cold is for images that are read from the disk: --dataset tfrecords")
        trainer = Trainer(config, images)
        trainer.schedule = Schedule.of(config, STEPS_AN_EPOCH * config.images_per_step)
        stopwatch = trainer.train_step = Stopwatch(trainer, on_disk if cold else ())
        with open_run(Path(folder), config, images, resume=True) as run:
            trainer.fit(run)

    first_of_epoch = np.arange(len(stopwatch.loop)) % STEPS_AN_EPOCH == 0
    between, loop, bare = map(np.array, (stopwatch.between, stopwatch.loop, stopwatch.bare))
    within, ends = between[~first_of_epoch], between[first_of_epoch][1:]
    step = np.median(bare)
    parts = {
        "between steps": np.median(within) / step,
        "within the step": np.median(loop / bare) - 1,
        "epoch's end": np.median(ends) / step / MNIST_STEPS_AN_EPOCH,
    }
    print_setup()
    print(f"seconds, median of {len(bare)} (quartiles)")
    print(f"  bare step                         {spread(bare)}")
    print(f"  the loop's step                   {spread(loop)}")
    print(f"  between two steps                 {spread(within)}")
    print(f"  an epoch's end, with checkpoint   {spread(ends)}")
    print("cost over the bare step")
    for name, fraction in parts.items():
        print(f"  {name:<33} {fraction:+.2%}")
    print(f"  {'together':<33} {sum(parts.values()):+.2%}")


if __name__ == "__main__":
    program.run(main)
