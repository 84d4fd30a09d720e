"""Times the forward and backward pass of each layer in this project, in Keras and in PyTorch.

    python -m benchmarks.layers [--preset paper] [--rounds 5]

The implementations run in their own processes, alternating, at the layer's size in the model, in
float32. A ratio is the other's time over this project's: above 1, this project is faster. PyTorch
is included if it is installed.
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

OWN = "this project"
TORCH = {"PyTorch": False, "PyTorch, channels last": True}


def commands_of(layer: layers.Layer, batch: int) -> dict[str, list[str]]:
    """The command lines that time a layer's passes, by implementation."""
    module = type(layer).__module__
    options = {
        "kind": type(layer).__name__,
        "layer": layer.get_config(),
        "shape": [batch, *layer.input.shape[1:]],
    }
    found = {OWN: command("layer", {}, module=module, **options)}
    if module == fast_layers.__name__:  # else it is Keras's own layer
        found["Keras"] = command("layer", {}, module="keras.layers", **options)
    if importlib.util.find_spec("torch"):
        for name, channels_last in TORCH.items():
            found[name] = command("torch_layer", {}, channels_last=channels_last, **options)
    return found


def row(seconds: dict[str, np.ndarray], failures: dict[str, str]) -> str:
    """Milliseconds of this project's passes, and the ratios of the others."""
    cells = []
    for name in (OWN, "Keras", *TORCH):
        if name in failures:
            cells.append(f"not measured: {failures[name]}")
        elif name not in seconds or OWN in failures:
            cells.append("")
        elif name == OWN:
            cells.append(spread(1000 * seconds[OWN]))
        else:
            cells.append(spread(seconds[name] / seconds[OWN]))
    return " | ".join(cells)


def main() -> None:
    """Times each layer of both models, and prints a table."""
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
    totals: dict[str, np.ndarray] = {}
    failed: dict[str, str] = {}
    for model in (make_generator(config, image), make_discriminator(config, image)):
        for layer in model.layers:
            if isinstance(layer, (layers.Reshape, layers.Flatten)):
                continue
            seconds, failures = alternate(commands_of(layer, config.batch_size), flags.rounds)
            size = "×".join(map(str, layer.input.shape[1:]))
            print(f"| {type(layer).__name__} of {size} | {row(seconds, failures)} |", flush=True)
            failed |= failures
            if OWN in seconds:  # for Keras's own layers, the times are the same
                seconds = {"Keras": seconds[OWN]} | seconds
            totals |= {name: totals.get(name, 0) + taken for name, taken in seconds.items()}
    print(f"| total | {row(totals, failed)} |")


if __name__ == "__main__":
    program.run(main)
