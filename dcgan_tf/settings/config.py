"""Every setting of a run, in one frozen dataclass that flags, files and code share."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from dcgan_tf.settings.choices import ARCHITECTURES, AUGMENTATIONS, DATASETS, LOSSES
from dcgan_tf.settings.combinations import COMBINATIONS, FOR_SOME_DATASETS, IDLE
from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.fields import (
    AT_LEAST_ONE,
    AT_LEAST_ZERO,
    BELOW_ONE,
    CHANNELS,
    FRACTION,
    NOT_NEGATIVE,
    POSITIVE,
    Settings,
    at_least,
    between,
    one_of,
    setting,
    some_of,
)
from dcgan_tf.settings.image_size import IMAGE_SIZE, Size, height_and_width, parse_size
from dcgan_tf.settings.presets import PRESETS, implied

EVAL_EPOCHS = 5
EVAL_STEPS = 250
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
LONGEST_NAME = 180  # of a folder; file systems take 255 bytes
FITS = ("crop", "pad", "stretch")
OF_REFERENCE = {"precision": "float32", "convolutions": "native"}
RULES = ("reading", "ordering")  # which a run keeps, and which do not name it


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """The settings of one run; the defaults are those of the TensorFlow DCGAN tutorial.

    `Config.from_preset` fills in a preset's values; here, `preset` is a name alone.

    Raises:
        UserError: a value is not one that the setting can have.
    """

    data_dir: str | None = setting(
        None,
        "Data",
        "your images: a folder or .zip for `dataset` folder; for tfrecords the folder that "
        "dcgan tfrecords wrote; for the others one with your own copy, as IDX files (plain or "
        ".gz), a Keras .npz, or CIFAR-10's .bin files",
        may_change=True,
        is_path=True,
    )
    conditional: bool = setting(
        False,
        "Data",
        "learn the labels too, so that images of a class can be asked for; those of a folder's "
        "images are the names of the folders in it",
    )
    clusters: int | None = setting(
        None,
        "Data",
        "learn labels that nobody gave: find this many clusters of similar images and tell the "
        "models which is whose (self-conditioning; 50 for digits); images are drawn in the "
        "clusters' proportions",
        between(2, 1000),
        of_models=True,
    )
    image_size: str | int | None = setting(
        None,
        "Data",
        "resize to this many pixels a side, or to HEIGHTxWIDTH: with the default stride, the "
        "shorter side is 4 to 7 times a power of two, and the longer one a multiple of that power "
        "(default: the data's own; 64 for a folder)",
        IMAGE_SIZE,
        one_form=parse_size,
    )
    channels: int | None = setting(
        None,
        "Data",
        "of a folder's images: 1 for grey, 3 for color, 4 to learn their transparency, too "
        "(default: 1 if all are grey, else 3, with `background` behind transparent pixels)",
        CHANNELS,
    )
    fit: str = setting(
        "crop",
        "Data",
        "what gives a folder's images the proportions of `image_size`: crop to the middle, pad "
        "with the background, or stretch",
        one_of(FITS),
    )
    background: str = setting(
        "white",
        "Data",
        "colour behind transparent pixels, and around padded images, a name or #rrggbb",
    )
    flip: bool = setting(False, "Data", "mirror images left to right at random")
    max_bad_images: float = setting(
        0.01, "Data", "fraction of damaged files that may be left out", FRACTION, may_change=True
    )
    held_out: float = setting(
        0.1,
        "Data",
        "fraction of the images of a folder, or of arrays, that are kept from training, to "
        "evaluate with, unless they are in folders called train and test",
        BELOW_ONE,
    )
    cache_dir: str | None = setting(
        None,
        "Data",
        "where decoded images are kept that don't fit in memory",
        may_change=True,
        is_path=True,
    )
    reading: int = setting(
        2,
        "Data",
        "version of the rules by which a folder's images are read; older runs keep 1",
        between(1, 2),
        before=1,
    )
    ordering: int = setting(
        2,
        "Data",
        "version of the rules by which images are ordered; older runs keep 1, which repeats after "
        "256 epochs",
        between(1, 2),
        before=1,
    )
    preset: str = setting(
        "tutorial",
        "Preset",
        f"values for the flags that are not given (below: tutorial's): {', '.join(PRESETS)}",
        one_of(PRESETS),
    )
    dataset: str = setting(
        "mnist",
        "Data",
        f"images to learn: {', '.join(DATASETS)} (those that Python passes to train)",
        one_of(DATASETS),
    )
    architecture: str = setting(
        "tutorial", "Models", ", ".join(ARCHITECTURES), one_of(ARCHITECTURES), of_models=True
    )
    noise: str = setting(
        "normal",
        "Models",
        "z from N(0, 1), or uniform in [-1, 1]",
        one_of(("normal", "uniform")),
        of_models=True,
    )
    noise_dim: int = setting(
        100, "Models", "length of the noise vector z", AT_LEAST_ONE, of_models=True
    )
    mapping_layers: int = setting(
        0,
        "Models",
        "layers of a mapping network, through which z goes before the generator (StyleGAN: 8)",
        between(0, 100),
        of_models=True,
    )
    base_filters: int = setting(
        64,
        "Models",
        "filters at half the image's size; doubled with each halving",
        AT_LEAST_ONE,
        of_models=True,
    )
    kernel_size: int = setting(5, "Models", "of the convolutions", AT_LEAST_ONE, of_models=True)
    stride: int = setting(
        2, "Models", "factor by which each block scales the image", at_least(2), of_models=True
    )
    negative_slope: float = setting(
        0.3, "Models", "LeakyReLU's", FRACTION, old_name="leaky_slope", of_models=True
    )
    dropout: float = setting(0.3, "Models", "rate, in the discriminator's blocks", BELOW_ONE)
    last_dropout: float = setting(
        0.0, "Models", "rate, before the discriminator's last layer", BELOW_ONE
    )
    generator_batch_norm: bool = setting(
        True, "Models", "batch norm in the generator", of_models=True
    )
    discriminator_batch_norm: bool = setting(
        False, "Models", "batch norm in the discriminator", of_models=True
    )
    spectral_norm: bool = setting(
        False,
        "Models",
        "spectral norm in the discriminator: divide each kernel by its largest singular value",
        of_models=True,
    )
    label_input: str = setting(
        "concat",
        "Models",
        "how labels come in: concat, beside the noise and as channels of images; projection, as a "
        "scale and a shift after each batch norm of the generator, and a projection in the "
        "discriminator",
        one_of(("concat", "projection")),
        of_models=True,
    )
    batch_norm_momentum: float = setting(
        0.99, "Models", "decay of batch norm's moving averages", BELOW_ONE
    )
    batch_norm_epsilon: float = setting(
        1e-3, "Models", "added to batch norm's variance", POSITIVE, of_models=True
    )
    initializer_stddev: float | None = setting(
        None, "Models", "draw weights from N(0, this) (default, and 0: Glorot's)", NOT_NEGATIVE
    )
    batch_size: int = setting(
        256, "Training", "images a step, of all replicas together", AT_LEAST_ONE
    )
    epochs: int = setting(
        50, "Training", "passes over the images, in total", AT_LEAST_ONE, may_change=True
    )
    max_steps: int | None = setting(
        None,
        "Training",
        "stop after this many steps, even within an epoch",
        AT_LEAST_ONE,
        may_change=True,
    )
    learning_rate: float = setting(
        1e-4, "Training", "Adam's learning rate, of both models", POSITIVE
    )
    generator_learning_rate: float | None = setting(
        None, "Training", "the generator's, where it differs", POSITIVE
    )
    discriminator_learning_rate: float | None = setting(
        None, "Training", "the discriminator's, where it differs", POSITIVE
    )
    decay_steps: int | None = setting(
        None,
        "Training",
        "let the learning rates fall to 0, along a cosine, over this many steps",
        AT_LEAST_ONE,
    )
    decay_from: int = setting(
        0, "Training", "steps before the learning rates fall (`decay_steps`)", AT_LEAST_ZERO
    )
    beta_1: float = setting(0.9, "Training", "Adam's decay of the mean gradient", BELOW_ONE)
    discriminator_batch: str = setting(
        "separate",
        "Training",
        "real and generated images go through the discriminator separate, or joint as one batch",
        one_of(("separate", "joint")),
    )
    loss: str = setting("bce", "Losses and remedies", ", ".join(LOSSES), one_of(LOSSES))
    label_smoothing: float = setting(
        0.0, "Losses and remedies", "real images' target is 1 less this", BELOW_ONE
    )
    discriminator_steps: int = setting(
        1,
        "Losses and remedies",
        "updates of the discriminator to one of the generator (wasserstein: 5)",
        AT_LEAST_ONE,
    )
    weight_clip: float | None = setting(
        None,
        "Losses and remedies",
        "keep the discriminator's weights within ± this (wasserstein without penalty: 0.01)",
        POSITIVE,
    )
    gradient_penalty: float | None = setting(
        None,
        "Losses and remedies",
        "factor of (‖∇D‖ − 1)², for wasserstein (10 in its paper)",
        POSITIVE,
    )
    r1_gamma: float | None = setting(
        None,
        "Losses and remedies",
        "factor of ½‖∇D‖² at real images (R1), against an overconfident discriminator; 0: none",
        NOT_NEGATIVE,
        old_name="real_penalty",
    )
    r2_gamma: float | None = setting(
        None,
        "Losses and remedies",
        "factor of the same at generated images (R2), for loss=relativistic; 0: none",
        NOT_NEGATIVE,
    )
    unroll_steps: int = setting(
        0,
        "Losses and remedies",
        "updates of the discriminator that the generator looks ahead",
        between(0, 100),
    )
    pack: int = setting(
        1,
        "Losses and remedies",
        "images that the discriminator sees at once, stacked as channels",
        AT_LEAST_ONE,
        of_models=True,
    )
    augment: str = setting(
        "none",
        "Losses and remedies",
        "random changes to every image that the discriminator sees, for few images: none, or some "
        f"of {','.join(AUGMENTATIONS)}",
        some_of(AUGMENTATIONS),
    )
    augment_probability: float = setting(
        1.0, "Losses and remedies", "how often each of these is made of an image", FRACTION
    )
    augment_target: float | None = setting(
        None,
        "Losses and remedies",
        "adapt augment_probability, from 0 on: more while the discriminator tells so many more "
        "real images right than wrong (fraction of all; 0.6 in its paper), less while fewer",
        FRACTION,
    )
    ema_decay: float | None = setting(
        None,
        "Training",
        "also keep an exponential moving average of the generator, and sample from it",
        BELOW_ONE,
    )
    init_from: str | None = setting(
        None,
        "Training",
        "start from the weights of the run in this folder, or of a pretrained one such as faces; "
        "not from optimizers or a step",
        is_path=True,
    )
    fade_in: int = setting(
        0,
        "Training",
        "grow from `init_from`, a run on images of half the size with twice the `base_filters`: "
        "blend the new layers in over this many steps",
        AT_LEAST_ZERO,
    )
    seed: int = setting(
        0, "Training", "fixes the weights, noise, data order and dropout", AT_LEAST_ZERO
    )
    precision: str = setting(
        "auto",
        "Speed",
        f"of products and convolutions: {', '.join(PRECISIONS)}; auto measures once on a machine",
        one_of(PRECISIONS),
    )
    convolutions: str = setting(
        "auto",
        "Speed",
        "transposed ones, and gradients, by TensorFlow's own kernels (native), or as sub-pixel "
        "convolutions (subpixel); auto measures once on a machine",
        one_of(("auto", "native", "subpixel")),
        old_values={"phases": "subpixel"},
    )
    jit_compile: bool = setting(False, "Speed", "compile the step with XLA")
    steps_per_execution: int = setting(
        1,
        "Speed",
        "steps without Python in between, for devices that it would hold up (1 for images on "
        "disk, which Python reads)",
        AT_LEAST_ONE,
        old_name="steps_per_call",
        may_change=True,
    )
    reference: bool = setting(
        False,
        "Speed",
        "the tutorial's own operations, to compare with: Keras's layers, in float32",
    )
    device: str = setting(
        "auto",
        "Devices",
        "auto (GPUs if there are any), cpu or gpu",
        one_of(("auto", "cpu", "gpu")),
        may_change=True,
    )
    strategy: str = setting(
        "auto",
        "Devices",
        "auto (every GPU of this machine), one, mirrored (every device of this machine) or "
        "multi_worker (the cluster that TF_CONFIG names)",
        one_of(("auto", "one", "mirrored", "multi_worker")),
        may_change=True,
    )
    sync_batch_norm: bool = setting(
        False, "Devices", "batch norm over the whole batch, not each replica's part"
    )
    eval_every: int | None = setting(
        None,
        "Evaluation",
        f"evaluate the images every N epochs; 0: never (default: {EVAL_EPOCHS}, or, if these are "
        f"fewer than {EVAL_STEPS} steps, as many as take {EVAL_STEPS} steps)",
        AT_LEAST_ZERO,
        may_change=True,
    )
    inception_weights: str | None = setting(
        None,
        "Evaluation",
        "evaluate by InceptionV3, with keras.applications' weights without top, a .h5 file, "
        "or imagenet: downloaded by Keras (default: by a classifier of the dataset, or, without "
        "labels, by pixels and edges)",
        may_change=True,
        is_path=True,
    )
    checkpoint_steps: int | None = setting(
        None, "Run", "also save every N steps", AT_LEAST_ONE, may_change=True
    )

    @classmethod
    def from_file(cls, values: dict[str, Any]) -> "Config":
        """The config of a run's file, which may be older than some settings."""
        before = {field.name: field.metadata["before"] for field in dataclasses.fields(cls)}
        return cls(**before | cls.with_new_names(values))

    @classmethod
    def from_flags(cls, given: dict[str, Any]) -> "Config":
        """The preset's values, but for those that were given, or that a given one brings along.

        Raises:
            UserError: a value is not one that the setting can have, or a given one would change
                nothing.
        """
        given = cls.with_new_names(given)
        preset = PRESETS[cls(preset=given.get("preset", "tutorial")).preset]
        config = cls(**preset | implied(given) | given)
        for idle in IDLE:
            if fault := idle.fault(config, given):
                raise UserError(fault)
        return config

    @classmethod
    def from_preset(cls, preset: str = "tutorial", **given: Any) -> "Config":
        """As `from_flags`, for Python: `Config.from_preset("paper", epochs=3)`."""
        return cls.from_flags({"preset": preset} | given)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in OF_REFERENCE.items() if self.reference else ():
            if getattr(self, name) == "auto":
                object.__setattr__(self, name, value)
        for found, reason in COMBINATIONS:
            if found(self):
                raise UserError(reason.format(self))

    @property
    def learns_labels(self) -> bool:
        """Whether the models learn labels: those of the images, or their clusters."""
        return self.conditional or self.clusters is not None

    @property
    def has_class_layers(self) -> bool:
        """Whether the models have layers of a class's own."""
        return self.learns_labels and self.label_input == "projection"

    @property
    def flattens_slope(self) -> bool:
        """Whether a penalty would have the discriminator flat at images: R1 or R2."""
        return bool(self.r1_gamma or self.r2_gamma)

    @property
    def alternates(self) -> bool:
        """Whether the discriminator has updates of its own before the generator's."""
        return self.discriminator_steps > 1 or self.limits_slope

    @property
    def limits_slope(self) -> bool:
        """Whether the discriminator's slope is limited, as the Wasserstein loss needs."""
        return self.weight_clip is not None or self.gradient_penalty is not None

    @property
    def height_and_width(self) -> Size | None:
        """The sides of the images; None for those that the data have."""
        return None if self.image_size is None else height_and_width(self.image_size)

    @property
    def images_per_step(self) -> int:
        """How many real images one training step takes."""
        return self.batch_size * self.discriminator_steps

    @classmethod
    def unknown(cls, values: dict[str, Any]) -> list[str]:
        """The names in `values` that no setting has or had."""
        names = {field.name for field in dataclasses.fields(cls)}
        return sorted(cls.with_new_names(values).keys() - names)

    @classmethod
    def fixed(cls) -> list[str]:
        """The names of the settings that a run keeps from its first step to its last."""
        return [field.name for field in dataclasses.fields(cls) if not field.metadata["may_change"]]

    @classmethod
    def of_models(cls) -> list[str]:
        """The names of the settings that decide what given weights compute."""
        return [field.name for field in dataclasses.fields(cls) if field.metadata["of_models"]]

    def differences(self, values: dict[str, Any]) -> list[str]:
        """Names the settings, among those that a run keeps, that are other ones in `values`.

        What "auto" stands for was settled at the run's start, so that "auto" is no other value.
        """
        return [
            f"`{name}` was {getattr(self, name)}, is {values[name]}"
            for name in self.fixed()
            if values.get(name, getattr(self, name)) != getattr(self, name)
            and values[name] != "auto"
        ]

    def resumed(self, given: dict[str, Any]) -> "Config":
        """The config with which a run of this one goes on, by the flags that were given.

        Without `max_steps`, `epochs` alone says how long. The devices are those of the machine
        that goes on with it, not those that it was started on.

        Raises:
            UserError: a value is not one that the setting can have, or is for another dataset.
        """
        for idle in FOR_SOME_DATASETS:
            if fault := idle.fault(self, given):
                raise UserError(fault)
        free = {name: value for name, value in given.items() if name not in self.fixed()}
        if "epochs" in free:
            free = {"max_steps": None} | free
        devices: dict[str, Any] = {"device": "auto", "strategy": "auto"}
        return dataclasses.replace(self, **devices | free)

    def default_run_dir(self) -> str:
        """A readable folder under `runs/` that the same settings always lead back to."""
        preset = Config.from_preset(self.preset, dataset=self.dataset)
        named = [self.dataset] if self.preset == "tutorial" else [self.dataset, self.preset]
        # Whatever rules a run was started with, the same flags lead back to it.
        values = {name: getattr(self, name) for name in self.fixed() if name not in RULES}
        changed = [
            f"{name}={Path(value).name if name == 'init_from' else value}"
            for name, value in values.items()
            if value != getattr(preset, name)
        ]
        name = "-".join([*named, *changed])
        if len(name) > LONGEST_NAME:
            name = f"{name[:LONGEST_NAME]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
        return f"runs/{name}"
