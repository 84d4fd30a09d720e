"""Small models, their batches and their state, for tests that take steps."""

import numpy as np

from dcgan_tf.data import make_batches
from dcgan_tf.settings.config import Config
from dcgan_tf.training import Trainer


def make_trainer(mnist, **settings):
    """A trainer of narrow models on 50 digits, 8 a step."""
    settings = {"batch_size": 8, "base_filters": 4} | settings
    return Trainer(Config.from_flags(settings), mnist[:50, ..., np.newaxis])


def batches(trainer, steps=10):
    """The batches of its first steps."""
    return iter(make_batches(trainer.images, trainer.config, 0, steps))


def train(trainer, steps):
    """Takes steps whose figures and logits are numbers, and which move every kernel.

    Returns:
        The output of the last.
    """
    models = (trainer.gan.generator, trainer.gan.discriminator)
    before = [model.get_weights() for model in models]
    for images in batches(trainer, steps):
        output = trainer.train_step(images)
        assert all(np.isfinite(value).all() for value in flat(output))
    for model, weights in zip(models, before):
        kernels = [(a, b) for a, b in zip(model.get_weights(), weights) if a.ndim > 1]
        assert not any(np.array_equal(a, b) for a, b in kernels)
    return output


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
