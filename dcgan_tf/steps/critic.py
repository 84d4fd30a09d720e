"""Several discriminator updates per generator update, for the Wasserstein losses."""

from __future__ import annotations

import tensorflow as tf

from dcgan_tf.gan import Gan, scaled, with_labels
from dcgan_tf.train_step import StepOutput, gradient_norm, step_output


def critic_step(
    gan: Gan,
    images: tf.Tensor,
    labels: tf.Tensor | None = None,
    critic_updates: int = 5,
    weight_clip: float | None = None,
) -> StepOutput:
    """Updates the discriminator several times, on different images, then the generator once.

    Arjovsky et al., 2017, algorithm 1, with weight clipping; or Gulrajani et al., 2017, algorithm
    1, with a gradient penalty.

    Args:
        gan: the models.
        images: float32 [critic_updates · batch, H, W, C] in [-1, 1].
        labels: class ids, int [critic_updates · batch], in a conditional run.
        critic_updates: the number of discriminator updates.
        weight_clip: clips the discriminator's weights to ± this.
    """
    generator, discriminator = gan.generator, gan.discriminator
    weights = discriminator.trainable_variables
    batches = tf.split(images, critic_updates)
    batch_labels = [None] * critic_updates if labels is None else tf.split(labels, critic_updates)

    for update, (real_images, real_labels) in enumerate(zip(batches, batch_labels)):
        noise, fake_labels = gan.random.noise(update), gan.random.labels(update)
        generated_images = generator(with_labels(noise, fake_labels), training=True)
        real, fake = gan.augment(real_images, generated_images, update)
        with tf.GradientTape() as tape:
            real_logits, fake_logits = gan.discriminate(real, fake, real_labels, fake_labels)
            disc_loss = gan.discriminator_loss(real_logits, fake_logits)
            if gan.penalties:
                disc_loss += gan.penalty(real, fake, real_labels, fake_labels, update)
            scaled_disc_loss = scaled(disc_loss, gan.discriminator_optimizer)
        disc_gradients = tape.gradient(scaled_disc_loss, weights)
        disc_norm = gradient_norm(disc_gradients, gan.discriminator_optimizer)
        gan.discriminator_optimizer.apply_gradients(zip(disc_gradients, weights))
        if weight_clip is not None:
            for weight in weights:
                weight.assign(tf.clip_by_value(weight, -weight_clip, weight_clip))

    noise, fake_labels = gan.random.noise(critic_updates), gan.random.labels(critic_updates)
    with tf.GradientTape() as tape:
        generated_images = generator(with_labels(noise, fake_labels), training=True)
        real, fake = gan.augment(real_images, generated_images, critic_updates)
        inputs = (real if gan.generator_needs_real else None, fake, real_labels, fake_labels)
        gen_loss = gan.generator_loss(*gan.discriminate(*inputs))
        scaled_gen_loss = scaled(gen_loss, gan.generator_optimizer)
    gen_gradients = tape.gradient(scaled_gen_loss, generator.trainable_variables)
    gen_norm = gradient_norm(gen_gradients, gan.generator_optimizer)
    gan.generator_optimizer.apply_gradients(zip(gen_gradients, generator.trainable_variables))
    if gan.adaptive:
        gan.adaptive.update(real_logits, fake_logits, gan.step)
    if gan.ema_generator:
        gan.update_ema()
    gan.step.assign_add(1)
    # The discriminator's logits and loss are those of its last update.
    return step_output(
        (real_images, generated_images),
        (real_logits, fake_logits),
        (gen_loss, disc_loss),
        (gen_norm, disc_norm),
    )
