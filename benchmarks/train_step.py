"""Compares this project's training step with the TensorFlow tutorial's own, written out here.

    python -m benchmarks.train_step

Both run in one process, in alternation, on the same images. The ratio is the tutorial's time over
this project's: above 1, this project is faster.
"""

import sys

import keras
import tensorflow as tf
from keras import layers

from benchmarks.timing import alternate, print_setup, spread
from dcgan_tf.config import Config
from dcgan_tf.data import load_images, scale
from dcgan_tf.training import Trainer

ROUNDS = 20


def tutorial_step() -> tf.types.experimental.PolymorphicFunction:
    """The step of https://www.tensorflow.org/tutorials/generative/dcgan, with its models."""
    generator = keras.Sequential(
        [
            layers.Input((100,)),
            layers.Dense(7 * 7 * 256, use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(),
            layers.Reshape((7, 7, 256)),
            layers.Conv2DTranspose(128, 5, strides=1, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(),
            layers.Conv2DTranspose(64, 5, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(),
            layers.Conv2DTranspose(
                1, 5, strides=2, padding="same", use_bias=False, activation="tanh"
            ),
        ]
    )
    discriminator = keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(64, 5, strides=2, padding="same"),
            layers.LeakyReLU(),
            layers.Dropout(0.3),
            layers.Conv2D(128, 5, strides=2, padding="same"),
            layers.LeakyReLU(),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
    generator_optimizer = keras.optimizers.Adam(1e-4)
    discriminator_optimizer = keras.optimizers.Adam(1e-4)

    @tf.function
    def train_step(images: tf.Tensor) -> None:
        noise = tf.random.normal([256, 100])
        with tf.GradientTape() as gen_tape, tf.GradientTape() as disc_tape:
            generated = generator(noise, training=True)
            real_output = discriminator(images, training=True)
            fake_output = discriminator(generated, training=True)
            gen_loss = cross_entropy(tf.ones_like(fake_output), fake_output)
            disc_loss = cross_entropy(tf.ones_like(real_output), real_output) + cross_entropy(
                tf.zeros_like(fake_output), fake_output
            )
        for optimizer, tape, loss, model in (
            (generator_optimizer, gen_tape, gen_loss, generator),
            (discriminator_optimizer, disc_tape, disc_loss, discriminator),
        ):
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables))

    return train_step


def main() -> None:
    """Times both steps and prints their seconds and ratio."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    config = Config()
    trainer = Trainer(config, load_images(config))
    images = scale(trainer.images[: config.batch_size])
    theirs, ours = tutorial_step(), trainer.train_step
    seconds = alternate(lambda: theirs(images), lambda: ours(images), rounds)
    print_setup()
    print(f"seconds a step at batch {config.batch_size}: median of {rounds} (quartiles)")
    print(f"  the tutorial's   {spread(seconds[:, 0])}")
    print(f"  this project's   {spread(seconds[:, 1])}")
    print(f"  ratio            {spread(seconds[:, 0] / seconds[:, 1])}")


if __name__ == "__main__":
    main()
