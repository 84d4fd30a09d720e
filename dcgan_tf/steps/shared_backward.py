"""Both gradients from one backward pass through the discriminator for each generated image."""

from __future__ import annotations

import tensorflow as tf

from dcgan_tf.gan import Gan, Gradients

LEAST = 1e-20


def shared_gradients(
    gan: Gan,
    tape: tf.GradientTape,
    images: tuple[tf.Tensor, tf.Tensor],
    logits: tuple[tf.Tensor, tf.Tensor],
    losses: tuple[tf.Tensor, tf.Tensor],
) -> tuple[Gradients, Gradients]:
    """The same as `separate_gradients`, up to rounding, of a discriminator without batch norm.

    Such a discriminator treats each image on its own. The gradient with respect to an image is
    then proportional to the gradient with respect to its logit. Both losses need it, and the
    generator's differs from the discriminator's by one factor an image.
    """
    generated_images, fake_logits = images[1], logits[1]
    gen_loss, disc_loss = losses
    gen_upstream = tape.gradient(gen_loss, fake_logits)
    real_upstream, fake_upstream = tape.gradient(disc_loss, logits)
    # So small a gradient moves no weight, but can be divided by.
    fake_upstream = tf.where(tf.abs(fake_upstream) < LEAST, LEAST, fake_upstream)
    *disc_gradients, image_gradients = tape.gradient(
        logits,
        [*gan.discriminator.trainable_variables, generated_images],
        output_gradients=[real_upstream, fake_upstream],
    )
    factors = tf.repeat(gen_upstream / fake_upstream, gan.config.pack, axis=0)
    gen_gradients = tape.gradient(
        generated_images,
        gan.generator.trainable_variables,
        output_gradients=image_gradients * factors[:, tf.newaxis, tf.newaxis],
    )
    return gen_gradients, disc_gradients
