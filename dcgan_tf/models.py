"""The tutorial's two models, as Keras Sequential stacks.

https://www.tensorflow.org/tutorials/generative/dcgan
"""

import keras
from keras import layers


def make_generator_model(noise_dim: int = 100) -> keras.Sequential:
    """Noise, float32 [batch, noise_dim], to images, float32 [batch, 28, 28, 1] in [-1, 1].

    2,330,944 parameters with a noise of 100, of which 25,472 are batch norm's moving averages.
    """
    return keras.Sequential(
        [
            layers.Input((noise_dim,)),
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
        ],
        name="generator",
    )


def make_discriminator_model(seed: int) -> keras.Sequential:
    """Images, float32 [batch, 28, 28, 1] in [-1, 1], to logits, float32 [batch, 1].

    212,865 parameters.

    Args:
        seed: where the two dropout layers' random numbers start.
    """
    return keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(64, 5, strides=2, padding="same"),
            layers.LeakyReLU(),
            layers.Dropout(0.3, seed=seed),
            layers.Conv2D(128, 5, strides=2, padding="same"),
            layers.LeakyReLU(),
            layers.Dropout(0.3, seed=seed + 1),
            layers.Flatten(),
            layers.Dense(1),
        ],
        name="discriminator",
    )
