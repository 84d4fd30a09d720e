"""What can be done in Python with a run: its images, its scores, its models."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dcgan_tf.conditional.labels import UNLABELLED, Classes
from dcgan_tf.datasets.passed import Passed, ValueRange, passing, read_passed
from dcgan_tf.evaluation.evaluator import LEAST_IMAGES, evaluate_run
from dcgan_tf.latent.interpolation import interpolate_through
from dcgan_tf.pretrained.generators import pretrained_run
from dcgan_tf.reporting.images import ImageGrid
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.sampling.noise import seeded_noise
from dcgan_tf.sampling.sampler import (
    Sampler,
    checkpoint_names,
    compile_generator,
    file_identity,
    load_discriminator,
    load_generator,
)
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError

BATCH_SIZE = 256


@dataclasses.dataclass(frozen=True)
class Run:
    """What was trained, as of one of its checkpoints; `load_run` and `train` return it.

    The generator is in memory, so that images can be drawn wherever the folder is by now. For what
    is read from it, the folder must be where it was, and hold the same run.

    Attributes:
        path: the run's folder, absolute.
        step: the checkpoint's: how many training steps were taken.
        config: the settings of the run.
        generator: the Keras model that images are drawn from, the EMA generator if the run has
            one: from noise, as `noise` gives it, to images, float32 [N, H, W, C] in [-1, 1].
        classes: the classes of a conditional run; none of another.
    """

    path: Path
    step: int
    config: Config = dataclasses.field(repr=False)
    generator: keras.Sequential = dataclasses.field(repr=False)
    classes: Classes = dataclasses.field(repr=False, default=UNLABELLED)
    _files: Hashable = dataclasses.field(repr=False, default=())
    _passed: Passed | None = dataclasses.field(repr=False, default=None, compare=False)

    @functools.cached_property
    def discriminator(self) -> keras.Sequential:
        """The Keras model from images, float32 [N, H, W, C] in [-1, 1], to logits, [N, 1].

        In a conditional run, the channels of an image's one-hot label stand beside its own; with
        `pack` M, a logit is of M images, [N / M, 1].

        Raises:
            UserError: the run's folder, or its checkpoint, is gone, or there is a generator alone.
        """
        discriminator, _, _ = load_discriminator(self._directory(), str(self.step))
        return discriminator

    @functools.cached_property
    def _sampler(self) -> Sampler:
        return compile_generator(self.generator, BATCH_SIZE)

    @property
    def checkpoints(self) -> list[int]:
        """The steps of the run's checkpoints, oldest first.

        Raises:
            UserError: the run's folder is gone.
        """
        return [int(name) for name in checkpoint_names(self._directory())]

    def _directory(self) -> RunDirectory:
        """The run's folder.

        Raises:
            UserError: it is gone, or holds another run.
        """
        run = RunDirectory(self.path)
        if not run.config_file.exists():
            raise UserError(
                f"{self.path} is not there any more: load the run from where it is now, or put it "
                f"there again"
            )
        found = file_identity(run, str(self.step))
        if found and found != self._files:  # without files, it is told that they are gone
            raise UserError(
                f"{self.path} holds another checkpoint of step {self.step} than the one that was "
                f"loaded: load the run again"
            )
        return run

    def noise(
        self,
        numbers: Sequence[int],
        seed: int = 0,
        truncation: float | None = None,
        label: str | int | None = None,
    ) -> np.ndarray:
        """The noise of some images of a seed; of a conditional run, with their labels beside it.

        Args:
            numbers: of the images, counted from 0.
            seed: of the images.
            truncation: keeps all values within ± this (the truncation trick).
            label: the class of all of them; by default each has one of its own.

        Returns:
            float32 [len(numbers), noise_dim], or [len(numbers), noise_dim + classes].

        Raises:
            UserError: the run has no such class, or there are no such images.
        """
        if not len(numbers) or min(numbers) < 0 or seed < 0:
            raise UserError(f"no images {numbers} of seed {seed}: both are counted from 0")
        if truncation is not None and truncation <= 0:
            raise UserError(f"truncation must be above 0, not {truncation}")
        number = None if label is None else self.classes.number(str(label))
        return seeded_noise(self.config, seed, numbers, truncation, self.classes, number)

    def generate(self, noise: np.ndarray) -> ImageGrid:
        """The images of some noise, as `noise` gives it: uint8 [N, H, W, C] in [0, 255].

        Raises:
            UserError: the noise is of another shape.
        """
        noise = np.asarray(noise, np.float32)
        _, width = self.generator.input_shape
        if noise.ndim != 2 or not len(noise) or noise.shape[1] != width:
            raise UserError(f"noise must be [N, {width}], as `noise` gives, not {[*noise.shape]}")
        return ImageGrid(self._sampler(noise))

    def sample(
        self,
        num_images: int = 16,
        seed: int = 0,
        truncation: float | None = None,
        label: str | int | None = None,
    ) -> ImageGrid:
        """The first images of a seed, the same as `dcgan sample` draws.

        Args:
            num_images: how many.
            seed: of the images.
            truncation, label: see `noise`, which also says what is raised.

        Returns:
            uint8 [num_images, H, W, C] in [0, 255].
        """
        if num_images < 1:
            raise UserError(f"num_images must be at least 1, not {num_images}")
        # In full batches, as the command draws them, so that each pixel is the same.
        batch_size = min(num_images, BATCH_SIZE)
        numbers = range(math.ceil(num_images / batch_size) * batch_size)
        images = self.generate(self.noise(numbers, seed, truncation, label))
        return ImageGrid(images.array[:num_images])

    def interpolate(
        self,
        points: Sequence[int] | np.ndarray,
        frames: int = 12,
        seed: int = 0,
        linear: bool = False,
    ) -> ImageGrid:
        """Images on the path through several points of the latent space.

        Args:
            points: numbers of images of a seed, or an array as `noise` gives it; at least two.
            frames: images from each point to the next.
            seed: of the images.
            linear: whether normal noise, too, is interpolated linearly.

        Returns:
            uint8 [(points − 1) · frames + 1, H, W, C] in [0, 255]; the last is the last point's.
            Shown, a row goes from each point to the next.

        Raises:
            UserError: there are too few points or frames, they are of another shape, or a point is
                0, where normal noise has no direction.
        """
        points = np.asarray(points)
        if len(points) < 2 or frames < 1:
            raise UserError(
                f"a path takes two points and a frame at least, not {len(points)} and {frames}"
            )
        noise = points if points.ndim == 2 else self.noise(points.tolist(), seed)
        kind = "uniform" if linear else self.config.noise
        if kind == "normal" and not noise[:, : self.config.noise_dim].any(axis=1).all():
            raise UserError("from a point at 0 there is no direction: give linear=True")
        path = interpolate_through(noise, frames, kind, False, self.config.noise_dim)
        return ImageGrid(self.generate(path).array, columns=frames + 1, overlap=True)

    def evaluate(
        self,
        num_images: int = 10_000,
        images: Any = None,
        labels: Any = None,
        value_range: ValueRange | None = None,
    ) -> dict[str, dict[str, Any]]:
        """Compares generated images with images that no training saw.

        Args:
            num_images: how many of each kind, at most.
            images, labels, value_range: as `train` was given them, of a run that it did not return.

        Returns:
            The scores of the `generated` images, and as many training images' in their place: of
            `real` ones.

        Raises:
            UserError: the run's folder or images are not to be had any more, or can't be
                evaluated, or `num_images` is below 20.
        """
        if num_images < LEAST_IMAGES:
            raise UserError(f"num_images must be at least {LEAST_IMAGES}, not {num_images}")
        passed = read_passed(self.config, images, labels, value_range) or self._passed
        with passing(passed):
            found, *_ = evaluate_run(self._directory(), str(self.step), num_images, None)
        return {"generated": found["checkpoints"][self.step], "real": found["real"]}


def load_run(path: str | Path, checkpoint: int | str | None = None) -> Run:
    """A run that was trained before.

    Args:
        path: its folder.
        checkpoint: the step of a checkpoint, or "best"; None for the newest that is intact.

    Raises:
        UserError: this is no run, it has no such checkpoint, or none yet.
    """
    name = None if checkpoint is None else str(checkpoint)
    run = RunDirectory(Path(path).resolve())
    generator, config, step = load_generator(run, name)
    return Run(run.path, step, config, generator, run.read_classes(), file_identity(run, str(step)))


def load_pretrained(name: str) -> Run:
    """A generator that comes with the project, as a run without a discriminator.

    Args:
        name: `mnist`, `fashion_mnist` or `faces`, see docs/pretrained.md.

    Raises:
        UserError: there is no such generator, or it is damaged.
    """
    return load_run(pretrained_run(name))
