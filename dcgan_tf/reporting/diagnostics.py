"""Warnings of a run that goes wrong, from figures that the steps return anyway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from dcgan_tf.evaluation.scores import Evaluation, comparable
from dcgan_tf.losses import LOSSES
from dcgan_tf.train_step import StepScalars

WINDOW = 200
COLLAPSED_SPREAD = 0.3
# Sooner: so low a spread over so many steps is a collapse, unless it was lower in as many before.
FALLEN_SPREAD = {100: COLLAPSED_SPREAD, 50: 0.15}
LOOK_STEPS = min(FALLEN_SPREAD)
SPREAD = StepScalars._fields.index("spread")
VANISHED_NORM = 1e-3
EXPLODED = 50
WORSE = 2


class Diagnosis(NamedTuple):
    """One thing that goes wrong: its name, what is seen, and what usually helps."""

    name: str
    seen: str
    helps: str
    steps: int = WINDOW


def collapse(spread: float, steps: int = WINDOW) -> Diagnosis:
    """Of generated images that are alike over some steps."""
    return Diagnosis(
        "collapse",
        f"generated images differ {spread:.2f} times as much as real ones",
        "`augment` color,translation where images are few, `pack` 2, another `seed`, or a lower "
        "`generator_learning_rate`",
        steps,
    )


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
            "a lower `discriminator_learning_rate`, `label_smoothing` 0.1, or more `dropout`",
        )
    if means.spread < COLLAPSED_SPREAD:
        yield collapse(means.spread)
    if means.gen_gradient_norm < VANISHED_NORM:
        yield Diagnosis(
            "vanishing gradients",
            f"the generator's gradients have a norm of {means.gen_gradient_norm:.1e}",
            "`loss` bce" if loss == "minimax" else "a lower `discriminator_learning_rate`",
        )
    norms = np.array([means.gen_gradient_norm, means.disc_gradient_norm])
    usual_norms = np.array([usual.gen_gradient_norm, usual.disc_gradient_norm])
    if (norms > EXPLODED * usual_norms).any():
        yield Diagnosis(
            "divergence",
            "gradients have norms of {:.1e} (generator) and {:.1e} (discriminator), usual so far "
            "were {:.1e} and {:.1e}".format(*norms, *usual_norms),
            "a lower `learning_rate`",
        )


def diagnose_spread(spread: np.ndarray) -> Iterator[Diagnosis]:
    """A collapse, as soon as it can be told from a healthy run's first steps.

    In those the spread is as low, but it rises before long; in a collapse it falls.

    Args:
        spread: of every step so far, [steps].
    """
    for steps, low in FALLEN_SPREAD.items():
        if len(spread) >= 2 * steps:
            before, last = spread[-2 * steps :].reshape(2, steps).mean(axis=1)
            if last < low and last <= before:
                yield collapse(last, steps)


def diagnose_quality(evaluations: list[Evaluation]) -> Iterator[Diagnosis]:
    """Whether the last two evaluations are far worse than the best one before them."""
    made = comparable(evaluations)
    distances = [float(each.values["frechet_distance"]) for each in made]
    if len(made) > 2 and min(distances[-2:]) > WORSE * min(distances):
        best = made[distances.index(min(distances))]
        yield Diagnosis(
            "images get worse",
            f"their Fréchet distance is {distances[-1]:.3g}, and was {min(distances):.3g} after "
            f"step {best.step}",
            "`checkpoint` best, which keeps the images of that step, or `ema_decay`",
        )


class Diagnostics:
    """Diagnoses a run every WINDOW steps, its spread more often, and warns of each thing once.

    Args:
        loss: the run's.
        step: the step from which the run goes on.
    """

    def __init__(self, loss: str, step: int) -> None:
        self.loss = loss
        self.diagnosed_at = self.looked_at = step
        self.warned: set[str] = set()

    def warnings(self, metrics: np.ndarray) -> Iterator[str]:
        """A line for each diagnosis that is new."""
        step = len(metrics)
        if step - self.looked_at >= LOOK_STEPS:
            self.looked_at = step
            yield from self.news(diagnose_spread(metrics[:, SPREAD]), step)
        if step - self.diagnosed_at >= WINDOW:
            self.diagnosed_at = step
            yield from self.news(diagnose(metrics, self.loss), step)

    def quality_warnings(self, evaluations: list[Evaluation]) -> Iterator[str]:
        """The same of the evaluations so far, oldest first."""
        yield from self.news(diagnose_quality(evaluations))

    def news(self, diagnoses: Iterator[Diagnosis], step: int | None = None) -> Iterator[str]:
        for name, seen, helps, steps in diagnoses:
            if name not in self.warned:
                self.warned.add(name)
                since = f"since step {step - steps + 1} " if step else ""
                yield f"{name}: {since}{seen}; what usually helps: {helps} (docs/training.md)"
