"""Views of the latent space: functions that write a picture and return a description of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dcgan_tf.data import scale
from dcgan_tf.datasets.decoding import ImageFormat, decode, parse_color
from dcgan_tf.datasets.image_files import Files, open_regular
from dcgan_tf.datasets.survey import survey_images
from dcgan_tf.evaluation.metrics import nearest
from dcgan_tf.latent.arithmetic import Term, compute_arithmetic
from dcgan_tf.latent.guided_backpropagation import guided_backpropagation, top_activating_images
from dcgan_tf.latent.interpolation import interpolate_through
from dcgan_tf.latent.projection import project
from dcgan_tf.reporting.images import check_picture, image_grid, save_gif, save_png
from dcgan_tf.reporting.plots import save_figure
from dcgan_tf.run.run_directory import RunDirectory, load_training_images
from dcgan_tf.sampling.noise import seeded_noise
from dcgan_tf.sampling.sampler import Sampler, compile_generator, load_discriminator, load_generator
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError

FRAME_MS = 60
PROJECTION_STARTS = 8
FILTERS = 6
TOP_IMAGES = 8
ACTIVATION_IMAGES = 5000
SIGNS = {1: "+", -1: "−"}


class Source(NamedTuple):
    """What views are drawn from.

    Attributes:
        run: the run.
        config: the run's settings.
        step: the checkpoint's step.
        generator: the checkpoint's generator.
        noise_of: maps image indices to noise, float32 [N, noise_dim]; in a conditional run, one-hot
            labels follow the noise.
        sampler: maps noise to images.
    """

    run: RunDirectory
    config: Config
    step: int
    generator: keras.Sequential
    noise_of: Callable[[Sequence[int]], np.ndarray]
    sampler: Sampler


def load_source(
    run: RunDirectory,
    checkpoint: str | None,
    seed: int,
    truncation: float | None = None,
    label: str | None = None,
) -> Source:
    """Loads a run's generator for the images of a seed.

    Args:
        run: the run.
        checkpoint: see `load_generator`.
        seed: the seed of the images.
        truncation: see `seeded_noise`.
        label: the class name of the images; by default, images of a conditional run have random
            classes.

    Raises:
        UserError: this is not a run, or it has no such checkpoint or class.
    """
    generator, config, step = load_generator(run, checkpoint)
    classes = run.read_classes()
    class_index = None if label is None else classes.index(label)
    noise_of = functools.partial(
        seeded_noise, config, seed, truncation=truncation, classes=classes, label=class_index
    )
    return Source(run, config, step, generator, noise_of, compile_generator(generator))


def draw_interpolation(
    source: Source, output: Path, indices: Sequence[int], frames: int, linear: bool
) -> str:
    """Draws interpolations: one row per pair of images, or a GIF that returns to the first image.

    Args:
        source: what to draw from.
        output: a .png or a .gif.
        indices: indices of the images, at least two.
        frames: frames between consecutive images.
        linear: whether to interpolate normal noise linearly.
    """
    return _draw_path(source, output, indices, frames, linear, closed=output.suffix == ".gif")


def draw_latent_walk(
    source: Source, output: Path, num_images: int, frames: int, linear: bool
) -> str:
    """Draws a closed walk through the first `num_images` images; see `draw_interpolation`."""
    return _draw_path(source, output, range(num_images), frames, linear, closed=True)


def _draw_path(
    source: Source, output: Path, indices: Sequence[int], frames: int, linear: bool, closed: bool
) -> str:
    kind, size = "uniform" if linear else source.config.noise, source.config.noise_dim
    shape = (len(indices) * frames, *source.generator.output_shape[1:])
    check_picture(shape, "smaller `frames`, or fewer images")
    images = source.sampler(
        interpolate_through(source.noise_of(indices), frames, kind, closed, size)
    )
    if output.suffix == ".gif":
        save_gif(output, [image_grid(image[np.newaxis], border=0) for image in images], FRAME_MS)
    else:
        columns = frames if closed else frames + 1
        save_png(output, image_grid(images, columns=columns, overlap=not closed))
    how = "spherical" if kind == "normal" else "linear"
    why = ""
    if source.config.noise == "uniform" and not linear:
        why = " (spherical interpolation would leave the cube of uniform noise)"
    return f"{len(images)} images by {how} interpolation{why}"


def draw_arithmetic(source: Source, output: Path, terms: Sequence[Term]) -> str:
    """Draws latent arithmetic as an equation: each term's images above the image of their mean."""
    means, result = compute_arithmetic(terms, source.noise_of, source.config.noise_dim)
    images = source.sampler(np.concatenate([means, result[np.newaxis]]))

    columns = len(terms) + 1
    figure = Figure(figsize=(1.8 * columns, 4.2), layout="constrained")
    top, bottom = figure.subplots(2, columns, squeeze=False)
    for axes in (*top, *bottom):
        axes.axis("off")
    for i, term in enumerate(terms):
        sign = SIGNS[term.sign] if i or term.sign < 0 else ""
        term_images = source.sampler(source.noise_of(term.images))
        _show(top[i], term_images, f"{sign} {', '.join(map(str, term.images))}")
    for i, (axes, image) in enumerate(zip(bottom, images)):
        _show(axes, image[np.newaxis], "=" if i == len(terms) else "")
    save_figure(output, figure)
    return f"latent arithmetic of {len(terms)} terms"


def _show(axes: Axes, images: np.ndarray, title: str) -> None:
    """Shows a grid of images in a panel, without smoothing."""
    axes.imshow(
        image_grid(images, border=1), cmap="gray", vmin=0, vmax=255, interpolation="nearest"
    )
    axes.set_title(title, fontsize=12)


def draw_nearest(source: Source, output: Path, num_images: int) -> str:
    """Draws the first images, each below its nearest training image.

    Raises:
        UserError: the run's training images are no longer available.
    """
    shape = (2 * num_images, *source.generator.output_shape[1:])
    check_picture(shape, "a smaller `num_images`")
    training = load_training_images(source.run)
    images = source.sampler(source.noise_of(range(num_images)))
    distances, which = nearest(images, training, mirrored=source.config.flip)
    save_png(output, image_grid(np.concatenate([training[which], images]), columns=num_images))
    return (
        f"{num_images} images below their nearest training images "
        f"(mean distance {distances.mean():.1f} of 255)"
    )


def draw_projection(source: Source, output: Path, path: Path) -> str:
    """Draws an image file beside its projection, the closest image that the generator makes.

    Raises:
        UserError: the file can't be read.
    """
    *size, channels = source.generator.output_shape[1:]
    config = source.config
    wanted = ImageFormat(
        (size[0], size[1]), channels, parse_color(config.background), config.fit, config.reading
    )

    def open_file(_: str) -> BinaryIO:
        return open_regular(path)

    files = Files(path.parent, [path.name], open_file, open_file, config.reading)
    wanted = wanted._replace(white=survey_images(files, wanted).white)
    image = decode(files, wanted, path.name)
    if isinstance(image, str):
        raise UserError(f"`project` {path} can't be used: {image}")
    starts = source.noise_of(range(PROJECTION_STARTS))
    noise, error = project(
        source.generator, scale(image).numpy(), starts, config.noise, config.noise_dim
    )
    pair = np.concatenate([image[np.newaxis], source.sampler(noise[np.newaxis])])
    save_png(output, image_grid(pair, columns=2))
    return f"{path} and its projection (distance {127.5 * error**0.5:.1f} of 255)"


def draw_top_activations(source: Source, output: Path) -> str:
    """Draws the top-activating training images of some filters, and their guided backpropagation.

    Raises:
        UserError: the run is conditional, or its training images are no longer available.
    """
    if source.config.learns_labels:
        raise UserError(
            "`top_activations` needs a discriminator that sees images only, but the run is "
            "conditional: use an unconditional `run_dir`"
        )
    discriminator, _, _ = load_discriminator(source.run, str(source.step))
    images = load_training_images(source.run)[:ACTIVATION_IMAGES]
    found = top_activating_images(discriminator, images, FILTERS, TOP_IMAGES)
    columns = len(found[0].images)  # at most TOP_IMAGES
    rows = []
    for top in found:
        activating = images[top.images]
        rows += [activating, guided_backpropagation(discriminator, activating, top.filter)]
    save_png(output, image_grid(np.concatenate(rows), columns=columns))
    return (
        f"{len(found)} filters of the discriminator, each with its {columns} top-activating images "
        f"of {len(images):,}, above their guided backpropagation"
    )
