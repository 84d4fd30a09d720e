"""Plots of a run: its losses over the steps, its evaluations over the epochs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from dcgan_tf.cli.atomic_files import atomic_write
from dcgan_tf.reporting.history import Evaluation


def save_figure(path: Path, figure: Figure, dpi: int = 100) -> None:
    """Writes a figure as a .png."""
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=dpi)


def plot_losses(path: Path, metrics: np.ndarray, steps_per_epoch: int) -> None:
    """Draws both losses, and D's verdicts, over the steps.

    Args:
        path: a .png.
        metrics: [steps, 4 or more]: generator loss, discriminator loss, D(x), D(G(z)), ….
        steps_per_epoch: the curves are also drawn smoothed, over a tenth of an epoch at most.
    """
    steps = np.arange(1, len(metrics) + 1)
    window = max(1, min(steps_per_epoch, len(steps)) // 10)
    figure = Figure(figsize=(9, 6), layout="constrained")
    losses, verdicts = figure.subplots(2, 1, sharex=True)
    curves = [
        (losses, "generator", 0, "tab:blue"),
        (losses, "discriminator", 1, "tab:orange"),
        (verdicts, "D(x), of real images", 2, "tab:green"),
        (verdicts, "D(G(z)), of generated images", 3, "tab:red"),
    ]
    for axes, label, column, color in curves:
        values = metrics[:, column]
        smooth = np.convolve(values, np.full(window, 1 / window), mode="valid")
        axes.plot(steps, values, color=color, alpha=0.25, linewidth=0.6)
        axes.plot(steps[window - 1 :], smooth, color=color, linewidth=1.6, label=label)
    losses.set_ylabel("loss")
    losses.set_ylim(bottom=0)
    verdicts.set_ylabel("probability of being real")
    verdicts.set_ylim(0, 1)
    verdicts.set_xlabel(f"step ({steps_per_epoch} an epoch)")
    for axes in (losses, verdicts):
        axes.grid(alpha=0.3)
        axes.legend(loc="upper right")
    save_figure(path, figure)


def plot_evaluations(path: Path, evaluations: list[Evaluation], steps_per_epoch: int) -> None:
    """Draws the Fréchet distance, precision and recall, and the classes' shares over the epochs.

    Args:
        path: a .png.
        evaluations: at least one, oldest first.
        steps_per_epoch: steps of one epoch.
    """
    epochs = [evaluation.step / steps_per_epoch for evaluation in evaluations]
    _, distances, floors, precisions, recalls, shares = zip(*evaluations)
    shares = np.transpose(shares)
    panels = 3 if 0 < len(shares) <= 10 else 2
    figure = Figure(figsize=(9, 3 * panels), layout="constrained")
    quality, overlap, *rest = figure.subplots(panels, 1, sharex=True)
    best = int(np.argmin(distances))
    quality.plot(epochs, distances, "o-", markersize=4, label="generated images")
    quality.plot(epochs[best], distances[best], "*", color="tab:red", markersize=12, label="best")
    quality.plot(epochs, floors, "--", color="tab:gray", label="real images")
    quality.set(yscale="log", ylabel="Fréchet distance")
    overlap.plot(epochs, precisions, "o-", markersize=4, label="precision")
    overlap.plot(epochs, recalls, "o-", markersize=4, label="recall")
    overlap.set(ylim=(0, 1), ylabel="share of images")
    for axes in rest:
        for i, share in enumerate(shares):
            axes.plot(epochs, share, "o-", markersize=3, linewidth=1, label=str(i))
        axes.axhline(1 / len(shares), linestyle="--", color="tab:gray")
        axes.set(ylim=(0, None), ylabel="share of each class")
    for axes in (quality, overlap, *rest):
        axes.grid(alpha=0.3)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    axes.set_xlabel("epoch")
    save_figure(path, figure)
