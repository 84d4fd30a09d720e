"""Each layer's training pass, forward and back, by Keras's own layer and by this project's.

    python -m benchmarks.layers [--preset paper] [--rounds 10]

A ratio is Keras's time over this project's: above 1, this project's is faster.
"""

import argparse
from collections.abc import Callable

import tensorflow as tf
from keras import layers

from benchmarks.peers import SHAPES
from benchmarks.timing import alternate, print_setup, spread
from dcgan_tf.config import Config
from dcgan_tf.fast import layers as fast_layers
from dcgan_tf.fast.memory import keep_freed_memory
from dcgan_tf.models import make_discriminator, make_generator


def passes(layer: layers.Layer, shape: tuple[int, ...]) -> Callable[[], None]:
    """A layer's pass forward, and back to its inputs and weights."""
    inputs = tf.random.stateless_normal(shape, [0, 0])
    layer.build(shape)

    @tf.function
    def both_ways() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
        return tape.gradient(outputs, [inputs, *layer.trainable_variables], outputs)

    return lambda: [gradient.numpy().ravel()[:1] for gradient in both_ways()]


def main() -> None:
    """Times each layer that this project has its own of."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--preset", choices=SHAPES, default="tutorial")
    parser.add_argument("--rounds", type=int, default=10)
    flags = parser.parse_args()

    keep_freed_memory()
    config = Config.from_flags({"preset": flags.preset, "convolutions": "subpixel"})
    image = SHAPES[flags.preset]
    print_setup()
    print(f"{'seconds, forward and back':<42}{'Keras':<24}{'this project':<24}ratio")
    for model in (make_generator(config, image), make_discriminator(config, image)):
        for layer in model.layers:
            if type(layer).__module__ != fast_layers.__name__:
                continue
            shape = (config.batch_size, *layer.input.shape[1:])
            kind = getattr(layers, type(layer).__name__)
            pair = [each.from_config(layer.get_config()) for each in (kind, type(layer))]
            seconds = alternate([passes(each, shape) for each in pair], flags.rounds)
            name = f"{layer.name} {'×'.join(map(str, shape[1:]))}"
            theirs, ours = seconds.T
            print(f"{name:<42}{spread(theirs):<24}{spread(ours):<24}{spread(theirs / ours)}")


if __name__ == "__main__":
    main()
