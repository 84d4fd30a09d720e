"""Training a run, and what can be done with one in Python."""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.checkpoints import Checkpoints
from dcgan_tf.cli.errors import UserError
from dcgan_tf.config import Config
from dcgan_tf.data import load_images, load_training_labels
from dcgan_tf.distributed.cluster import (
    check_same,
    check_shared,
    is_chief,
    lost_workers_named,
    open_aside,
)
from dcgan_tf.distributed.strategy import describe_devices, make_strategy, unused_gpu
from dcgan_tf.evaluation.evaluator import LEAST_IMAGES, Evaluator, evaluate_run
from dcgan_tf.evaluation.table import IN_TRAINING
from dcgan_tf.fast.measure import resolve_auto
from dcgan_tf.latent.interpolation import interpolate_through
from dcgan_tf.noise import seeded_noise
from dcgan_tf.pretrained.table import pretrained_run
from dcgan_tf.reporting.images import ImageGrid
from dcgan_tf.reporting.report import draw_run
from dcgan_tf.run_directory import RunDirectory, device_name, open_run
from dcgan_tf.sampling import (
    Sampler,
    checkpoint_names,
    compile_generator,
    load_discriminator,
    load_generator,
)
from dcgan_tf.training import Trainer, fit
from dcgan_tf.transfer.init_from import start_from

BATCH_SIZE = 256

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Run:
    """What was trained, as of one of its checkpoints; `load_run` and `train` return it.

    Attributes:
        path: the run's folder.
        step: the checkpoint's: how many training steps were taken.
        config: the settings of the run.
        generator: the Keras model that images are drawn from, the EMA generator if the run has
            one: from noise, as of `noise`, to images, float32 [N, H, W, C] in [-1, 1].
    """

    path: Path
    step: int
    config: Config = dataclasses.field(repr=False)
    generator: keras.Sequential = dataclasses.field(repr=False)

    @functools.cached_property
    def discriminator(self) -> keras.Sequential:
        """The Keras model from images, float32 [N, H, W, C] in [-1, 1], to logits, [N, 1].

        In a conditional run, the channels of an image's one-hot label stand beside its own; with
        `--pack` M, a logit is of M images, [N / M, 1].
        """
        discriminator, _, _ = load_discriminator(RunDirectory(self.path), str(self.step))
        return discriminator

    @functools.cached_property
    def _sampler(self) -> Sampler:
        return compile_generator(self.generator, BATCH_SIZE)

    @property
    def checkpoints(self) -> list[int]:
        """The steps of the run's checkpoints, oldest first."""
        return [int(name) for name in checkpoint_names(RunDirectory(self.path))]

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
        classes = RunDirectory(self.path).read_classes()
        number = None if label is None else classes.number(str(label))
        return seeded_noise(self.config, seed, numbers, truncation, classes, number)

    def generate(self, noise: np.ndarray) -> ImageGrid:
        """The images of some noise, as of `noise`: uint8 [N, H, W, C] in [0, 255].

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
            truncation, label: as of `noise`, which also says what is raised.

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
            points: numbers of images of a seed, or an array of noise, as of `noise`; at least two.
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

    def evaluate(self, num_images: int = 10_000) -> dict[str, dict[str, Any]]:
        """Compares generated images with images that no training saw.

        Args:
            num_images: how many of each kind, at most.

        Returns:
            The scores of the `generated` images, and as many training images' in their place: of
            `real` ones.

        Raises:
            UserError: the run's images are not to be had any more, or can't be evaluated, or
                `num_images` is below 20.
        """
        if num_images < LEAST_IMAGES:
            raise UserError(f"num_images must be at least {LEAST_IMAGES}, not {num_images}")
        found, *_ = evaluate_run(RunDirectory(self.path), str(self.step), num_images, None)
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
    generator, config, step = load_generator(RunDirectory(Path(path)), name)
    return Run(Path(path), step, config, generator)


def load_pretrained(name: str) -> Run:
    """A generator that comes with the project, as a run without a discriminator.

    Args:
        name: `mnist`, `fashion_mnist` or `faces`, see docs/pretrained.md.

    Raises:
        UserError: there is no such generator, or it is damaged.
    """
    return load_run(pretrained_run(name))


def train(config: Config, run_dir: str | Path | None = None, resume: bool = True) -> Run:
    """Starts or resumes a run, as `dcgan train` does, on the devices that the config names.

    The numbers are those of the command, bit for bit; with `unroll_steps`, from the second training
    of a process on, up to rounding: TensorFlow orders that step's operations by the names of the
    layers, and Keras counts these on.

    Args:
        config: the settings of the run.
        run_dir: its folder; new, empty, or of a run with the same settings and images. By default
            it is named by the settings, under `runs/`.
        resume: whether to go on with a run; if not, a folder in use is refused.

    Returns:
        The run, as of its newest checkpoint.

    Raises:
        UserError: the run can't be started, or was asked to stop.
        OSError: something can't be read or written.
    """
    path = Path(run_dir or config.default_run_dir())
    train_run(config, path, make_strategy(config), resume)
    return load_run(path)


def train_run(
    config: Config, path: Path, strategy: tf.distribute.Strategy, resume: bool = True
) -> None:
    """Starts or resumes a run.

    Args:
        config: the settings of the run.
        path: its folder; new, empty, or of a run with the same settings and images.
        strategy: whose devices train it.
        resume: whether to go on with a run; if not, a folder in use is refused.

    Raises:
        UserError: the run can't be started, or was asked to stop.
        OSError: something can't be read or written.
    """
    images = load_images(config)
    labels = load_training_labels(config, images)
    with strategy.scope(), lost_workers_named():
        check_shared(RunDirectory(path))
        config = resolve_auto(config, RunDirectory(path))
        trainer = Trainer(config, images, labels)
        origin = "from the start"
        if config.init_from and not Checkpoints(RunDirectory(path).checkpoints).steps():
            other = RunDirectory(Path(config.init_from), "--init_from")
            step = start_from(other, trainer.gan, images.shape[1:])
            origin = f"from {other.path} after step {step}"
        check_same(config, images, labels)
        evaluates = trainer.is_evaluated and is_chief()
    evaluate = None
    if evaluates:
        # Outside the scope: what is trained for it is trained as on a single device.
        try:
            evaluate = Evaluator(config, images, metrics=IN_TRAINING, labels=labels).evaluation
        except UserError as error:
            if config.eval_every is not None or config.inception_weights is not None:
                raise
            logger.warning("the images are not evaluated while they train: %s", error)
    with (
        strategy.scope(),
        lost_workers_named(),
        open_run(path, config, images, resume, labels)
        if is_chief()
        else open_aside() as run_directory,
    ):
        start = trainer.restore(RunDirectory(path))
        shape = "×".join(map(str, images.shape[1:]))
        of_classes = f" in {len(trainer.classes)} classes" if labels else ""
        print(f"dataset        {config.dataset}: {len(images):,} images of {shape}{of_classes}")
        for model in (trainer.gan.generator, trainer.gan.discriminator):
            trainable = sum(math.prod(weights.shape) for weights in model.trainable_variables)
            print(f"{model.name:<14} {model.count_params():,} parameters, {trainable:,} trainable")
        print(f"training step  {trainer.describe_step()}")
        print(f"device         {describe_devices(device_name())}")
        if config.device == "auto" and unused_gpu():
            logger.warning(
                "this machine has an NVIDIA GPU, and TensorFlow does not see it: "
                'pip install "dcgan-tf[gpu]", or give --device cpu'
            )
        print(f"run directory  {path}{'' if is_chief() else ', kept by worker 0'}")
        print(
            f"training       {f'resumed after step {start}' if start else origin}, "
            f"to step {trainer.last_step} ({trainer.steps_per_epoch} steps an epoch)",
            flush=True,
        )
        ended = start >= trainer.last_step
        if ended and not (trainer.evaluation_is_due and evaluate):
            ends = {
                "--epochs": config.epochs * trainer.steps_per_epoch,
                "--max_steps": config.max_steps,
            }
            reached = " and ".join(flag for flag in ends if ends[flag] == trainer.last_step)
            print(f"nothing left to do: a greater {reached} goes on with this run")
        if not ended or trainer.evaluation_is_due:  # which all workers wait for
            fit(trainer, run_directory, evaluate)
        elif is_chief():  # it may have been killed once all was saved, while it drew
            draw_run(run_directory, trainer.history, trainer.steps_per_epoch)
