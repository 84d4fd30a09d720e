"""The tutorial's step, going back through the discriminator once for each generated image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from dcgan_tf.health import vital_signs

if TYPE_CHECKING:
    from dcgan_tf.training import StepOutput, Trainer

LEAST = 1e-20


def one_pass_step(trainer: Trainer, images: tf.Tensor) -> StepOutput:
    """The same as `Trainer.train_step`, up to rounding, of a discriminator without batch norm.

    Such a discriminator treats each image on its own. What comes back from its logit to its image
    is then proportional to what the loss sends into the logit. Both losses need it, and the
    generator's differs from the discriminator's by one factor an image.

    Args:
        trainer: what trains.
        images: float32 [batch, H, W, C] in [-1, 1].
    """
    gen_variables = trainer.generator.trainable_variables
    disc_variables = trainer.discriminator.trainable_variables
    noise = trainer.noise()
    with tf.GradientTape(persistent=True) as tape:
        generated_images = trainer.generator(noise, training=True)
        logits = trainer.discriminate(trainer.discriminator, images, generated_images)
        real_logits, fake_logits = logits
        gen_loss = trainer.generator_loss(fake_logits)
        disc_loss = trainer.discriminator_loss(real_logits, fake_logits)

    by_generator = tape.gradient(gen_loss, fake_logits)
    by_real, by_fake = tape.gradient(disc_loss, logits)
    # So small a gradient moves no weight, but can be divided by.
    by_fake = tf.where(tf.abs(by_fake) < LEAST, LEAST, by_fake)
    *disc_gradients, by_images = tape.gradient(
        logits, [*disc_variables, generated_images], output_gradients=[by_real, by_fake]
    )
    factors = tf.repeat(by_generator / by_fake, trainer.config.pack, axis=0)
    gen_gradients = tape.gradient(
        generated_images,
        gen_variables,
        output_gradients=by_images * factors[:, tf.newaxis, tf.newaxis],
    )

    trainer.generator_optimizer.apply_gradients(zip(gen_gradients, gen_variables))
    trainer.discriminator_optimizer.apply_gradients(zip(disc_gradients, disc_variables))
    signs = vital_signs(images, generated_images, gen_gradients, disc_gradients)
    return trainer.end_step(gen_loss, disc_loss, real_logits, fake_logits, signs)
