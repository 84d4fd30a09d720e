"""Views of the latent space, as pictures: ways, sums, nearest training images, projections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import imageio.v3 as iio
import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dcgan_tf.cli.atomic_files import atomic_write
from dcgan_tf.cli.errors import UserError
from dcgan_tf.config import Config
from dcgan_tf.data import load_images, scale
from dcgan_tf.datasets.folder import ImageFormat, decode, parse_colour
from dcgan_tf.datasets.image_files import Files
from dcgan_tf.evaluation.metrics import nearest
from dcgan_tf.latent.activations import most_exciting, where_it_looks
from dcgan_tf.latent.interpolation import interpolate_through, parse_numbers, parse_sum, project
from dcgan_tf.noise import seeded_noise
from dcgan_tf.reporting.images import image_grid, save_png
from dcgan_tf.reporting.plots import save_figure
from dcgan_tf.run_directory import RunDirectory
from dcgan_tf.sampling import compile_generator, load_discriminator, load_generator

if TYPE_CHECKING:
    from dcgan_tf.commands.sample import SampleFlags

TOUR_FRAME_MS = 60
PROJECTION_STARTS = 8
FILTERS = 6
EXCITING_IMAGES = 8
ACTIVATION_IMAGES = 5000
SIGNS = {1: "+", -1: "−"}


class Scene(NamedTuple):
    """What a view is drawn from.

    Attributes:
        run: the run.
        flags: what to draw.
        config: of the run.
        generator: of the run.
        noise_of: from numbers of images to float32 [N, noise_dim].
        draw: from noise to images, uint8 [N, H, W, C].
        output: where the picture goes.
    """

    run: RunDirectory
    flags: SampleFlags
    config: Config
    generator: keras.Sequential
    noise_of: Callable[[Sequence[int]], np.ndarray]
    draw: Callable[[np.ndarray], np.ndarray]
    output: Path


def draw_latent(run: RunDirectory, flags: SampleFlags, output: Path) -> str:
    """Draws the view that the flags ask for.

    Returns:
        A line that says what was drawn.

    Raises:
        UserError: a flag can't be understood, or there is no such run or checkpoint.
    """
    generator, config, step = load_generator(run, flags.checkpoint)

    def noise_of(images: Sequence[int]) -> np.ndarray:
        return seeded_noise(config.noise, flags.seed, images, config.noise_dim, flags.truncate)

    scene = Scene(run, flags, config, generator, noise_of, compile_generator(generator), output)
    return f"{VIEWS[flags.mode](scene)}, from step {step}: {output}"


def interpolate(scene: Scene) -> str:
    """The way from image to image; a film goes on to the first again."""
    images = parse_numbers("--interpolate", scene.flags.interpolate, 2)
    return draw_tour(scene, images, closed=scene.output.suffix == ".gif")


def walk(scene: Scene) -> str:
    """A closed latent walk through the first images of the seed."""
    return draw_tour(scene, range(scene.flags.walk), closed=True)


def draw_tour(scene: Scene, images: Sequence[int], closed: bool) -> str:
    kind = "uniform" if scene.flags.linear else scene.config.noise
    noises = interpolate_through(scene.noise_of(images), scene.flags.frames, kind, closed)
    pictures = scene.draw(noises)
    if scene.output.suffix == ".png":
        save_png(scene.output, image_grid(pictures, columns=scene.flags.frames))
    else:
        frames = [image_grid(picture[np.newaxis], border=0) for picture in pictures]
        with atomic_write(scene.output) as file:
            iio.imwrite(file, frames, extension=".gif", duration=TOUR_FRAME_MS, loop=0)
    way = "straight" if kind == "uniform" else "along great circles"
    why = ""
    if scene.config.noise == "uniform" and not scene.flags.linear:
        why = " (uniform noise fills a cube, which a great circle would leave)"
    return f"{len(pictures)} images, {way}{why}"


def arithmetic(scene: Scene) -> str:
    """A sum as an equation: each term's images above that of their mean noise, and the result."""
    terms = parse_sum(scene.flags.arithmetic)
    noises = [scene.noise_of(term.images) for term in terms]
    means = np.stack([noise.mean(axis=0) for noise in noises])
    result = sum(term.sign * mean for term, mean in zip(terms, means))
    pictures = scene.draw(np.concatenate([means, result[np.newaxis]]))

    columns = len(terms) + 1
    figure = Figure(figsize=(1.8 * columns, 4.2), layout="constrained")
    top, bottom = figure.subplots(2, columns, squeeze=False)
    for axes in (*top, *bottom):
        axes.axis("off")
    for i, (term, noise) in enumerate(zip(terms, noises)):
        sign = SIGNS[term.sign] if i or term.sign < 0 else ""
        show(top[i], scene.draw(noise), f"{sign} {', '.join(map(str, term.images))}")
    for i, (axes, picture) in enumerate(zip(bottom, pictures)):
        show(axes, picture[np.newaxis], "=" if i == len(terms) else "")
    save_figure(scene.output, figure)
    return f"sum of {len(terms)} terms"


def show(axes: Axes, images: np.ndarray, title: str) -> None:
    """Puts a grid of images on a panel, without smoothing."""
    axes.imshow(
        image_grid(images, border=1), cmap="gray", vmin=0, vmax=255, interpolation="nearest"
    )
    axes.set_title(title, fontsize=12)


def nearest_training_images(scene: Scene) -> str:
    """Images, each below the training image that comes nearest to it."""
    training = load_images(scene.config)
    images = scene.draw(scene.noise_of(range(scene.flags.num_images)))
    distances, which = nearest(images, training)
    save_png(
        scene.output, image_grid(np.concatenate([training[which], images]), columns=len(images))
    )
    return f"{len(images)} images below their nearest training images ({distances.mean():.1f} off)"


def projection(scene: Scene) -> str:
    """A picture beside the nearest that the generator can make of some noise."""
    path = Path(scene.flags.project)
    size, _, channels = scene.generator.output_shape[1:]
    look = ImageFormat(size, channels, parse_colour(scene.config.background))
    picture = decode(Files(path.parent, [path.name], lambda _: path.open("rb")), look, path.name)
    if isinstance(picture, str):
        raise UserError(f"--project {path} can't be used: {picture}")
    starts = scene.noise_of(range(PROJECTION_STARTS))
    noise, error = project(scene.generator, scale(picture).numpy(), starts, scene.config.noise)
    pair = np.concatenate([picture[np.newaxis], scene.draw(noise[np.newaxis])])
    save_png(scene.output, image_grid(pair, columns=2))
    return f"{path} and the nearest image ({127.5 * error**0.5:.1f} off)"


def activations(scene: Scene) -> str:
    """For some of the discriminator's filters, the images that excite them most, and where."""
    training = load_images(scene.config)
    images = training[: min(len(training), ACTIVATION_IMAGES)]
    discriminator, _, _ = load_discriminator(scene.run, scene.flags.checkpoint)
    rows = []
    for filter_ in most_exciting(discriminator, images, FILTERS, EXCITING_IMAGES):
        exciting = images[filter_.which]
        rows += [exciting, where_it_looks(discriminator, exciting, filter_.number)]
    save_png(scene.output, image_grid(np.concatenate(rows), columns=EXCITING_IMAGES))
    return (
        f"{FILTERS} filters of the discriminator, each with the {EXCITING_IMAGES} of "
        f"{len(images):,} training images that excite it most, above where it looks"
    )


VIEWS = {
    "interpolate": interpolate,
    "walk": walk,
    "arithmetic": arithmetic,
    "nearest": nearest_training_images,
    "project": projection,
    "activations": activations,
}
