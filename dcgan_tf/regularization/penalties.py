"""Gradient penalties: pure functions, added to the discriminator's loss.

Each takes a `Critique` and the images that the discriminator sees, and returns a float32 scalar.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from dcgan_tf.settings.choices import PENALTIES, resolve
from dcgan_tf.settings.config import Config


class Critique(NamedTuple):
    """The discriminator as the loss uses it.

    Attributes:
        of_real: maps images in place of the real ones, float32 [batch, H, W, C], to logits.
        of_fake: maps images in place of the generated ones to logits.
        places: uniform random numbers in [0, 1), float32 [batch, 1, 1, 1].
    """

    of_real: Callable[[tf.Tensor], tf.Tensor]
    of_fake: Callable[[tf.Tensor], tf.Tensor]
    places: tf.Tensor


def r1_penalty(critique: Critique, real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """R1: half the mean of ‖∇D‖² at real images (Mescheder et al., 2018, equation 9)."""
    return 0.5 * tf.reduce_mean(squared_gradient_norms(critique.of_real, real))


def r2_penalty(critique: Critique, real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """R2: half the mean of ‖∇D‖² at generated images (Mescheder et al., 2018, equation 10)."""
    return 0.5 * tf.reduce_mean(squared_gradient_norms(critique.of_fake, fake))


def gradient_penalty(critique: Critique, real: tf.Tensor, fake: tf.Tensor) -> tf.Tensor:
    """The mean of (‖∇D‖ − 1)² at random points between real and generated images.

    Gulrajani et al., 2017, equation 3. Each point has the label of its real image.
    """
    between = real + critique.places * (fake - real)
    squares = squared_gradient_norms(critique.of_real, between)
    return tf.reduce_mean((tf.sqrt(squares + 1e-12) - 1.0) ** 2)


def squared_gradient_norms(
    logits_of: Callable[[tf.Tensor], tf.Tensor], images: tf.Tensor
) -> tf.Tensor:
    """‖∇D‖² for each logit's images, float32 [logits].

    The gradient is that of the sum of all logits; with batch norm, each depends on all images.
    """
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = logits_of(images)[:, :1]  # without an auxiliary classifier's output
    slopes = tape.gradient(logits, images)
    return tf.reduce_sum(tf.reshape(slopes, [logits.shape[0], -1]) ** 2, axis=1)


class Penalty(NamedTuple):
    """A term of the discriminator's loss.

    Attributes:
        function: the penalty.
        factor: its weight: γ of R1 and R2, λ of the gradient penalty.
        interval: the penalty is added every `interval` steps, multiplied by `interval`.
    """

    function: Callable[[Critique, tf.Tensor, tf.Tensor], tf.Tensor]
    factor: float
    interval: int = 1


def lazily(
    term: Callable[[Sequence[tf.Tensor]], tf.Tensor],
    weights: Sequence[tf.Tensor],
    step: tf.Tensor,
    interval: int,
) -> tf.Tensor:
    """Computes a term of a loss only every `interval` steps; it is 0 in between.

    Its gradient is computed in the same branch, because the gradient of `tf.cond` misses parts of
    the second derivative of batch norm (TensorFlow 2.21).

    Args:
        term: a function of the weights.
        weights: the weights; if `interval` is above 1, the only tensors with a gradient.
        step: the number of steps taken, int64.
        interval: the number of steps, at least 1.

    Returns:
        float32 scalar, `interval` times the term, or 0.
    """
    if interval == 1:
        return term(weights)

    @tf.custom_gradient
    def due_term(*weights: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        # Otherwise, the outer tapes build all derivatives of `tf.cond`, which takes seconds.
        weights = tuple(tf.stop_gradient(weight) for weight in weights)

        def due() -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
            with tf.GradientTape() as tape:
                tape.watch(weights)
                value = interval * term(weights)
            return value, tape.gradient(value, weights, unconnected_gradients="zero")

        def not_due() -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
            return tf.constant(0.0), tuple(tf.zeros_like(weight) for weight in weights)

        value, gradients = tf.cond(step % interval == 0, due, not_due)
        return value, lambda upstream: [upstream * gradient for gradient in gradients]

    return due_term(*weights)


def with_weights(model: keras.Model, weights: Sequence[tf.Tensor]) -> Callable[..., tf.Tensor]:
    """A model as a function, with different trainable weights.

    A call advances the model's random state, so each has its own dropout mask. It does not change
    the moving averages of batch norm.
    """
    variables = model.non_trainable_variables

    def call(inputs: Any, training: bool) -> tf.Tensor:
        before = [tf.convert_to_tensor(variable) for variable in variables]
        outputs, after = model.stateless_call(weights, before, inputs, training=training)
        for variable, value in zip(variables, after):
            if variable.name == "seed_generator_state":
                variable.assign(value)
        return outputs

    return call


def make_penalties(config: Config) -> list[Penalty]:
    """The penalties whose factors are set in the config."""
    return [
        Penalty(resolve(row.function), getattr(config, name), row.interval)
        for name, row in PENALTIES.items()
        if getattr(config, name)
    ]
