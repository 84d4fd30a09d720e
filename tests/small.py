"""Small models, their batches and their state, for tests that take steps."""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from dcgan_tf.data import make_batches
from dcgan_tf.layers import discriminator_norm, dropout, generator_norm
from dcgan_tf.settings.choices import ARCHITECTURES, Architecture
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.presets import PRESETS, implied
from dcgan_tf.steps.make_step import make_step
from dcgan_tf.training import Trainer

DENSE = Architecture("tests.small:dense_generator", "tests.small:dense_discriminator")
UNITS = 16


def dense_generator(config, image_shape):
    return [
        layers.Dense(UNITS),
        *generator_norm(config),
        layers.LeakyReLU(config.negative_slope),
        layers.Dense(math.prod(image_shape), activation="tanh", dtype="float32"),
        layers.Reshape(image_shape, dtype="float32"),
    ]


def dense_discriminator(config, image_shape):
    return [
        layers.Flatten(),
        layers.Dense(UNITS),
        *discriminator_norm(config),
        layers.LeakyReLU(config.negative_slope),
        *dropout(config, config.dropout, 0),
        layers.Dense(1, dtype="float32"),
    ]


def make_config(settings):
    """As `Config.from_flags`, but of what changes nothing, too, as an older run may have it."""
    return Config(**PRESETS[settings.get("preset", "tutorial")] | implied(settings) | settings)


def make_trainer(mnist, **settings):
    """A trainer of narrow models on 50 digits, 8 a step."""
    settings = {"batch_size": 8, "base_filters": 4} | settings
    return Trainer(make_config(settings), mnist[:50, ..., np.newaxis])


def dense_trainer(mnist, **settings):
    """The same of two dense layers a model, whose steps are traced in less than half the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, "dense", DENSE)
        return make_trainer(mnist, architecture="dense", **settings)


def batches(trainer, steps=10):
    """The batches of its first steps."""
    return iter(make_batches(trainer.images, trainer.config, 0, steps))


def eagerly(trainer):
    """A trainer's step, a function of images, without its graph: to make that takes five steps."""
    return functools.partial(make_step(trainer.config), trainer.gan)


def train(trainer, steps, graph=True):
    """Takes steps whose figures and logits are numbers, and which move every kernel.

    Returns:
        The output of the last.
    """
    take = trainer.train_step if graph else eagerly(trainer)
    models = (trainer.gan.generator, trainer.gan.discriminator)
    before = [model.get_weights() for model in models]
    for images in batches(trainer, steps):
        output = take(images)
        assert all(np.isfinite(value).all() for value in flat(output))
    for model, weights in zip(models, before):
        kernels = [(a, b) for a, b in zip(model.get_weights(), weights) if a.ndim > 1]
        assert not any(np.array_equal(a, b) for a, b in kernels)
    return output


def record(gan):
    """Has a GAN's steps keep their gradients, in a graph, too, and apply none.

    Returns:
        Where those of the generator and of the discriminator are after a step.
    """

    def keep(gradients, pairs):
        for kept, (gradient, _) in zip(gradients, pairs, strict=True):
            kept.assign(gradient)

    kept = []
    for model, optimizer in (
        (gan.generator, gan.generator_optimizer),
        (gan.discriminator, gan.discriminator_optimizer),
    ):
        kept.append([tf.Variable(tf.zeros_like(weight)) for weight in model.trainable_variables])
        optimizer.apply_gradients = functools.partial(keep, kept[-1])
    return kept


def values(tensors):
    return [tensor.numpy() for tensor in tensors]


def flat(output):
    """A step's figures and logits in one list."""
    return [*output.scalars, output.real_logits, output.fake_logits]


def state(gan):
    """Every variable of both models and optimizers."""
    holders = (
        gan.generator,
        gan.discriminator,
        gan.generator_optimizer,
        gan.discriminator_optimizer,
    )
    return [variable.numpy() for holder in holders for variable in holder.variables]
