"""Compares the training steps of this project, the tutorial and PyTorch.

    python -m benchmarks.train_step [--preset paper] [--rounds 20] [--precision bfloat16]

The steps run in their own processes, alternating, on the same images. A ratio is the other's time
over this project's: above 1, this project is faster. With `--preset paper`, the tutorial's step
trains the paper's models, made of Keras's own layers. PyTorch is included if it is installed.
"""

import argparse
import importlib.util
import tempfile
from pathlib import Path

from benchmarks.peers import alternate, command
from benchmarks.timing import print_setup, product_rate, spread
from dcgan_tf.commands import program
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.settings.config import PRECISIONS, Config
from dcgan_tf.starting.measure import TRIALS, resolve_auto

with program.quiet_tensorflow():
    import tensorflow as tf

# Multiply-adds per image and step; border effects of convolutions are ignored.
PRODUCTS = {"tutorial": 58e9 / 256, "paper": 134e9 / 128}
TORCH = {
    "PyTorch, float32": {"precision": "float32", "channels_last": False},
    "PyTorch, float32, channels last": {"precision": "float32", "channels_last": True},
    "PyTorch, bfloat16, channels last": {"precision": "bfloat16", "channels_last": True},
}


def main() -> None:
    """Times all steps, and prints seconds and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--preset", choices=PRODUCTS, default="tutorial")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--precision", choices=PRECISIONS, default="auto")
    parser.add_argument("--batch_size", type=int, default=argparse.SUPPRESS)
    flags = vars(parser.parse_args())
    rounds = flags.pop("rounds")

    config = Config.from_flags(flags)
    with tempfile.TemporaryDirectory() as folder:
        config = resolve_auto(config, RunDirectory(Path(folder)))
    settings = flags | {name: getattr(config, name) for name in TRIALS}
    this = f"this project, {config.precision}"
    commands = {
        this: command("dcgan_tf", settings),
        "the tutorial's step, float32": command("tutorial", settings),
    }
    if importlib.util.find_spec("torch"):
        commands |= {name: command("torch", settings, **way) for name, way in TORCH.items()}
    seconds, failures = alternate(commands, rounds)

    print_setup()
    print(f"{config.preset}, batch {config.batch_size}: median of {rounds} (quartiles)")
    print(f"{'':<36}{'seconds per step':<24}ratio")
    for name in commands:
        if name in failures:
            print(f"{name:<36}not measured: {failures[name]}")
        elif name == this or this in failures:
            print(f"{name:<36}{spread(seconds[name])}")
        else:
            ratio = seconds[name] / seconds[this]
            print(f"{name:<36}{spread(seconds[name]):<24}{spread(ratio)}")
    for precision in dict.fromkeys(("float32", config.precision)):
        rate = product_rate(tf.as_dtype(precision))
        seconds_per_step = PRODUCTS[config.preset] * config.batch_size / rate
        print(
            f"all multiply-adds at the rate of a {precision} matrix product "
            f"({2 * rate / 1e9:.0f} GFLOP/s): {seconds_per_step:.3f} s"
        )


if __name__ == "__main__":
    program.run(main)
