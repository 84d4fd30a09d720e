"""Training steps against mode collapse, and what they are made of; each in place of the tutorial's.

They take the models, optimizers and losses of a `Trainer`, and return what its own step returns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from dcgan_tf.health import vital_signs
from dcgan_tf.replicas import replica_part

if TYPE_CHECKING:
    from dcgan_tf.training import StepOutput, Trainer

Weights = list[tf.Tensor]


def critic_step(trainer: Trainer, images: tf.Tensor) -> StepOutput:
    """Several updates of the discriminator, each on images of its own, then one of the generator.

    Arjovsky et al., 2017, algorithm 1, with weight clipping; or Gulrajani et al., 2017, algorithm
    1, with a gradient penalty.

    Args:
        trainer: its config's `discriminator_steps`, `weight_clip` and `gradient_penalty` count.
        images: float32 [discriminator_steps · batch, H, W, C] in [-1, 1].
    """
    config, generator, discriminator = trainer.config, trainer.generator, trainer.discriminator
    weights = discriminator.trainable_variables

    for i, real in enumerate(tf.split(images, config.discriminator_steps)):
        fake = generator(trainer.noise(i), training=True)
        with tf.GradientTape() as tape:
            real_logits, fake_logits = trainer.discriminate(discriminator, real, fake)
            disc_loss = trainer.discriminator_loss(real_logits, fake_logits)
            loss = disc_loss
            if config.gradient_penalty is not None:
                seed = tf.stack([config.seed, trainer.draw(i)])
                penalty = gradient_penalty(discriminator, real, fake, seed)
                loss += config.gradient_penalty * penalty
        disc_gradients = tape.gradient(loss, weights)
        trainer.discriminator_optimizer.apply_gradients(zip(disc_gradients, weights))
        if config.weight_clip is not None:
            for weight in weights:
                weight.assign(tf.clip_by_value(weight, -config.weight_clip, config.weight_clip))

    noise = trainer.noise(config.discriminator_steps)
    with tf.GradientTape() as tape:
        fake = generator(noise, training=True)
        gen_loss = trainer.generator_loss(discriminator(fake, training=True))
    gen_gradients = tape.gradient(gen_loss, generator.trainable_variables)
    trainer.generator_optimizer.apply_gradients(zip(gen_gradients, generator.trainable_variables))
    signs = vital_signs(real, fake, gen_gradients, disc_gradients)
    return trainer.end_step(gen_loss, disc_loss, real_logits, fake_logits, signs)


def gradient_penalty(
    discriminator: Callable, real: tf.Tensor, fake: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """The mean of (‖∇D‖ − 1)² at random points between real and generated images.

    Gulrajani et al., 2017, equation 3, without its factor λ.

    Args:
        discriminator: called with images and `training=True`; it must treat each on its own.
        real: float32 [batch, H, W, C].
        fake: float32 [batch, H, W, C].
        seed: int [2], where between each pair the point is.
    """
    shape = [real.shape[0]] + [1] * (len(real.shape) - 1)
    places = replica_part(lambda shape: tf.random.stateless_uniform(shape, seed), shape)
    between = real + places * (fake - real)
    with tf.GradientTape() as tape:
        tape.watch(between)
        logits = discriminator(between, training=True)
    gradients = tape.gradient(logits, between)
    squares = tf.reduce_sum(gradients**2, axis=range(1, len(real.shape)))
    return tf.reduce_mean((tf.sqrt(squares + 1e-12) - 1.0) ** 2)


def unrolled_step(trainer: Trainer, images: tf.Tensor) -> StepOutput:
    """One update of both models, the generator's against a discriminator that looks ahead.

    Metz et al., 2017: the generator's loss is that after K updates of a copy of the discriminator,
    and its gradient goes back through these updates. The discriminator itself is then updated
    once, as in the tutorial. In the zero-sum game, `minimax`, the generator's loss has a term of
    the real images too: they have a share in where the updates lead.

    Args:
        trainer: its config's `unroll_steps` counts.
        images: float32 [batch, H, W, C] in [-1, 1].
    """
    generator, discriminator = trainer.generator, trainer.discriminator
    optimizer = trainer.discriminator_optimizer
    noise = trainer.noise()
    gen_weights, disc_weights = generator.trainable_variables, discriminator.trainable_variables
    with tf.GradientTape() as gen_tape, tf.GradientTape() as disc_tape:
        fake = generator(noise, training=True)
        real_logits, fake_logits = trainer.discriminate(discriminator, images, fake)
        disc_loss = trainer.discriminator_loss(real_logits, fake_logits)

        def loss_of(weights: Weights) -> tf.Tensor:
            copy = with_weights(discriminator, weights)
            return trainer.discriminator_loss(*trainer.discriminate(copy, images, fake))

        ahead = unroll(loss_of, optimizer, disc_weights, trainer.config.unroll_steps)
        if trainer.config.loss == "minimax":
            gen_loss = -loss_of(ahead)
        else:
            logits_ahead = with_weights(discriminator, ahead)(fake, training=True)
            gen_loss = trainer.generator_loss(logits_ahead)
    gen_gradients = gen_tape.gradient(gen_loss, gen_weights)
    disc_gradients = disc_tape.gradient(disc_loss, disc_weights)
    trainer.generator_optimizer.apply_gradients(zip(gen_gradients, gen_weights))
    optimizer.apply_gradients(zip(disc_gradients, disc_weights))
    signs = vital_signs(images, fake, gen_gradients, disc_gradients)
    return trainer.end_step(gen_loss, disc_loss, real_logits, fake_logits, signs)


def with_weights(model: keras.Model, weights: Weights) -> Callable:
    """A model as a function with other trainable weights; it changes nothing of the model's."""
    rest = [tf.convert_to_tensor(variable) for variable in model.non_trainable_variables]

    def call(inputs: tf.Tensor, training: bool) -> tf.Tensor:
        outputs, _ = model.stateless_call(weights, rest, inputs, training=training)
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
