"""Signs of a training that goes wrong, from numbers that the step already has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

WINDOW = 200
PROBABLE_LOSSES = ("bce", "minimax")
COLLAPSED_SPREAD = 0.3
VANISHED_NORM = 1e-3
EXPLODED = 50


class VitalSigns(NamedTuple):
    """What a step tells of its networks beside its losses; float32 scalars.

    Attributes:
        gen_gradient_norm, disc_gradient_norm: of all gradients of a network, before its update.
        spread: the standard deviation of a pixel over the generated images, averaged over all
            pixels, divided by that of the real images: near 1 in a good run, near 0 in a collapse.
    """

    gen_gradient_norm: tf.Tensor
    disc_gradient_norm: tf.Tensor
    spread: tf.Tensor


def vital_signs(
    images: tf.Tensor,
    generated_images: tf.Tensor,
    gen_gradients: list[tf.Tensor],
    disc_gradients: list[tf.Tensor],
) -> VitalSigns:
    """The vital signs of one step.

    Args:
        images: float32 [batch, H, W, C], the step's real ones.
        generated_images: float32 [batch, H, W, C].
        gen_gradients: the generator's.
        disc_gradients: the discriminator's.
    """
    real, fake = (
        tf.reduce_mean(tf.math.reduce_std(each, axis=0)) for each in (images, generated_images)
    )
    return VitalSigns(
        tf.linalg.global_norm(gen_gradients),
        tf.linalg.global_norm(disc_gradients),
        tf.math.divide_no_nan(fake, real),
    )


class Ailment(NamedTuple):
    """One thing that may go wrong: its name, what is seen, and what usually helps."""

    name: str
    seen: str
    helps: str


def ailments(metrics: np.ndarray, loss: str) -> Iterator[Ailment]:
    """What ails a run, by the means of its last WINDOW steps; the first as many are let pass.

    Args:
        metrics: [steps, 7]: what `STEP_METRICS` in `history.py` names.
        loss: the run's; D(x) and D(G(z)) are probabilities in some of them only.
    """
    if len(metrics) < 2 * WINDOW:
        return
    _, _, d_real, d_fake, gen_norm, disc_norm, spread = metrics[-WINDOW:].mean(axis=0)
    if loss in PROBABLE_LOSSES and d_real > 0.99 and d_fake < 0.01:
        yield Ailment(
            "discriminator wins",
            f"D(x) is {d_real:.3f} and D(G(z)) {d_fake:.3f}",
            "a lower --discriminator_learning_rate, --label_smoothing 0.1, or more --dropout",
        )
    if spread < COLLAPSED_SPREAD:
        yield Ailment(
            "collapse",
            f"generated images differ {spread:.2f} times as much as real ones",
            "--pack 2, another --seed, or a lower --generator_learning_rate",
        )
    if gen_norm < VANISHED_NORM:
        yield Ailment(
            "vanishing gradients",
            f"the generator's gradients have a norm of {gen_norm:.1e}",
            "--loss bce" if loss == "minimax" else "a lower --discriminator_learning_rate",
        )
    usual_gen, usual_disc = np.median(metrics[:, 4:6], axis=0)
    if gen_norm > EXPLODED * usual_gen or disc_norm > EXPLODED * usual_disc:
        yield Ailment(
            "divergence",
            f"gradients have norms of {gen_norm:.1e} (generator) and {disc_norm:.1e} "
            f"(discriminator), usual so far were {usual_gen:.1e} and {usual_disc:.1e}",
            "a lower --learning_rate",
        )


class Watch:
    """Looks at a run every WINDOW steps, and tells each ailment once.

    Args:
        loss: the run's.
        step: the step from which the run goes on.
    """

    def __init__(self, loss: str, step: int) -> None:
        self.loss = loss
        self.looked_at = step
        self.told: set[str] = set()

    def warnings(self, metrics: np.ndarray) -> Iterator[str]:
        """A line for each ailment that is new."""
        step = len(metrics)
        if step - self.looked_at < WINDOW:
            return
        self.looked_at = step
        for name, seen, helps in ailments(metrics, self.loss):
            if name not in self.told:
                self.told.add(name)
                yield f"{name}: since step {step - WINDOW + 1} {seen}; what usually helps: {helps}"
