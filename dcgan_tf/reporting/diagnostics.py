"""Warnings of a training that goes wrong, from figures that the steps return anyway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from dcgan_tf.losses import LOSSES
from dcgan_tf.train_step import StepScalars

WINDOW = 200
COLLAPSED_SPREAD = 0.3
VANISHED_NORM = 1e-3
EXPLODED = 50


class Diagnosis(NamedTuple):
    """One thing that goes wrong: its name, what is seen, and what usually helps."""

    name: str
    seen: str
    helps: str


def diagnose(metrics: np.ndarray, loss: str) -> Iterator[Diagnosis]:
    """What goes wrong in a run, by the means of its last WINDOW steps.

    The first WINDOW steps are let pass.

    Args:
        metrics: [steps, 7], the fields of `StepScalars`.
        loss: the run's; D(x) and D(G(z)) are probabilities in some of them only.
    """
    if len(metrics) < 2 * WINDOW:
        return
    means = StepScalars(*metrics[-WINDOW:].mean(axis=0))
    usual = StepScalars(*np.median(metrics, axis=0))
    if LOSSES[loss].probabilities and means.d_real > 0.99 and means.d_fake < 0.01:
        yield Diagnosis(
            "discriminator wins",
            f"D(x) is {means.d_real:.3f} and D(G(z)) {means.d_fake:.3f}",
            "a lower --discriminator_learning_rate, --label_smoothing 0.1, or more --dropout",
        )
    if means.spread < COLLAPSED_SPREAD:
        yield Diagnosis(
            "collapse",
            f"generated images differ {means.spread:.2f} times as much as real ones",
            "--pack 2, another --seed, or a lower --generator_learning_rate",
        )
    if means.gen_gradient_norm < VANISHED_NORM:
        yield Diagnosis(
            "vanishing gradients",
            f"the generator's gradients have a norm of {means.gen_gradient_norm:.1e}",
            "--loss bce" if loss == "minimax" else "a lower --discriminator_learning_rate",
        )
    norms = np.array([means.gen_gradient_norm, means.disc_gradient_norm])
    usual_norms = np.array([usual.gen_gradient_norm, usual.disc_gradient_norm])
    if (norms > EXPLODED * usual_norms).any():
        yield Diagnosis(
            "divergence",
            "gradients have norms of {:.1e} (generator) and {:.1e} (discriminator), usual so far "
            "were {:.1e} and {:.1e}".format(*norms, *usual_norms),
            "a lower --learning_rate",
        )


class Diagnostics:
    """Diagnoses a run every WINDOW steps, and warns of each thing once.

    Args:
        loss: the run's.
        step: the step from which the run goes on.
    """

    def __init__(self, loss: str, step: int) -> None:
        self.loss = loss
        self.diagnosed_at = step
        self.warned: set[str] = set()

    def warnings(self, metrics: np.ndarray) -> Iterator[str]:
        """A line for each diagnosis that is new."""
        step = len(metrics)
        if step - self.diagnosed_at < WINDOW:
            return
        self.diagnosed_at = step
        for name, seen, helps in diagnose(metrics, self.loss):
            if name not in self.warned:
                self.warned.add(name)
                yield f"{name}: since step {step - WINDOW + 1} {seen}; what usually helps: {helps}"
