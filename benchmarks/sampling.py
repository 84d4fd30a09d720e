"""Measures the overhead of drawing images over bare calls of the generator on fixed noise.

    python -m benchmarks.sampling --run_dir RUN [--num_images 10000] [--rounds 5]

Both run in one process, alternating. A ratio of 1 means no overhead.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.timing import alternate, print_setup, spread
from dcgan_tf.commands import program
from dcgan_tf.reporting.sample_files import writer_for
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.sampling.noise import seeded_noise
from dcgan_tf.sampling.sampler import load_generator, sample_images

with program.quiet_tensorflow():
    import tensorflow as tf

BATCH_SIZE = 256


def main() -> None:
    """Times both, and prints images per second and the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--run_dir", type=Path, required=True)
    parser.add_argument("--num_images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    flags = parser.parse_args()

    run = RunDirectory(flags.run_dir)
    generator, config, _ = load_generator(run)
    classes = run.read_classes()
    noise = tf.constant(seeded_noise(config, config.seed, range(BATCH_SIZE), classes=classes))
    batches = -(-flags.num_images // BATCH_SIZE)
    num_images = batches * BATCH_SIZE
    generate = tf.function(lambda noise: generator(noise, training=False))

    def bare() -> None:
        for _ in range(batches):
            generate(noise).numpy()

    with tempfile.TemporaryDirectory() as folder:
        write = writer_for(Path(folder) / "images.npz")
        sampling = (config.seed, num_images, BATCH_SIZE)

        def draw() -> None:
            images = sample_images(generator, config, *sampling, classes=classes)
            write(images, (num_images, *generator.output_shape[1:]))

        seconds = alternate([bare, draw], flags.rounds)
    print_setup()
    print(f"images per second, median of {flags.rounds} (quartiles)")
    print(f"  bare generator     {spread(num_images / seconds[:, 0])}")
    print(f"  drawn and written  {spread(num_images / seconds[:, 1])}")
    print(f"  ratio              {spread(seconds[:, 0] / seconds[:, 1])}")


if __name__ == "__main__":
    program.run(main)
