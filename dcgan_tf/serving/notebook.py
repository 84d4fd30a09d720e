"""Runs in Python: their images, scores and models."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dcgan_tf.conditional.labels import NO_CLASSES, Classes
from dcgan_tf.datasets.passed import Passed, ValueRange, passing, read_passed
from dcgan_tf.evaluation.evaluator import MIN_IMAGES, evaluate_run
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
    """A trained run at one of its checkpoints, as returned by `load_run` and `train`.

    The generator is in memory, so images can be drawn even if the folder has been moved. Methods
    that read from the folder need it at `path`, with the same run in it.

    Attributes:
        path: the run's folder, absolute.
        step: the checkpoint's step.
        config: the settings of the run.
        generator: a Keras model, the EMA generator if the run has one: maps the noise of `noise` to
            images, float32 [N, H, W, C] in [-1, 1].
        classes: the classes; empty for an unconditional run.
    """

    path: Path
    step: int
    config: Config = dataclasses.field(repr=False)
    generator: keras.Sequential = dataclasses.field(repr=False)
    classes: Classes = dataclasses.field(repr=False, default=NO_CLASSES)
    _files: Hashable = dataclasses.field(repr=False, default=())
    _passed: Passed | None = dataclasses.field(repr=False, default=None, compare=False)

    @functools.cached_property
    def discriminator(self) -> keras.Sequential:
        """A Keras model that maps images, float32 [N, H, W, C] in [-1, 1], to logits, [N, 1].

        In a conditional run, one-hot label channels follow the image's own. With `pack` M, there
        is one logit per M images, [N / M, 1].

        Raises:
            UserError: the run's folder or checkpoint is gone, or the run only has a generator.
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
                f"{self.path} no longer exists: load the run from its new folder, or move it back"
            )
        found = file_identity(run, str(self.step))
        if found and found != self._files:  # missing files are reported where they are read
            raise UserError(
                f"{self.path} has a different checkpoint of step {self.step} than the one loaded: "
                f"load the run again"
            )
        return run

    def noise(
        self,
        numbers: Sequence[int],
        seed: int = 0,
        truncation: float | None = None,
        label: str | int | None = None,
    ) -> np.ndarray:
        """The noise of images of a seed; in a conditional run, followed by one-hot labels.

        Args:
            numbers: indices of the images, from 0.
            seed: the seed of the images.
            truncation: keeps all values within ± this (the truncation trick).
            label: the class of all images; by default, each image has its own random class.

        Returns:
            float32 [len(numbers), noise_dim], or [len(numbers), noise_dim + classes].

        Raises:
            UserError: the run has no such class, or an argument is invalid.
        """
        if not len(numbers) or min(numbers) < 0 or seed < 0:
            raise UserError(
                f"numbers must be one or more indices from 0, and seed at least 0, not {numbers} "
                f"and {seed}"
            )
        if truncation is not None and truncation <= 0:
            raise UserError(f"truncation must be above 0, not {truncation}")
        class_index = None if label is None else self.classes.index(str(label))
        return seeded_noise(self.config, seed, numbers, truncation, self.classes, class_index)

    def generate(self, noise: np.ndarray) -> ImageGrid:
        """Draws the images of noise from `noise`: uint8 [N, H, W, C] in [0, 255].

        Raises:
            UserError: the noise has the wrong shape.
        """
        noise = np.asarray(noise, np.float32)
        _, width = self.generator.input_shape
        if noise.ndim != 2 or not len(noise) or noise.shape[1] != width:
            raise UserError(
                f"noise must be [N, {width}], as returned by `noise`, not {[*noise.shape]}"
            )
        return ImageGrid(self._sampler(noise))

    def sample(
        self,
        num_images: int = 16,
        seed: int = 0,
        truncation: float | None = None,
        label: str | int | None = None,
    ) -> ImageGrid:
        """Draws the first images of a seed, the same as `dcgan sample`.

        Args:
            num_images: the number of images.
            seed: the seed of the images.
            truncation, label: see `noise`, also for errors.

        Returns:
            uint8 [num_images, H, W, C] in [0, 255].
        """
        if num_images < 1:
            raise UserError(f"num_images must be at least 1, not {num_images}")
        # In full batches, like the command, so that the pixels are identical.
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
        """Draws images on a path through several points of the latent space.

        Args:
            points: image indices, or noise from `noise`; at least two.
            frames: frames between consecutive points.
            seed: the seed of the images.
            linear: whether to interpolate normal noise linearly.

        Returns:
            uint8 [(points − 1) · frames + 1, H, W, C] in [0, 255], the last point included. When
            displayed, each row goes from one point to the next.

        Raises:
            UserError: there are too few points or frames, the noise has the wrong shape, or a point
                is 0, from which spherical interpolation is undefined.
        """
        points = np.asarray(points)
        if len(points) < 2 or frames < 1:
            raise UserError(
                f"a path needs at least 2 points and 1 frame, not {len(points)} and {frames}"
            )
        noise = points if points.ndim == 2 else self.noise(points.tolist(), seed)
        kind = "uniform" if linear else self.config.noise
        if kind == "normal" and not noise[:, : self.config.noise_dim].any(axis=1).all():
            raise UserError("spherical interpolation of a point at 0 is undefined: use linear=True")
        path = interpolate_through(noise, frames, kind, False, self.config.noise_dim)
        return ImageGrid(self.generate(path).array, columns=frames + 1, overlap=True)

    def evaluate(
        self,
        num_images: int = 10_000,
        images: Any = None,
        labels: Any = None,
        value_range: ValueRange | None = None,
    ) -> dict[str, dict[str, Any]]:
        """Compares generated images with held-out images.

        Args:
            num_images: maximum number of generated and of real images.
            images, labels, value_range: the arguments of `train`; needed for `dataset` arrays
                unless `train` returned this run.

        Returns:
            The scores of the `generated` images and, as a baseline, of as many `real` training
            images.

        Raises:
            UserError: the run's folder or images are no longer available or can't be evaluated, or
                `num_images` is below 20.
        """
        if num_images < MIN_IMAGES:
            raise UserError(f"num_images must be at least {MIN_IMAGES}, not {num_images}")
        passed = read_passed(self.config, images, labels, value_range) or self._passed
        with passing(passed):
            found, *_ = evaluate_run(self._directory(), str(self.step), num_images, None)
        return {"generated": found["checkpoints"][self.step], "real": found["real"]}


def load_run(path: str | Path, checkpoint: int | str | None = None) -> Run:
    """Loads a run.

    Args:
        path: the run's folder.
        checkpoint: a checkpoint's step, or "best"; None for the newest intact checkpoint.

    Raises:
        UserError: this is not a run, or it has no such checkpoint, or none yet.
    """
    name = None if checkpoint is None else str(checkpoint)
    run = RunDirectory(Path(path).resolve())
    generator, config, step = load_generator(run, name)
    return Run(run.path, step, config, generator, run.read_classes(), file_identity(run, str(step)))


def load_pretrained(name: str) -> Run:
    """Loads a pretrained generator, as a run without a discriminator.

    Args:
        name: `mnist`, `fashion_mnist`, `cifar10` or `faces`; see docs/pretrained.md.

    Raises:
        UserError: there is no such generator, or it is damaged.
    """
    return load_run(pretrained_run(name))
