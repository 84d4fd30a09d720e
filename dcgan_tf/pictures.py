"""Grids of images, the film of the training, and the plot of its losses."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import imageio.v3 as iio
import numpy as np
from matplotlib.figure import Figure

from dcgan_tf.errors import first_line
from dcgan_tf.writing import written_whole

if TYPE_CHECKING:
    from dcgan_tf.history import Evaluation

logger = logging.getLogger(__name__)

FRAME_MS = 200
LAST_FRAME_MS = 3000


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Images in [-1, 1] to uint8 in [0, 255], all with the same contrast."""
    return np.clip(np.rint(np.asarray(images) * 127.5 + 127.5), 0, 255).astype(np.uint8)


def image_grid(
    images: np.ndarray, border: int = 2, zoom: int | None = None, columns: int | None = None
) -> np.ndarray:
    """Lays images out row by row, enlarged without smoothing if they are small.

    Args:
        images: uint8 [N, H, W, C], C 1 or 3.
        border: pixels of white between and around the tiles.
        zoom: how often each pixel is repeated; by default, so that small tiles can be seen.
        columns: images in a row; by default, so that the grid is a square.

    Returns:
        uint8 [height, width] for C 1, [height, width, 3] for C 3.
    """
    count, height, width, channels = images.shape
    zoom = zoom or (max(1, 84 // height) if count <= 64 else 1)
    images = images.repeat(zoom, axis=1).repeat(zoom, axis=2)
    height, width = height * zoom + border, width * zoom + border
    columns = columns or int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    grid = np.full((rows * height + border, columns * width + border, channels), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * height + border, i % columns * width + border
        grid[top : top + height - border, left : left + width - border] = image
    return grid[..., 0] if channels == 1 else grid


def save_png(path: Path, picture: np.ndarray) -> None:
    """Writes uint8 [H, W] or [H, W, 3] as a PNG."""
    with written_whole(path) as file:
        iio.imwrite(file, picture, extension=".png")


def read_frame(path: Path) -> np.ndarray | None:
    """A picture's pixels; None, and a warning, if it is damaged."""
    try:
        return iio.imread(path)
    except Exception as error:
        logger.warning("%s is damaged and left out of the film: %s", path, first_line(error))
        return None


def save_gif(path: Path, frames: list[Path]) -> None:
    """Writes pictures as an animation that repeats, and rests on the last."""
    pictures = [picture for frame in frames if (picture := read_frame(frame)) is not None]
    # One that was put in another's place may be of any size.
    pictures = [picture for picture in pictures if picture.shape == pictures[-1].shape]
    if not pictures:
        return
    durations = [FRAME_MS] * (len(pictures) - 1) + [LAST_FRAME_MS]
    with written_whole(path) as file:
        duration = durations if len(pictures) > 1 else LAST_FRAME_MS
        iio.imwrite(file, pictures, extension=".gif", duration=duration, loop=0)


def save_figure(path: Path, figure: Figure, dpi: int = 100) -> None:
    """Writes a figure as a .png."""
    with written_whole(path) as file:
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
