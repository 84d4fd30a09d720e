"""The generator's update against a discriminator that is some updates ahead."""

from __future__ import annotations

import os
from collections.abc import Callable

import keras
import tensorflow as tf

from dcgan_tf.cli.errors import UserError
from dcgan_tf.config import Config
from dcgan_tf.gan import Gan
from dcgan_tf.train_step import StepOutput, step_output

Weights = list[tf.Tensor]


def unrolled_step(gan: Gan, images: tf.Tensor) -> StepOutput:
    """One update of both models, the generator's against a discriminator that looks ahead.

    Metz et al., 2017: the generator's loss is that after K updates of a copy of the discriminator,
    and its gradient goes back through these updates. The discriminator itself is then updated
    once, as in the tutorial. In the zero-sum game, `minimax`, the generator's loss has a term of
    the real images too: they have a share in where the updates lead.

    Args:
        gan: its config's `unroll_steps` counts.
        images: float32 [batch, H, W, C] in [-1, 1].
    """
    generator, discriminator = gan.generator, gan.discriminator
    gen_weights, disc_weights = generator.trainable_variables, discriminator.trainable_variables
    noise = gan.noise()
    with tf.GradientTape() as gen_tape, tf.GradientTape() as disc_tape:
        fake = generator(noise, training=True)
        real_logits, fake_logits = gan.discriminate(images, fake)
        disc_loss = gan.discriminator_loss(real_logits, fake_logits)

        def loss_of(weights: Weights) -> tf.Tensor:
            copy = with_weights(discriminator, weights)
            return gan.discriminator_loss(*gan.discriminate(images, fake, copy))

        ahead = unroll(loss_of, gan.discriminator_optimizer, disc_weights, gan.config.unroll_steps)
        if gan.config.loss == "minimax":
            gen_loss = -loss_of(ahead)
        else:
            copy_ahead = with_weights(discriminator, ahead)
            gen_loss = gan.generator_loss(gan.discriminate_generated(images, fake, copy_ahead))
    gen_gradients = gen_tape.gradient(gen_loss, gen_weights)
    disc_gradients = disc_tape.gradient(disc_loss, disc_weights)

    logits, losses = (real_logits, fake_logits), (gen_loss, disc_loss)
    output = step_output(gan, (images, fake), logits, losses, (gen_gradients, disc_gradients))
    gan.generator_optimizer.apply_gradients(zip(gen_gradients, gen_weights))
    gan.discriminator_optimizer.apply_gradients(zip(disc_gradients, disc_weights))
    gan.end_step()
    return output


def check_onednn(config: Config) -> None:
    """Refuses the step whose graph oneDNN can't always run.

    TensorFlow merges the gradients of a convolution's kernel and bias for it, and of several
    gradients of that kernel, as derivatives of derivatives have, takes any: with one that comes
    after the bias's, the graph has a cycle. Here, every third had one (TensorFlow 2.21).

    Raises:
        UserError: it is this step, and oneDNN is not turned off.
    """
    is_joint = config.discriminator_batch == "joint" and config.discriminator_batch_norm
    if config.unroll_steps and is_joint and os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0":
        raise UserError(
            "--unroll_steps with batch norm in a joint batch does not go with oneDNN: set "
            "TF_ENABLE_ONEDNN_OPTS=0, or give --discriminator_batch separate"
        )


def with_weights(model: keras.Model, weights: Weights) -> Callable:
    """A model as a function with other trainable weights.

    Nothing of the model changes but its random state: each pass has a dropout mask of its own.
    """
    variables = model.non_trainable_variables

    def call(inputs: tf.Tensor, training: bool) -> tf.Tensor:
        before = [tf.convert_to_tensor(variable) for variable in variables]
        outputs, after = model.stateless_call(weights, before, inputs, training=training)
        for variable, value in zip(variables, after):
            if variable.name == "seed_generator_state":
                variable.assign(value)
        return outputs

    return call


def unroll(
    loss_of: Callable[[Weights], tf.Tensor],
    optimizer: keras.optimizers.Adam,
    weights: Weights,
    steps: int,
) -> Weights:
    """The weights after some of Adam's updates, as a differentiable function of all before.

    Args:
        loss_of: the loss of given weights, a differentiable function of them.
        optimizer: whose rates and moments are the start; it stays as it is.
        weights: the start; they stay as they are.
        steps: how many updates.
    """
    beta_1, beta_2, epsilon = optimizer.beta_1, optimizer.beta_2, optimizer.epsilon
    weights = [tf.convert_to_tensor(weight) for weight in weights]
    means = [tf.convert_to_tensor(moment) for moment in optimizer._momentums]
    squares = [tf.convert_to_tensor(moment) for moment in optimizer._velocities]
    count = tf.cast(optimizer.iterations, tf.float32)
    for _ in range(steps):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss = loss_of(weights)
        gradients = tape.gradient(loss, weights)
        count += 1.0
        rate = optimizer.learning_rate * tf.sqrt(1.0 - beta_2**count) / (1.0 - beta_1**count)
        means = [beta_1 * m + (1.0 - beta_1) * g for m, g in zip(means, gradients)]
        squares = [beta_2 * v + (1.0 - beta_2) * g**2 for v, g in zip(squares, gradients)]
        weights = [
            # The square root has no derivative at 0, where a weight has had no gradient yet.
            w - rate * m / (tf.sqrt(tf.maximum(v, 1e-30)) + epsilon)
            for w, m, v in zip(weights, means, squares)
        ]
    return weights
