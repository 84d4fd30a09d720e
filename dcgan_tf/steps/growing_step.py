"""The step of a growing run, which fades in new layers."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from dcgan_tf.conditional.label_inputs import stack_of
from dcgan_tf.gan import Gan
from dcgan_tf.train_step import StepOutput
from dcgan_tf.transfer.growing import FadeIn, fade_images


def growing_step(
    step: Callable[..., StepOutput], steps: int, stride: int
) -> Callable[..., StepOutput]:
    """Wraps a step so that it fades in the new layers of a GAN.

    Args:
        step: a function of the GAN, images and labels.
        steps: the number of steps over which the layers are faded in.
        stride: the ratio of the new image size to the old one.
    """

    def alpha(gan: Gan) -> tf.Tensor:
        return tf.minimum(tf.cast(gan.step, tf.float32) / steps, 1.0)

    def take(gan: Gan, images: tf.Tensor, labels: tf.Tensor | None = None) -> StepOutput:
        output = step(gan, fade_images(images, alpha(gan), stride), labels)
        for model in (gan.generator, gan.discriminator, gan.ema_generator):
            for layer in stack_of(model).layers if model else ():
                if isinstance(layer, FadeIn):
                    layer.alpha.assign(alpha(gan))
        return output

    return take
