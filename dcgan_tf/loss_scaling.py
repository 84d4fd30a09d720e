"""The step in float16, whose gradients are scaled up so that the small ones don't become 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from dcgan_tf.health import vital_signs

if TYPE_CHECKING:
    from dcgan_tf.training import StepOutput, Trainer


def scaled_step(trainer: Trainer, images: tf.Tensor) -> StepOutput:
    """The tutorial's step, with losses scaled by both optimizers (Micikevicius et al., 2018).

    An optimizer divides the gradients by its scale again, and leaves out an update whose gradients
    are infinite; their norm is then 0.

    Args:
        trainer: its optimizers are `LossScaleOptimizer`s.
        images: float32 [batch, H, W, C] in [-1, 1].
    """
    generator, discriminator = trainer.generator, trainer.discriminator
    noise = trainer.noise()
    with tf.GradientTape() as gen_tape, tf.GradientTape() as disc_tape:
        fake = generator(noise, training=True)
        real_logits, fake_logits = trainer.discriminate(discriminator, images, fake)
        gen_loss = trainer.generator_loss(fake_logits)
        disc_loss = trainer.discriminator_loss(real_logits, fake_logits)
        scaled_gen_loss = trainer.generator_optimizer.scale_loss(gen_loss)
        scaled_disc_loss = trainer.discriminator_optimizer.scale_loss(disc_loss)
    gradients = [
        update(optimizer, tape.gradient(loss, model.trainable_variables), model)
        for optimizer, tape, loss, model in (
            (trainer.generator_optimizer, gen_tape, scaled_gen_loss, generator),
            (trainer.discriminator_optimizer, disc_tape, scaled_disc_loss, discriminator),
        )
    ]
    signs = vital_signs(images, fake, *gradients)
    return trainer.end_step(gen_loss, disc_loss, real_logits, fake_logits, signs)


def update(
    optimizer: keras.optimizers.LossScaleOptimizer, scaled: list[tf.Tensor], model: keras.Model
) -> list[tf.Tensor]:
    """Applies scaled gradients, and returns them unscaled; 0 where they were left out."""
    scale = tf.convert_to_tensor(optimizer.dynamic_scale)
    optimizer.apply_gradients(zip(scaled, model.trainable_variables))
    finite = tf.math.is_finite(tf.linalg.global_norm(scaled))
    return [tf.where(finite, gradient / scale, 0.0) for gradient in scaled]
