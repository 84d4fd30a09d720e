"""The TensorFlow tutorial's DCGAN, for comparison: its models, training step and script.

    python -m benchmarks.tutorial STEPS

trains for STEPS steps, like https://www.tensorflow.org/tutorials/generative/dcgan.
"""

import argparse
import os

import numpy as np

from dcgan_tf.commands import program

os.environ.pop("TF_ENABLE_ONEDNN_OPTS", None)  # set by this project; restores TensorFlow's default

with program.quiet_tensorflow():
    import keras
    import tensorflow as tf
    from keras import layers

MNIST_FILE = "dcgan_tf/datasets/mnist.npz"
BATCH_SIZE = 256
NOISE_DIM = 100


def make_models() -> tuple[keras.Sequential, keras.Sequential]:
    """The tutorial's generator and discriminator."""
    generator = keras.Sequential(
        [
            layers.Input((NOISE_DIM,)),
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
    return generator, discriminator


def make_step(
    generator: keras.Sequential,
    discriminator: keras.Sequential,
    learning_rate: float = 1e-4,
    beta_1: float = 0.9,
) -> tf.types.experimental.PolymorphicFunction:
    """The tutorial's training step, for float32 [batch, H, W, C] in [-1, 1] and any two models."""
    cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
    generator_optimizer = keras.optimizers.Adam(learning_rate, beta_1=beta_1)
    discriminator_optimizer = keras.optimizers.Adam(learning_rate, beta_1=beta_1)

    @tf.function
    def train_step(images: tf.Tensor) -> None:
        noise = tf.random.normal([images.shape[0], NOISE_DIM])
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
    """Trains on shuffled MNIST."""
    parser = argparse.ArgumentParser()
    parser.add_argument("steps", type=int, metavar="STEPS")
    steps = parser.parse_args().steps
    with np.load(MNIST_FILE) as mnist:
        digits = (mnist["x_train"][..., np.newaxis].astype("float32") - 127.5) / 127.5
    dataset = tf.data.Dataset.from_tensor_slices(digits).shuffle(60_000)
    dataset = dataset.batch(BATCH_SIZE, drop_remainder=True)
    train_step = make_step(*make_models())
    for images in dataset.take(steps):
        train_step(images)


if __name__ == "__main__":
    program.run(main)
