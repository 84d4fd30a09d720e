"""Unrolled GAN: updates the generator against a discriminator that is several updates ahead."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from dcgan_tf.gan import Gan, with_labels
from dcgan_tf.regularization.penalties import with_weights
from dcgan_tf.train_step import StepOutput, gradient_norm, step_output

Weights = list[tf.Tensor]


def unrolled_step(
    gan: Gan,
    images: tf.Tensor,
    labels: tf.Tensor | None = None,
    unroll_steps: int = 5,
    zero_sum: bool = False,
) -> StepOutput:
    """Updates both models once, the generator against an unrolled discriminator.

    Metz et al., 2017: the generator's loss is computed after several updates of a copy of the
    discriminator, and its gradient is backpropagated through these updates. The discriminator
    itself is updated once, as in the tutorial.

    Args:
        gan: the models.
        images: float32 [batch, H, W, C] in [-1, 1].
        labels: class ids, int [batch], in a conditional run.
        unroll_steps: the number of updates of the copy.
        zero_sum: whether the generator's loss is the negative of the copy's, as in the minimax
            game. It includes the term of the real images, which affects the unrolled updates.
    """
    generator, discriminator = gan.generator, gan.discriminator
    gen_weights, disc_weights = generator.trainable_variables, discriminator.trainable_variables
    noise, fake_labels = gan.random.noise(), gan.random.labels()

    with tf.GradientTape() as gen_tape, tf.GradientTape() as disc_tape:
        generated_images = generator(with_labels(noise, fake_labels), training=True)
        real, fake = gan.augment(images, generated_images)
        inputs = (real, fake, labels, fake_labels)
        real_logits, fake_logits = gan.discriminate(*inputs)
        disc_loss = gan.discriminator_loss(real_logits, fake_logits)
        if gan.penalties:
            disc_loss += gan.penalty(*inputs, lazy=False)

        def loss_of(weights: Weights) -> tf.Tensor:
            copy = with_weights(discriminator, weights)
            loss = gan.discriminator_loss(*gan.discriminate(*inputs, copy))
            if gan.penalties:
                loss += gan.penalty(*inputs, weights=weights, lazy=False)
            return loss

        ahead = unroll(loss_of, gan.discriminator_optimizer, disc_weights, unroll_steps)
        if zero_sum:
            gen_loss = -loss_of(ahead)
        else:
            copy_ahead = with_weights(discriminator, ahead)
            needed_real = real if gan.generator_needs_real else None
            logits = gan.discriminate(needed_real, fake, labels, fake_labels, copy_ahead)
            gen_loss = gan.generator_loss(*logits)
    gen_gradients = gen_tape.gradient(gen_loss, gen_weights)
    disc_gradients = disc_tape.gradient(disc_loss, disc_weights)
    gen_norm = gradient_norm(gen_gradients, gan.generator_optimizer)
    disc_norm = gradient_norm(disc_gradients, gan.discriminator_optimizer)

    gan.generator_optimizer.apply_gradients(zip(gen_gradients, gen_weights))
    gan.discriminator_optimizer.apply_gradients(zip(disc_gradients, disc_weights))
    if gan.adaptive:
        gan.adaptive.update(real_logits, fake_logits, gan.step)
    if gan.ema_generator:
        gan.update_ema()
    gan.step.assign_add(1)
    return step_output(
        (images, generated_images),
        (real_logits, fake_logits),
        (gen_loss, disc_loss),
        (gen_norm, disc_norm),
    )


def unroll(
    loss_of: Callable[[Weights], tf.Tensor],
    optimizer: keras.optimizers.Adam,
    weights: Weights,
    steps: int,
) -> Weights:
    """The weights after several updates of Keras's Adam, as a differentiable function.

    Args:
        loss_of: maps weights to the loss; differentiable.
        optimizer: provides the learning rate and the initial moments; not modified.
        weights: the initial weights; not modified.
        steps: the number of updates.
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
            # The square root is not differentiable at 0, the value before the first gradient.
            w - rate * m / (tf.sqrt(tf.maximum(v, 1e-30)) + epsilon)
            for w, m, v in zip(weights, means, squares)
        ]
    return weights
