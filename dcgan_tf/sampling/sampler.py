"""Loads the models of a run, and draws images."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.conditional.label_inputs import stack_of
from dcgan_tf.conditional.labels import NO_CLASSES, Classes
from dcgan_tf.data import to_uint8
from dcgan_tf.pretrained.weights import load_weights, weights_step
from dcgan_tf.run.checkpoints import Checkpoints
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.sampling.noise import seeded_noise
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.keras_settings import seeded
from dcgan_tf.transfer.growing import as_of_step, model_makers

# Maps noise from `seeded_noise` to images, uint8 [N, H, W, C] in [0, 255].
Sampler = Callable[[np.ndarray], np.ndarray]


@seeded(0)  # keeps the random state; the checkpoint replaces the weights
def load_generator(
    run: RunDirectory, checkpoint: str | None = None
) -> tuple[keras.Sequential, Config, int]:
    """Loads the generator of a run from a checkpoint; the EMA generator, if the run has one.

    Args:
        run: the run.
        checkpoint: the checkpoint's step, or "best"; None for the newest intact checkpoint.

    Returns:
        The generator, the run's config, and the checkpoint's step.

    Raises:
        UserError: this is not a run, or it has no such checkpoint, or none yet.
    """
    config, images = run.read_config()
    make_generator, _ = model_makers(config)
    classes = len(images.get("classes", ()))
    generator = stack_of(make_generator(config, tuple(images["shape"]), classes))
    # The keys of `Trainer`'s checkpoints.
    name = "generator" if config.ema_decay is None else "averaged_generator"
    return load_model(run, config, checkpoint, name, generator, run.generator_file)


@seeded(0)
def load_discriminator(
    run: RunDirectory, checkpoint: str | None = None
) -> tuple[keras.Sequential, Config, int]:
    """Loads the discriminator of a run; arguments, result and errors as in `load_generator`."""
    config, images = run.read_config()
    if run.generator_file.exists() and not run.discriminator_file.exists():
        raise UserError(f"{run.path} only has a generator: use a `run_dir` with a discriminator")
    classes = len(images.get("classes", ()))
    _, make_discriminator = model_makers(config)
    discriminator = stack_of(make_discriminator(config, tuple(images["shape"]), classes))
    file = run.discriminator_file
    return load_model(run, config, checkpoint, "discriminator", discriminator, file)


def load_model(
    run: RunDirectory,
    config: Config,
    checkpoint: str | None,
    name: str,
    model: keras.Sequential,
    exported: Path,
) -> tuple[keras.Sequential, Config, int]:
    """A model with the weights of a checkpoint, or of the file `exported` if the run is an export.

    Returns:
        The model, the run's config, and the step of the weights.

    Raises:
        UserError: the run has no such checkpoint, or none yet.
    """
    if not run.generator_file.exists():
        step = restore_model(run, name, model, checkpoint)
        return as_of_step(model, config, step), config, step
    (only,) = checkpoint_names(run)
    if checkpoint not in (None, only):
        raise UserError(f"{run.path} only has the models of step {only}, not {checkpoint}")
    model = as_of_step(model, config, int(only))
    load_weights(exported, model)
    return model, config, int(only)


def restore_model(
    run: RunDirectory, name: str, model: keras.Sequential, checkpoint: str | None
) -> int:
    """Restores a model's weights from a checkpoint, and returns the checkpoint's step.

    Raises:
        UserError: the run has no such checkpoint, or none yet.
    """
    checkpoints = Checkpoints(run.checkpoints, tf.train.Checkpoint(**{name: model}))
    step = checkpoints.restore(checkpoints.step_of(checkpoint))
    if step is None:
        raise UserError(f"`run_dir` {run.path} has no checkpoint yet: train first")
    return step


def checkpoint_names(run: RunDirectory) -> list[str]:
    """The checkpoints of a run, as names for `load_generator`, oldest first.

    Raises:
        UserError: there are none.
    """
    if run.generator_file.exists():
        return [str(weights_step(run.generator_file))]
    steps = Checkpoints(run.checkpoints).steps()
    if not steps:
        raise UserError(f"`run_dir` {run.path} has no checkpoint yet: train first")
    return [str(step) for step in steps]


def file_identity(run: RunDirectory, checkpoint: str) -> tuple[tuple[int, ...], ...]:
    """The sizes and times of a checkpoint's files, which identify them if they are replaced.

    Inodes are left out, because a copy that keeps the times counts as the same checkpoint.

    Args:
        run: the run.
        checkpoint: one of `checkpoint_names`.
    """
    only = run.generator_file
    files = [only] if only.exists() else sorted(run.checkpoints.glob(f"ckpt-{checkpoint}.*"))
    found = []
    for file in files:
        with contextlib.suppress(FileNotFoundError):  # deleted in the meantime
            stat = file.stat()
            found.append((stat.st_size, stat.st_mtime_ns))
    return tuple(found)


def sample_images(
    generator: keras.Sequential,
    config: Config,
    seed: int,
    num_images: int,
    batch_size: int,
    truncation: float | None = None,
    classes: Classes = NO_CLASSES,
    label: int | None = None,
) -> Iterator[np.ndarray]:
    """Draws the first images of a seed, in batches, with batch norm's moving averages.

    Args:
        generator: a generator from `load_generator`.
        config: the run's config.
        seed: the seed of the images.
        num_images: the number of images.
        batch_size: the number of images per batch.
        truncation, classes, label: see `seeded_noise`.

    Yields:
        uint8 [batch, H, W, C] in [0, 255]; `num_images` in total.
    """
    batch_size = min(batch_size, num_images)
    sampler = compile_generator(generator, batch_size)
    for start in range(0, num_images, batch_size):
        indices = range(start, start + batch_size)
        noise = seeded_noise(config, seed, indices, truncation, classes, label)
        yield sampler(noise)[: num_images - start]


def compile_generator(generator: keras.Sequential, batch_size: int = 256) -> Sampler:
    """Compiles a generator into a function that draws images in batches of at most `batch_size`."""
    spec = tf.TensorSpec([None, *generator.input_shape[1:]])
    draw = tf.function(functools.partial(generator, training=False), autograph=False)
    graph = draw.get_concrete_function(spec)

    def sampler(noise: np.ndarray) -> np.ndarray:
        batches = [noise[start : start + batch_size] for start in range(0, len(noise), batch_size)]
        return np.concatenate([to_uint8(graph(tf.constant(batch))) for batch in batches])

    return sampler
