"""The training step, as in the tutorial, and what every step returns."""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.gan import Gan, Gradients, scaled, with_labels


class StepScalars(NamedTuple):
    """The metrics of one step, float32 scalars, averaged over replicas.

    Attributes:
        gen_loss, disc_loss: the losses, including penalties.
        d_real, d_fake: the means of D(x) and D(G(z)), with D = sigmoid(logits). They are
            probabilities only if the loss is a cross-entropy.
        gen_gradient_norm, disc_gradient_norm: the global norm of each model's gradients.
        spread: the standard deviation of each pixel over the batch, averaged over all pixels, of
            generated images relative to real images, both before augmentation. Near 1 in a good
            run, near 0 in a collapse. NaN if a replica has only one image.
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
        scalars: the metrics of the step.
        real_logits, fake_logits: float32 [batch / pack, 1].
    """

    scalars: StepScalars
    real_logits: tf.Tensor
    fake_logits: tf.Tensor


def train_step(gan: Gan, images: tf.Tensor, labels: tf.Tensor | None = None) -> StepOutput:
    """Updates both models once, as the tutorial does.

    With the default settings, noise is from N(0, 1), the losses are the tutorial's, and the
    discriminator sees real and generated images in separate batches. There are no labels,
    augmentations, penalties or EMA generator, and `scaled` returns the losses unchanged.

    Args:
        gan: the models, their optimizers and losses.
        images: float32 [batch, H, W, C] in [-1, 1].
        labels: class ids, int [batch], in a conditional run.
    """
    noise, fake_labels = gan.random.noise(), gan.random.labels()

    # Like the tutorial's two tapes: both gradients are taken before either model is updated.
    with tf.GradientTape(persistent=True) as tape:
        generated_images = gan.generator(with_labels(noise, fake_labels), training=True)
        real, fake = images, generated_images
        if gan.augmentations:
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
    if gan.ema_generator:
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
    """Builds a `StepOutput` from the intermediate results of a step.

    Args:
        images: real and generated images, float32 [batch, H, W, C].
        logits: of real and of generated images, see `Gan.discriminate`.
        losses: of the generator and the discriminator, float32 scalars.
        gradient_norms: of the generator and the discriminator, float32 scalars.
    """
    real_std, fake_std = (tf.reduce_mean(tf.math.reduce_std(each, axis=0)) for each in images)
    (gen_loss, disc_loss), (gen_norm, disc_norm) = losses, gradient_norms
    real_logits, fake_logits = (each[:, :1] for each in logits)
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
    """The global norm of a model's gradients, float32 scalar.

    A `LossScaleOptimizer` gets scaled gradients and skips updates with non-finite ones. The norm is
    that of the unscaled gradients, or 0 if the update is skipped.
    """
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        scale = tf.convert_to_tensor(optimizer.dynamic_scale)
        finite = tf.math.is_finite(tf.linalg.global_norm(gradients))
        gradients = [tf.where(finite, gradient / scale, 0.0) for gradient in gradients]
    return tf.linalg.global_norm(gradients)
