"""Compares this project's training step with the tutorial's, and with PyTorch's.

    python -m benchmarks.train_step [--preset paper] [--rounds 20] [--precision bfloat16]

All run in one process, in alternation, on the same images. A ratio is the other's time over this
project's: above 1, this project is faster. With the paper's preset, the tutorial's step trains the
paper's models, of Keras's own layers. PyTorch is compared where it is installed.
"""

import argparse
import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks.timing import alternate, print_setup, product_rate, spread
from benchmarks.tutorial import make_models, make_step
from dcgan_tf.config import PRECISIONS, Config
from dcgan_tf.data import scale
from dcgan_tf.fast.layers import plain
from dcgan_tf.fast.measure import resolve_auto
from dcgan_tf.fast.memory import keep_freed_memory
from dcgan_tf.run_directory import RunDirectory
from dcgan_tf.training import Trainer

# Multiply-adds of a step, each convolution counted as if no pixel lay outside of the image.
PRODUCTS = {"tutorial": 58e9, "paper": 134e9}
SHAPES = {"tutorial": (28, 28, 1), "paper": (64, 64, 3)}


def peers(trainer: Trainer, images: tf.Tensor) -> dict[str, Callable[[], None]]:
    """The steps to compare with."""
    config = trainer.config
    if config.preset == "tutorial":
        models = make_models()
    else:
        models = (plain(trainer.gan.generator), plain(trainer.gan.discriminator))
    theirs = make_step(*models, config.learning_rate, config.beta_1)
    others = {"the tutorial's step, float32": lambda: theirs(images)}
    if importlib.util.find_spec("torch"):
        from benchmarks import torch_step

        others |= torch_step.steps(config, images.numpy())
    return others


def main() -> None:
    """Times all steps and prints their seconds and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--preset", choices=SHAPES, default="tutorial")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--precision", choices=PRECISIONS, default="auto")
    flags = parser.parse_args()

    keep_freed_memory()
    config = Config.from_flags({"preset": flags.preset, "precision": flags.precision})
    with tempfile.TemporaryDirectory() as folder:
        config = resolve_auto(config, RunDirectory(Path(folder)))
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (config.batch_size, *SHAPES[flags.preset]), np.uint8)
    trainer, images = Trainer(config, pixels), scale(pixels)
    others = peers(trainer, images)
    functions = [lambda: trainer.train_step(images), *others.values()]
    seconds = alternate(functions, flags.rounds)

    print_setup()
    print(f"{flags.preset}, batch {config.batch_size}: median of {flags.rounds} (quartiles)")
    print(f"{'':<36}{'seconds a step':<24}ratio")
    ours = seconds[:, 0]
    print(f"{f'this project, {config.precision}':<36}{spread(ours)}")
    for name, theirs in zip(others, seconds[:, 1:].T):
        print(f"{name:<36}{spread(theirs):<24}{spread(theirs / ours)}")
    for precision in dict.fromkeys(("float32", config.precision)):
        rate = product_rate(tf.as_dtype(precision))
        print(
            f"all multiply-adds at the rate of a {precision} matrix product "
            f"({2 * rate / 1e9:.0f} GFLOP/s): {PRODUCTS[flags.preset] / rate:.3f} s"
        )


if __name__ == "__main__":
    main()
