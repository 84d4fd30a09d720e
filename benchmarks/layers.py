"""Each layer's training pass, forward and back: by this project, by Keras, and by PyTorch.

    python -m benchmarks.layers [--preset paper] [--rounds 5]

Each runs in a process of its own, in alternation, at the size that it has in the model, in float32.
A ratio is the other's time over this project's: above 1, this project's is faster. PyTorch is
compared where it is installed.
"""

import argparse
import importlib.util

import numpy as np

from benchmarks.peers import SHAPES, alternate, command
from benchmarks.timing import print_setup, spread
from dcgan_tf.commands import program
from dcgan_tf.fast import keras_layers as fast_layers
from dcgan_tf.models import make_discriminator, make_generator
from dcgan_tf.settings.config import Config

with program.quiet_tensorflow():
    from keras import layers

THIS = "this project"
TORCH = {"PyTorch": False, "PyTorch, channels last": True}


def commands_of(layer: layers.Layer, batch: int) -> dict[str, list[str]]:
    """What starts a layer's passes, by whose they are."""
    module = type(layer).__module__
    options = {
        "kind": type(layer).__name__,
        "layer": layer.get_config(),
        "shape": [batch, *layer.input.shape[1:]],
    }
    found = {THIS: command("layer", {}, module=module, **options)}
    if module == fast_layers.__name__:  # the others are Keras's own
        found["Keras"] = command("layer", {}, module="keras.layers", **options)
    if importlib.util.find_spec("torch"):
        for name, channels_last in TORCH.items():
            found[name] = command("torch_layer", {}, channels_last=channels_last, **options)
    return found


def row(seconds: dict[str, np.ndarray], failures: dict[str, str]) -> str:
    """Milliseconds of this project's pass, and the others' ratios to it."""
    cells = []
    for name in (THIS, "Keras", *TORCH):
        if name in failures:
            cells.append(f"not measured: {failures[name]}")
        elif name not in seconds or THIS in failures:
            cells.append("")
        elif name == THIS:
            cells.append(spread(1000 * seconds[THIS]))
        else:
            cells.append(spread(seconds[name] / seconds[THIS]))
    return " | ".join(cells)


def main() -> None:
    """Times each layer of both models, and prints a row for each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--preset", choices=SHAPES, default="tutorial")
    parser.add_argument("--rounds", type=int, default=5)
    flags = parser.parse_args()

    config = Config.from_flags(
        {"preset": flags.preset, "precision": "float32", "convolutions": "subpixel"}
    )
    image = SHAPES[flags.preset]
    print_setup()
    print(f"{flags.preset}, batch {config.batch_size}: median of {flags.rounds} (quartiles)\n")
    print(f"| | milliseconds | Keras | {' | '.join(TORCH)} |\n|---|---|---|---|---|")
    whole: dict[str, np.ndarray] = {}
    failed: dict[str, str] = {}
    for model in (make_generator(config, image), make_discriminator(config, image)):
        for layer in model.layers:
            if isinstance(layer, (layers.Reshape, layers.Flatten)):
                continue
            seconds, failures = alternate(commands_of(layer, config.batch_size), flags.rounds)
            size = "×".join(map(str, layer.input.shape[1:]))
            print(f"| {type(layer).__name__} of {size} | {row(seconds, failures)} |", flush=True)
            failed |= failures
            if THIS in seconds:  # where it is Keras's own layer, Keras takes as long
                seconds = {"Keras": seconds[THIS]} | seconds
            whole |= {name: whole.get(name, 0) + taken for name, taken in seconds.items()}
    print(f"| together | {row(whole, failed)} |")


if __name__ == "__main__":
    program.run(main)
