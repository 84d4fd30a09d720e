"""Plots of a run: losses over the steps, metrics over the epochs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dcgan_tf.evaluation.scores import MAX_CLASSES, METRICS, Evaluation, Metric, comparable
from dcgan_tf.files.atomic_files import atomic_write
from dcgan_tf.reporting.history import evaluations_to_array
from dcgan_tf.train_step import StepScalars

MARGINS = {"left": 0.11, "right": 0.97, "bottom": 0.08, "top": 0.94, "hspace": 0.18}


def save_figure(path: Path, figure: Figure, dpi: int = 100) -> None:
    """Writes a figure as a .png."""
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=dpi)


def plot_losses(path: Path, metrics: np.ndarray, steps_per_epoch: int) -> None:
    """Draws both losses, and D(x) and D(G(z)), over the steps.

    Args:
        path: a .png.
        metrics: [steps, fields], the fields of `StepScalars`.
        steps_per_epoch: the smoothed curves are means over at most a tenth of an epoch.
    """
    save_figure(path, draw_losses(StepScalars(*metrics.T), steps_per_epoch))


def draw_losses(scalars: StepScalars, steps_per_epoch: int) -> Figure:
    """The figure of `plot_losses`; each scalar is [steps]."""
    steps = np.arange(1, len(scalars.gen_loss) + 1)
    window = max(1, min(steps_per_epoch, len(steps)) // 10)
    figure = Figure(figsize=(9, 6))
    losses, probabilities = figure.subplots(2, 1, sharex=True)
    figure.subplots_adjust(**MARGINS)  # an automatic layout takes as long as the drawing
    curves = [
        (losses, "generator", scalars.gen_loss, "tab:blue"),
        (losses, "discriminator", scalars.disc_loss, "tab:orange"),
        (probabilities, "D(x), of real images", scalars.d_real, "tab:green"),
        (probabilities, "D(G(z)), of generated images", scalars.d_fake, "tab:red"),
    ]
    for axes, label, values, color in curves:
        smooth = np.convolve(values, np.full(window, 1 / window), mode="valid")
        axes.plot(steps, values, color=color, alpha=0.25, linewidth=0.6)
        axes.plot(steps[window - 1 :], smooth, color=color, linewidth=1.6, label=label)
    losses.set_ylabel("loss")
    if min(scalars.gen_loss.min(), scalars.disc_loss.min()) >= 0:
        losses.set_ylim(bottom=0)
    probabilities.set(ylim=(0, 1), ylabel="D = sigmoid(logits)")
    probabilities.set_xlabel(f"step ({steps_per_epoch} per epoch)")
    for axes in (losses, probabilities):
        axes.grid(alpha=0.3)
        # Above the panel, away from the curves.
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderpad=0, frameon=False)
    figure.align_ylabels()
    return figure


def plot_evaluations(
    path: Path,
    evaluations: list[Evaluation],
    steps_per_epoch: int,
    class_names: Sequence[str] = (),
) -> None:
    """Draws each metric over the epochs, in the panel that its row of METRICS names.

    Args:
        path: a .png.
        evaluations: at least one, oldest first.
        steps_per_epoch: the number of steps in an epoch.
        class_names: the names of the first classes; others are named by their ids.
    """
    save_figure(path, draw_evaluations(evaluations, steps_per_epoch, class_names))


def draw_evaluations(
    evaluations: list[Evaluation], steps_per_epoch: int, class_names: Sequence[str] = ()
) -> Figure:
    """The figure of `plot_evaluations`."""
    rows = evaluations_to_array(comparable(evaluations))
    epochs = rows["step"] / steps_per_epoch
    key, features = evaluations[-1].key, evaluations[-1].features
    metrics = {
        key(name): metric
        for name, metric in METRICS.items()
        if key(name) in (rows.dtype.names or ()) and rows[key(name)][0].size <= MAX_CLASSES
    }
    panels = list(dict.fromkeys(metric.panel for metric in metrics.values() if metric.panel))
    figure = Figure(figsize=(9, 3 * len(panels)), layout="constrained")
    if features:
        figure.suptitle(f"by {features.replace('_', ' ')}")
    stack = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(stack, panels):
        for name, metric in metrics.items():
            if metric.panel == panel:
                baseline = rows[key(metric.baseline)] if metric.baseline else None
                draw_metric(axes, epochs, metric, rows[name], baseline, class_names)
        axes.set(yscale=panel.scale, ylim=panel.limits, ylabel=panel.label)
        axes.grid(alpha=0.3)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    axes.set_xlabel("epoch")
    return figure


def draw_metric(
    axes: Axes,
    epochs: np.ndarray,
    metric: Metric,
    values: np.ndarray,
    baseline: np.ndarray | None,
    class_names: Sequence[str],
) -> None:
    """Draws the values of a metric, [evaluations], or a curve per class, [evaluations, classes]."""
    if values.ndim == 2:
        for index, fractions in enumerate(values.T):
            label = class_names[index] if index < len(class_names) else str(index)
            axes.plot(epochs, fractions, "o-", markersize=3, linewidth=1, label=label)
        axes.axhline(1 / values.shape[1], linestyle="--", color="tab:gray")
        return
    axes.plot(epochs, values, "o-", markersize=4, label=metric.label)
    if baseline is not None:
        best = np.nanargmin(values)
        axes.plot(epochs[best], values[best], "*", color="tab:red", markersize=12, label="best")
        if len(epochs) == 1:
            axes.axhline(baseline[0], linestyle="--", color="tab:gray", label="real images")
        else:
            axes.plot(epochs, baseline, "--", color="tab:gray", label="real images")
