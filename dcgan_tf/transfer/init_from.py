"""The weights of another run, to start from (`--init_from`)."""

from __future__ import annotations

from fractions import Fraction

import tensorflow as tf

from dcgan_tf.checkpoints import Checkpoints
from dcgan_tf.cli.errors import UserError
from dcgan_tf.config import Config
from dcgan_tf.gan import Gan
from dcgan_tf.growing.fade_in import unfold
from dcgan_tf.models import ImageShape, make_discriminator, make_generator, smaller
from dcgan_tf.run_directory import RunDirectory

# What both runs must have in common.
SHARED = (
    *("architecture", "noise", "noise_dim", "mapping_layers", "base_filters", "kernel_size"),
    *("stride", "generator_batch_norm", "discriminator_batch_norm", "pack"),
)


def start_from(run: RunDirectory, gan: Gan, image_shape: ImageShape) -> int:
    """Puts the weights of a run's newest intact checkpoint into a GAN that has taken no step.

    The optimizers and the step stay as they are. With `--fade_in`, the run is one of images that
    are smaller by the stride, and its layers become the old ones. Where only one of both has an
    EMA generator, it starts as the generator, or is left out.

    Args:
        run: the other run.
        gan: what starts from it.
        image_shape: of the images of `gan`.

    Returns:
        The checkpoint's step.

    Raises:
        UserError: this is no run, it has no checkpoint or no discriminator, its models or classes
            don't match, or its own new layers are not yet faded in.
    """
    config, images = run.read_config()
    if run.generator_file.exists():
        raise UserError(
            f"--init_from {run.path} has a generator alone, and training starts from a "
            f"discriminator, too: give the run that it was exported from"
        )
    shape = tuple(images["shape"])
    check_match(run, gan.config, image_shape, config, shape)
    classes, names = run.read_classes(), ", ".join(gan.classes.names)
    if [*classes.names] != [*gan.classes.names]:
        raise UserError(
            f"--init_from {run.path} learned {', '.join(classes.names) or 'no labels'}, and this "
            f"run learns {names or 'no labels'}: give one with the same classes"
        )
    generator, discriminator = (
        make(config, shape, len(classes)) for make in (make_generator, make_discriminator)
    )
    models = {"generator": generator, "discriminator": discriminator}
    if config.ema_decay is not None:
        models["averaged_generator"] = make_generator(config, shape, len(classes))
    step = Checkpoints(run.checkpoints, tf.train.Checkpoint(**models)).restore()
    if step is None:
        raise UserError(f"--init_from {run.path} has no checkpoint yet: train it first")
    if step < config.fade_in:
        raise UserError(
            f"--init_from {run.path} is at step {step} of the {config.fade_in} in which its new "
            f"layers are faded in: train it further first"
        )
    pairs = [(gan.generator, generator), (gan.discriminator, discriminator)]
    if gan.ema_generator is not None:
        pairs.append((gan.ema_generator, models.get("averaged_generator", generator)))
    for model, other in pairs:
        weights = [weight for layer in unfold(other, "new") for weight in layer.weights]
        own = [weight for layer in unfold(model, "old") for weight in layer.weights]
        for weight, value in zip(own, weights, strict=True):
            weight.assign(value)
    return step


def check_match(
    run: RunDirectory, config: Config, image_shape: ImageShape, other: Config, shape: ImageShape
) -> None:
    """Refuses a run whose layers are not those that a GAN starts with.

    Args:
        run: the other run.
        config: the settings of the GAN.
        image_shape: of its images.
        other: the settings of the run.
        shape: of the run's images.
    """
    wanted, wanted_shape = smaller(config, image_shape) if config.fade_in else (config, image_shape)
    if shape != wanted_shape:
        sizes = ["×".join(map(str, each)) for each in (shape, image_shape, wanted_shape)]
        how = (
            f"--fade_in grows from {sizes[2]} to {sizes[1]}"
            if config.fade_in
            else (f"not of {sizes[1]}, as now (from half the size, add --fade_in to grow)")
        )
        raise UserError(f"--init_from {run.path} was trained on images of {sizes[0]}: {how}")
    factor = wanted.base_filters // config.base_filters
    needed = {name: getattr(other, name) for name in SHARED}
    needed["base_filters"] = Fraction(other.base_filters, factor)
    differences = [
        f"--{name} is {getattr(config, name)} and would have to be {value}"
        for name, value in needed.items()
        if value != getattr(config, name)
    ]
    if differences:
        raise UserError(f"--init_from {run.path} has other models: {'; '.join(differences)}")
