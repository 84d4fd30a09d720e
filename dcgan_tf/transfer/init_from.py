"""The weights of another run, to start from (`init_from`)."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import keras
import tensorflow as tf

from dcgan_tf.conditional.label_inputs import stack_of
from dcgan_tf.conditional.labels import Classes, normal
from dcgan_tf.models import ImageShape
from dcgan_tf.run.checkpoints import Checkpoints
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.keras_settings import seeded
from dcgan_tf.transfer.growing import model_makers, smaller, unfold


@seeded(0)
def start_from(
    run: RunDirectory,
    config: Config,
    image_shape: ImageShape,
    classes: Classes,
    stacks: Mapping[str, keras.Sequential],
) -> int:
    """Puts the weights of a run's newest intact checkpoint into new models.

    With `fade_in`, the run is one of images that are smaller by the stride, and its layers become
    the old ones. Where only one of both has an EMA generator, it starts as the generator, or is
    left out.

    Args:
        run: the other run.
        config: the settings of the new models.
        image_shape: of their images.
        classes: of their images.
        stacks: the models by their names in a checkpoint: `generator`, `discriminator` and, if
            there is one, `averaged_generator`.

    Returns:
        The checkpoint's step.

    Raises:
        UserError: this is no run, it has no checkpoint or no discriminator, its models or classes
            don't match, or its own new layers are not yet faded in.
    """
    other, images = run.read_config()
    if run.generator_file.exists():
        raise UserError(
            f"`init_from` {run.path} has a generator alone, and training starts from a "
            f"discriminator, too: give the run that it was exported from"
        )
    shape = tuple(images["shape"])
    check_match(run, config, image_shape, other, shape)
    learned, names = run.read_classes(), ", ".join(classes.names)
    if [*map(normal, learned.names)] != [*map(normal, classes.names)]:
        raise UserError(
            f"`init_from` {run.path} learned {', '.join(learned.names) or 'no labels'}, and this "
            f"run learns {names or 'no labels'}: give one with the same classes"
        )
    make_generator, make_discriminator = model_makers(other)
    generator, discriminator = (
        stack_of(make(other, shape, len(learned))) for make in (make_generator, make_discriminator)
    )
    models = {"generator": generator, "discriminator": discriminator}
    if other.ema_decay is not None:
        models["averaged_generator"] = stack_of(make_generator(other, shape, len(learned)))
    step = Checkpoints(run.checkpoints, tf.train.Checkpoint(**models)).restore()
    if step is None:
        raise UserError(f"`init_from` {run.path} has no checkpoint yet: train it first")
    if step < other.fade_in:
        raise UserError(
            f"`init_from` {run.path} is at step {step} of the {other.fade_in} in which its new "
            f"layers are faded in: train it further first"
        )
    for name, stack in stacks.items():
        source = models.get(name, generator)
        weights = [weight for layer in unfold(source, "new") for weight in layer.weights]
        own = [weight for layer in unfold(stack, "old") for weight in layer.weights]
        for weight, value in zip(own, weights, strict=True):
            weight.assign(value)
    return step


def check_match(
    run: RunDirectory, config: Config, image_shape: ImageShape, other: Config, shape: ImageShape
) -> None:
    """Refuses a run whose weights would compute something else in the new models.

    Args:
        run: the other run.
        config: the settings of the new models.
        image_shape: of their images.
        other: the settings of the run.
        shape: of the run's images.
    """
    wanted, wanted_shape = smaller(config, image_shape) if config.fade_in else (config, image_shape)
    if shape != wanted_shape:
        sizes = ["×".join(map(str, each)) for each in (shape, image_shape, wanted_shape)]
        how = (
            f"`fade_in` grows from {sizes[2]} to {sizes[1]}"
            if config.fade_in
            else f"not of {sizes[1]}, as now (from half the size, add `fade_in` to grow)"
        )
        if other.reading < config.reading and shape[:2] == image_shape[:2]:
            how += "; by `reading=1`, the rules of that run, they have the channels that it has"
        raise UserError(f"`init_from` {run.path} was trained on images of {sizes[0]}: {how}")
    factor = wanted.base_filters // config.base_filters
    needed = {name: getattr(other, name) for name in Config.of_models()}
    needed["base_filters"] = Fraction(other.base_filters, factor)
    differences = [
        f"`{name}` is {getattr(config, name)} and would have to be {value}"
        for name, value in needed.items()
        if value != getattr(config, name)
    ]
    if differences:
        raise UserError(f"`init_from` {run.path} has other models: {'; '.join(differences)}")
