"""Measures the overhead of the training loop: data, logging, pictures, checkpoints.

    python -m benchmarks.train_loop [--epochs 8]
    python -m benchmarks.train_loop --preset paper --dataset tfrecords --data_dir DIR [--cold]

Runs a real training with all its output. After each step, it repeats the bare step on a fixed
batch. The overhead is the time between steps, including the wait for the next batch, plus the
difference between the loop's step and the bare step. The epochs are short, so their ends (grid,
GIF, plot, histograms, checkpoint) are timed several times. The overhead includes one epoch's end
per 234 steps, as on MNIST.

With `--cold`, the image files are dropped from the page cache before each step, and every batch is
read from disk.
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
from dcgan_tf.run.open_run import open_run
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.run.schedule import Schedule
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.starting.measure import resolve_auto
from dcgan_tf.train_step import StepOutput
from dcgan_tf.training import Trainer

with program.quiet_tensorflow():
    import tensorflow as tf

STEPS_PER_EPOCH = 5
MNIST_STEPS_PER_EPOCH = 234


class Stopwatch:
    """Replaces a trainer's step: times the step, a bare step, and the time between steps.

    Args:
        trainer: the trainer.
        forgotten: files to drop from the page cache before each step.

    Attributes:
        loop, bare, between: seconds, for each step.
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
    """Runs the loop, and prints the parts of its overhead and their sum."""
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
            raise UserError("--cold needs images that are read from disk: --dataset tfrecords")
        trainer = Trainer(config, images)
        trainer.schedule = Schedule.of(config, STEPS_PER_EPOCH * config.images_per_step)
        stopwatch = trainer.train_step = Stopwatch(trainer, on_disk if cold else ())
        with open_run(Path(folder), config, images, resume=True) as run:
            trainer.fit(run)

    first_of_epoch = np.arange(len(stopwatch.loop)) % STEPS_PER_EPOCH == 0
    between, loop, bare = map(np.array, (stopwatch.between, stopwatch.loop, stopwatch.bare))
    within, ends = between[~first_of_epoch], between[first_of_epoch][1:]
    step = np.median(bare)
    parts = {
        "between steps": np.median(within) / step,
        "within the step": np.median(loop / bare) - 1,
        "end of an epoch": np.median(ends) / step / MNIST_STEPS_PER_EPOCH,
    }
    print_setup()
    print(f"seconds, median of {len(bare)} (quartiles)")
    print(f"  bare step                         {spread(bare)}")
    print(f"  step in the loop                  {spread(loop)}")
    print(f"  between steps                     {spread(within)}")
    print(f"  end of an epoch, with checkpoint  {spread(ends)}")
    print("overhead over the bare step")
    for name, fraction in parts.items():
        print(f"  {name:<33} {fraction:+.2%}")
    print(f"  {'total':<33} {sum(parts.values()):+.2%}")


if __name__ == "__main__":
    program.run(main)
