"""The training step, which reads like the tutorial's, and what every step returns."""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.gan import Gan, Gradients, scaled, with_labels


class StepScalars(NamedTuple):
    """The figures of one step, float32 scalars; on several replicas, the means of theirs.

    Attributes:
        gen_loss, disc_loss: the losses, penalties included.
        d_real, d_fake: the means of D(x) and D(G(z)), with D = sigmoid(logits): probabilities,
            unless the loss makes the logits scores.
        gen_gradient_norm, disc_gradient_norm: the norm of all gradients of a model together.
        spread: the standard deviation of a pixel over the generated images, averaged over all
            pixels, divided by that of the real images: near 1 in a good run, near 0 in a collapse.
            Not a number where each replica has a single image.
    """

    gen_loss: tf.Tensor
    disc_loss: tf.Tensor
    d_real: tf.Tensor
    d_fake: tf.Tensor
    gen_gradient_norm: tf.Tensor
    disc_gradient_norm: tf.Tensor
    spread: tf.Tensor


class StepOutput(NamedTuple):
    """What a training step returns.

    Attributes:
        scalars: the step's figures.
        real_logits, fake_logits: float32 [batch / pack, 1].
    """

    scalars: StepScalars
    real_logits: tf.Tensor
    fake_logits: tf.Tensor


def train_step(gan: Gan, images: tf.Tensor, labels: tf.Tensor | None = None) -> StepOutput:
    """One update of both models, as in the tutorial.

    With the default settings, there are no labels, augmentations, penalties or EMA generator, and
    losses are not scaled.

    Args:
        gan: the models, their optimizers and losses.
        images: float32 [batch, H, W, C] in [-1, 1].
        labels: the ids of their classes, int [batch], in a conditional run.
    """
    noise, fake_labels = gan.random.noise(), gan.random.labels()

    with tf.GradientTape(persistent=True) as tape:
        generated_images = gan.generator(with_labels(noise, fake_labels), training=True)
        real, fake = gan.augment(images, generated_images)

        real_logits, fake_logits = gan.discriminate(real, fake, labels, fake_labels)

        gen_loss = gan.generator_loss(real_logits, fake_logits)
        disc_loss = gan.discriminator_loss(real_logits, fake_logits)
        if gan.penalties:
            disc_loss += gan.penalty(real, fake, labels, fake_labels)

        scaled_gen_loss = scaled(gen_loss, gan.generator_optimizer)
        scaled_disc_loss = scaled(disc_loss, gan.discriminator_optimizer)

    gen_gradients = tape.gradient(scaled_gen_loss, gan.generator.trainable_variables)
    disc_gradients = tape.gradient(scaled_disc_loss, gan.discriminator.trainable_variables)
    gen_norm = gradient_norm(gen_gradients, gan.generator_optimizer)
    disc_norm = gradient_norm(disc_gradients, gan.discriminator_optimizer)

    gan.generator_optimizer.apply_gradients(zip(gen_gradients, gan.generator.trainable_variables))
    gan.discriminator_optimizer.apply_gradients(
        zip(disc_gradients, gan.discriminator.trainable_variables)
    )
    if gan.adaptive:
        gan.adaptive.update(real_logits, fake_logits, gan.step)
    gan.update_ema()
    gan.step.assign_add(1)
    return step_output(
        (images, generated_images),
        (real_logits, fake_logits),
        (gen_loss, disc_loss),
        (gen_norm, disc_norm),
    )


def step_output(
    images: tuple[tf.Tensor, tf.Tensor],
    logits: tuple[tf.Tensor, tf.Tensor],
    losses: tuple[tf.Tensor, tf.Tensor],
    gradient_norms: tuple[tf.Tensor, tf.Tensor],
) -> StepOutput:
    """What a step returns.

    Args:
        images: real and generated ones, float32 [batch, H, W, C].
        logits: of real and of generated images, float32 [batch / pack, 1].
        losses: the generator's and the discriminator's, float32 scalars.
        gradient_norms: the generator's and the discriminator's, float32 scalars.
    """
    real_std, fake_std = (tf.reduce_mean(tf.math.reduce_std(each, axis=0)) for each in images)
    (gen_loss, disc_loss), (gen_norm, disc_norm) = losses, gradient_norms
    real_logits, fake_logits = logits
    scalars = StepScalars(
        gen_loss,
        disc_loss,
        d_real=tf.reduce_mean(tf.sigmoid(real_logits)),
        d_fake=tf.reduce_mean(tf.sigmoid(fake_logits)),
        gen_gradient_norm=gen_norm,
        disc_gradient_norm=disc_norm,
        spread=tf.where(real_std > 0, fake_std / real_std, np.nan),
    )
    return StepOutput(scalars, real_logits, fake_logits)


def gradient_norm(gradients: Gradients, optimizer: keras.optimizers.Optimizer) -> tf.Tensor:
    """The norm of all gradients of a model together, float32 scalar.

    A `LossScaleOptimizer` is given scaled gradients and skips an update with infinite ones: the
    norm is of the unscaled gradients, and 0 in an update that is skipped.
    """
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        scale = tf.convert_to_tensor(optimizer.dynamic_scale)
        finite = tf.math.is_finite(tf.linalg.global_norm(gradients))
        gradients = [tf.where(finite, gradient / scale, 0.0) for gradient in gradients]
    return tf.linalg.global_norm(gradients)
