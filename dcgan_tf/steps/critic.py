"""Several updates of the discriminator to one of the generator, for the Wasserstein losses."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from dcgan_tf.distributed.replicas import replica_slice
from dcgan_tf.gan import PENALTY, Gan
from dcgan_tf.train_step import StepOutput, step_output


def critic_step(gan: Gan, images: tf.Tensor) -> StepOutput:
    """Several updates of the discriminator, each on images of its own, then one of the generator.

    Arjovsky et al., 2017, algorithm 1, with weight clipping; or Gulrajani et al., 2017, algorithm
    1, with a gradient penalty.

    Args:
        gan: its config's `discriminator_steps`, `weight_clip` and `gradient_penalty` count.
        images: float32 [discriminator_steps · batch, H, W, C] in [-1, 1].
    """
    config, generator, discriminator = gan.config, gan.generator, gan.discriminator
    weights = discriminator.trainable_variables

    for i, real in enumerate(tf.split(images, config.discriminator_steps)):
        fake = generator(gan.noise(i), training=True)
        with tf.GradientTape() as tape:
            real_logits, fake_logits = gan.discriminate(real, fake, update=i)
            disc_loss = gan.discriminator_loss(real_logits, fake_logits)
            loss = disc_loss
            if config.gradient_penalty is not None:
                seen, seed = gan.seen(real, fake, i), gan.seed(PENALTY, i)
                channels = fake.shape[-1]
                penalty = gradient_penalty(discriminator, *seen, seed, channels, config.pack)
                loss += config.gradient_penalty * penalty
        disc_gradients = tape.gradient(loss, weights)
        gan.discriminator_optimizer.apply_gradients(zip(disc_gradients, weights))
        if config.weight_clip is not None:
            for weight in weights:
                weight.assign(tf.clip_by_value(weight, -config.weight_clip, config.weight_clip))

    last = config.discriminator_steps
    noise = gan.noise(last)
    with tf.GradientTape() as tape:
        fake = generator(noise, training=True)
        gen_loss = gan.generator_loss(gan.discriminate_generated(real, fake, update=last))
    gen_gradients = tape.gradient(gen_loss, generator.trainable_variables)

    logits, losses = (real_logits, fake_logits), (gen_loss, disc_loss)
    output = step_output(gan, (real, fake), logits, losses, (gen_gradients, disc_gradients))
    gan.generator_optimizer.apply_gradients(zip(gen_gradients, generator.trainable_variables))
    gan.end_step()
    return output


def gradient_penalty(
    discriminator: Callable,
    real: tf.Tensor,
    fake: tf.Tensor,
    seed: tf.Tensor,
    channels: int,
    pack: int = 1,
) -> tf.Tensor:
    """The mean of (‖∇D‖ − 1)² at random points between real and generated images.

    Gulrajani et al., 2017, equation 3, without its factor λ. Where the discriminator sees packs of
    images, a point lies between two packs, and the gradient is with respect to all of its images.
    Labels beside the images are the real ones' at every point.

    Args:
        discriminator: called with images and `training=True`; it must treat each on its own.
        real: float32 [batch, H, W, C].
        fake: float32 [batch, H, W, C].
        seed: int [2], where between each pair the point is.
        channels: how many of them the gradient is with respect to; labels come after these.
        pack: how many images the discriminator sees at once.
    """
    shape = [real.shape[0] // pack] + [1] * (len(real.shape) - 1)
    places = replica_slice(lambda shape: tf.random.stateless_uniform(shape, seed), shape)
    places = tf.repeat(places, pack, axis=0)
    pixels = real[..., :channels]
    pixels += places * (fake[..., :channels] - pixels)
    between = tf.concat([pixels, real[..., channels:]], axis=-1)
    with tf.GradientTape() as tape:
        tape.watch(between)
        logits = discriminator(between, training=True)
    gradients = tape.gradient(logits, between)[..., :channels]
    squares = tf.reduce_sum(tf.reshape(gradients, [real.shape[0] // pack, -1]) ** 2, axis=1)
    return tf.reduce_mean((tf.sqrt(squares + 1e-12) - 1.0) ** 2)
