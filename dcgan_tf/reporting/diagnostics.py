"""Warnings about a run with problems, from the scalars that each step returns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from dcgan_tf.evaluation.scores import Evaluation, comparable
from dcgan_tf.losses import LOSSES
from dcgan_tf.train_step import StepScalars

WINDOW = 200
COLLAPSED_SPREAD = 0.3
SHORT_WINDOW = 50
LATEST = 10
FALLEN_SPREAD = 0.15  # healthy runs fall as low as 0.10, but rise again within 100 steps
RISING = 1.05  # the factor by which the latest steps of a rising spread exceed those before
SPREAD = StepScalars._fields.index("spread")
VANISHED_NORM = 1e-3
EXPLODED_FACTOR = 50
WORSE_FACTOR = 2


class Diagnosis(NamedTuple):
    """A problem: its name, the evidence, and what usually helps."""

    name: str
    evidence: str
    remedy: str
    steps: int = WINDOW


def collapse(spread: float, steps: int) -> Diagnosis:
    """The diagnosis if generated images resemble each other for some steps."""
    return Diagnosis(
        "collapse",
        f"generated images differ {spread:.2f} times as much as real ones",
        "`augment` color,translation if there are few images, `pack` 2, another `seed`, or a lower "
        "`generator_learning_rate`",
        steps,
    )


def diagnose(metrics: np.ndarray, loss: str) -> Iterator[Diagnosis]:
    """The problems of a run, judged by the means of its last WINDOW steps.

    The first WINDOW steps are never judged.

    Args:
        metrics: [steps, 7], the fields of `StepScalars`.
        loss: a name of LOSSES; D(x) and D(G(z)) are probabilities under some of them only.
    """
    if len(metrics) < 2 * WINDOW:
        return
    means = StepScalars(*metrics[-WINDOW:].mean(axis=0))
    usual = StepScalars(*np.median(metrics, axis=0))
    if LOSSES[loss].probabilities and means.d_real > 0.99 and means.d_fake < 0.01:
        yield Diagnosis(
            "discriminator wins",
            f"D(x) is {means.d_real:.3f} and D(G(z)) {means.d_fake:.3f}",
            "a lower `discriminator_learning_rate`, `label_smoothing` 0.1, or more `dropout`",
        )
    last_spread = metrics[-SHORT_WINDOW:, SPREAD].mean()
    has_ended = last_spread > min(COLLAPSED_SPREAD, RISING * means.spread)
    if means.spread < COLLAPSED_SPREAD and not has_ended:
        yield collapse(means.spread, WINDOW)
    if means.gen_gradient_norm < VANISHED_NORM:
        yield Diagnosis(
            "vanishing gradients",
            f"the generator's gradients have a norm of {means.gen_gradient_norm:.1e}",
            "`loss` bce" if loss == "minimax" else "a lower `discriminator_learning_rate`",
        )
    norms = np.array([means.gen_gradient_norm, means.disc_gradient_norm])
    usual_norms = np.array([usual.gen_gradient_norm, usual.disc_gradient_norm])
    if (norms > EXPLODED_FACTOR * usual_norms).any():
        yield Diagnosis(
            "divergence",
            "gradients have norms of {:.1e} (generator) and {:.1e} (discriminator); the medians so "
            "far are {:.1e} and {:.1e}".format(*norms, *usual_norms),
            "a lower `learning_rate`",
        )


def diagnose_spread(spread: np.ndarray) -> Iterator[Diagnosis]:
    """A collapse, as soon as it differs from the first steps of a healthy run.

    There, the spread is also low, but it soon rises. In a collapse, it stays low.

    Args:
        spread: the spread of every step so far, [steps].
    """
    if len(spread) >= 2 * SHORT_WINDOW:
        before, last = spread[-2 * SHORT_WINDOW :].reshape(2, SHORT_WINDOW).mean(axis=1)
        has_ended = spread[-LATEST:].mean() > min(FALLEN_SPREAD, RISING * last)
        if last < FALLEN_SPREAD and last <= before and not has_ended:
            yield collapse(last, SHORT_WINDOW)


def diagnose_quality(evaluations: list[Evaluation]) -> Iterator[Diagnosis]:
    """Whether the last two evaluations are far worse than the best one before them."""
    evaluations = comparable(evaluations)
    distances = [float(each.values["frechet_distance"]) for each in evaluations]
    if len(evaluations) > 2 and min(distances[-2:]) > WORSE_FACTOR * min(distances):
        best = evaluations[distances.index(min(distances))]
        yield Diagnosis(
            "images get worse",
            f"their Fréchet distance is {distances[-1]:.3g}, up from {min(distances):.3g} after "
            f"step {best.step}",
            "`checkpoint` best, which keeps the images of that step, or `ema_decay`",
        )


class Diagnostics:
    """Diagnoses a run every WINDOW steps, its spread more often, and gives each warning once.

    Args:
        loss: the run's loss.
        step: the step at which the run starts or resumes.
    """

    def __init__(self, loss: str, step: int) -> None:
        self.loss = loss
        self.diagnosed_at = self.spread_diagnosed_at = step
        self.warned: set[str] = set()

    def warnings(self, metrics: np.ndarray) -> Iterator[str]:
        """A line for each new diagnosis."""
        step = len(metrics)
        if step - self.spread_diagnosed_at >= SHORT_WINDOW:
            self.spread_diagnosed_at = step
            yield from self.new_warnings(diagnose_spread(metrics[:, SPREAD]), step)
        if step - self.diagnosed_at >= WINDOW:
            self.diagnosed_at = step
            yield from self.new_warnings(diagnose(metrics, self.loss), step)

    def quality_warnings(self, evaluations: list[Evaluation]) -> Iterator[str]:
        """A line for each new diagnosis from all evaluations so far, oldest first."""
        yield from self.new_warnings(diagnose_quality(evaluations))

    def new_warnings(
        self, diagnoses: Iterator[Diagnosis], step: int | None = None
    ) -> Iterator[str]:
        for name, evidence, remedy, steps in diagnoses:
            if name not in self.warned:
                self.warned.add(name)
                since = f"since step {step - steps + 1} " if step else ""
                yield f"{name}: {since}{evidence}; what usually helps: {remedy} (docs/training.md)"
