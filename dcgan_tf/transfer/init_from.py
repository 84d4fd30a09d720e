"""The weights of another run, to start from (`init_from`)."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import keras
import tensorflow as tf

from dcgan_tf.conditional.label_inputs import stack_of
from dcgan_tf.conditional.labels import Classes, normalize_name
from dcgan_tf.models import ImageShape
from dcgan_tf.pretrained.generators import PRETRAINED, pretrained_run, with_discriminator
from dcgan_tf.pretrained.weights import load_weights, weights_step
from dcgan_tf.run.checkpoints import Checkpoints
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.keras_settings import seeded
from dcgan_tf.transfer.growing import as_of_step, model_makers, smaller_models, unfold


def origin_of(init_from: str) -> RunDirectory:
    """The run to start from.

    Args:
        init_from: a run directory, or a name of PRETRAINED.

    Raises:
        UserError: it is neither, or the files of the pretrained model are damaged.
    """
    run = RunDirectory(Path(init_from), "`init_from`")
    if run.config_file.exists():
        return run
    if init_from in PRETRAINED:
        return RunDirectory(pretrained_run(init_from), "`init_from`")
    raise UserError(
        f"`init_from` {init_from} is not a run directory (it has no config.json), nor one of the "
        f"pretrained models: {', '.join(PRETRAINED)}"
    )


@seeded(0)
def start_from(
    run: RunDirectory,
    config: Config,
    image_shape: ImageShape,
    classes: Classes,
    stacks: Mapping[str, keras.Sequential],
) -> int:
    """Loads the weights of a run's newest intact checkpoint, or of an export, into new models.

    With `fade_in`, the images of the other run are smaller by the stride, and its layers become the
    old ones. If only the new models have an EMA generator, it starts as the generator. If only the
    other run has one, it is ignored. An export's only generator is used for both.

    Args:
        run: the other run.
        config: the settings of the new models; errors name the other run by `init_from`.
        image_shape: height, width and channels of the new images.
        classes: the classes of the new images.
        stacks: the new models by their names in a checkpoint: `generator`, `discriminator` and, if
            there is one, `averaged_generator`.

    Returns:
        The step of the checkpoint.

    Raises:
        UserError: the other run is not a run, has no checkpoint or no discriminator, has other
            models or classes, or its own new layers are not yet faded in.
    """
    other, images = run.read_config()
    named = f"`init_from` {config.init_from}"
    if run.generator_file.exists() and not run.discriminator_file.exists():
        others = " or ".join(["the run that it was exported from", *with_discriminator()])
        raise UserError(
            f"{named} has only a generator, but training also needs a discriminator: use another "
            f"run, such as {others}"
        )
    shape = tuple(images["shape"])
    check_match(config, image_shape, other, shape)
    learned, names = run.read_classes(), ", ".join(classes.names)
    if [*map(normalize_name, learned.names)] != [*map(normalize_name, classes.names)]:
        raise UserError(
            f"{named} learned {', '.join(learned.names) or 'no labels'}, but this run learns "
            f"{names or 'no labels'}: use a run with the same classes"
        )
    models, step = trained_models(run, other, shape, len(learned))
    if step is None:
        raise UserError(f"{named} has no checkpoint yet: train it first")
    if step < other.fade_in:
        raise UserError(
            f"{named} is at step {step} of the {other.fade_in} that fade in its new layers: train "
            f"it longer first"
        )
    for name, stack in stacks.items():
        source = models.get(name, models["generator"])
        weights = [weight for layer in unfold(source, "new") for weight in layer.weights]
        own = [weight for layer in unfold(stack, "old") for weight in layer.weights]
        for weight, value in zip(own, weights, strict=True):
            weight.assign(value)
    return step


def trained_models(
    run: RunDirectory, config: Config, image_shape: ImageShape, classes: int
) -> tuple[dict[str, keras.Sequential], int | None]:
    """The stacks of a run's models, by their names in a checkpoint, and their step.

    An export has one generator, which is the EMA generator if the run had one.

    Args:
        run: the run.
        config: its settings.
        image_shape: height, width and channels of its images.
        classes: the number of its classes.

    Returns:
        The models, and the step of the newest intact checkpoint; None if there is none.
    """
    make_generator, make_discriminator = model_makers(config)
    names = {"generator": make_generator, "discriminator": make_discriminator}
    if config.ema_decay is not None and not run.generator_file.exists():
        names["averaged_generator"] = make_generator
    models = {name: stack_of(make(config, image_shape, classes)) for name, make in names.items()}
    if not run.generator_file.exists():
        return models, Checkpoints(run.checkpoints, tf.train.Checkpoint(**models)).restore()
    step = weights_step(run.generator_file)
    for name, file in (
        ("generator", run.generator_file),
        ("discriminator", run.discriminator_file),
    ):
        load_weights(file, as_of_step(models[name], config, step))
    return models, step


def check_match(config: Config, image_shape: ImageShape, other: Config, shape: ImageShape) -> None:
    """Rejects a run whose weights would compute something else in the new models.

    Args:
        config: the settings of the new models.
        image_shape: the shape of the new images.
        other: the settings of the run.
        shape: the shape of the run's images.
    """
    wanted, wanted_shape = (
        smaller_models(config, image_shape) if config.fade_in else (config, image_shape)
    )
    if shape != wanted_shape:
        sizes = ["×".join(map(str, each)) for each in (shape, image_shape, wanted_shape)]
        how = (
            f"`fade_in` grows from {sizes[2]} to {sizes[1]}"
            if config.fade_in
            else f"this run has images of {sizes[1]}"
        )
        if not config.fade_in and [2 * side for side in shape[:2]] == [*image_shape[:2]]:
            how += ", twice the size: add `fade_in` to grow"
        if other.reading < config.reading and shape[:2] == image_shape[:2]:
            how += "; with `reading=1`, as in that run, these images have the same channels"
        raise UserError(
            f"`init_from` {config.init_from} was trained on images of {sizes[0]}: {how}"
        )
    factor = wanted.base_filters // config.base_filters
    needed = {name: getattr(other, name) for name in Config.of_models()}
    needed["base_filters"] = Fraction(other.base_filters, factor)
    differences = [
        f"`{name}` is {getattr(config, name)} but must be {value}"
        for name, value in needed.items()
        if value != getattr(config, name)
    ]
    if differences:
        raise UserError(
            f"`init_from` {config.init_from} has other models: {'; '.join(differences)}"
        )
