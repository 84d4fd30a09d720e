"""The settings of a run, in one frozen dataclass shared by flags, files and code."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from dcgan_tf.settings.choices import ARCHITECTURES, AUGMENTATIONS, DATASETS, LOSSES
from dcgan_tf.settings.combinations import COMBINATIONS, FOR_SOME_DATASETS, UNUSED
from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.fields import (
    AT_LEAST_ONE,
    AT_LEAST_ZERO,
    BELOW_ONE,
    CHANNELS,
    CLUSTERS,
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
MAX_NAME_LENGTH = 180  # of a run's folder; file systems allow 255 bytes
FITS = ("crop", "pad", "stretch")
OF_REFERENCE = {"precision": "float32", "convolutions": "native"}
RULES = ("reading", "ordering")  # fixed for a run, but not part of its name


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """The settings of one run; the defaults are those of the TensorFlow DCGAN tutorial.

    `Config.from_preset` applies a preset's values; `Config(preset=…)` only stores its name.

    Raises:
        UserError: a value is invalid, or settings conflict.
    """

    data_dir: str | None = setting(
        None,
        "Data",
        "where the images are: for `dataset` folder, your folder or .zip; for tfrecords, the "
        "folder written by dcgan tfrecords; for the others, a folder with your own copy, as IDX "
        "files (plain or .gz), a Keras .npz, or CIFAR-10's .bin files",
        may_change=True,
        is_path=True,
    )
    conditional: bool = setting(
        False,
        "Data",
        "train a conditional GAN, which draws images of a given class; the classes of a folder's "
        "images are its subfolders",
    )
    clusters: int | None = setting(
        None,
        "Data",
        "find this many clusters of similar shapes and use them as labels (self-conditioning; 50 "
        "for digits); images are drawn in the clusters' proportions; 0: none",
        CLUSTERS,
        of_models=True,
    )
    image_size: str | int | None = setting(
        None,
        "Data",
        "resize to this many pixels per side, or to HEIGHTxWIDTH; with the default stride, the "
        "shorter side must be 4 to 7 times a power of two, and the longer side a multiple of that "
        "power (default: the dataset's own size; 64 for a folder)",
        IMAGE_SIZE,
        convert=parse_size,
    )
    channels: int | None = setting(
        None,
        "Data",
        "channels of a folder's images: 1 for gray, 3 for color, 4 to include transparency "
        "(default: 1 if all are gray, else 3, with `background` behind transparent pixels)",
        CHANNELS,
    )
    fit: str = setting(
        "crop",
        "Data",
        "how a folder's images get the aspect ratio of `image_size`: crop to the center, pad with "
        "the background, or stretch",
        one_of(FITS),
    )
    background: str = setting(
        "white",
        "Data",
        "color behind transparent pixels and around padded images: a name or #rrggbb",
    )
    flip: bool = setting(False, "Data", "flip images left to right at random")
    max_bad_images: float = setting(
        0.01,
        "Data",
        "fraction of the files that may be damaged; these are left out",
        FRACTION,
        may_change=True,
    )
    held_out: float = setting(
        0.1,
        "Data",
        "fraction of a folder's images, or of arrays, held out for evaluation; ignored if the "
        "folder has subfolders train and test",
        BELOW_ONE,
    )
    cache_dir: str | None = setting(
        None,
        "Data",
        "folder for decoded images that don't fit in memory",
        may_change=True,
        is_path=True,
    )
    reading: int = setting(
        2,
        "Data",
        "version of the rules for reading a folder's images; older runs keep 1",
        between(1, 2),
        before=1,
    )
    ordering: int = setting(
        2,
        "Data",
        "version of the rules for shuffling images; older runs keep 1, which repeats after 256 "
        "epochs",
        between(1, 2),
        before=1,
    )
    preset: str = setting(
        "tutorial",
        "Preset",
        f"values of the flags that are not given: {', '.join(PRESETS)}; the defaults shown are "
        "tutorial's",
        one_of(PRESETS),
    )
    dataset: str = setting(
        "mnist",
        "Data",
        f"training images: {', '.join(DATASETS)} (passed to train in Python)",
        one_of(DATASETS),
    )
    architecture: str = setting(
        "tutorial", "Models", ", ".join(ARCHITECTURES), one_of(ARCHITECTURES), of_models=True
    )
    noise: str = setting(
        "normal",
        "Models",
        "distribution of z: normal is N(0, 1), uniform is U(-1, 1)",
        one_of(("normal", "uniform")),
        of_models=True,
    )
    noise_dim: int = setting(
        100, "Models", "length of the noise vector z", AT_LEAST_ONE, of_models=True
    )
    mapping_layers: int = setting(
        0,
        "Models",
        "layers of a mapping network between z and the generator (StyleGAN: 8)",
        between(0, 100),
        of_models=True,
    )
    base_filters: int = setting(
        64,
        "Models",
        "filters at half the image size; doubled each time the size is halved",
        AT_LEAST_ONE,
        of_models=True,
    )
    kernel_size: int = setting(
        5, "Models", "kernel size of the convolutions", AT_LEAST_ONE, of_models=True
    )
    stride: int = setting(
        2, "Models", "factor by which each block scales the image", at_least(2), of_models=True
    )
    negative_slope: float = setting(
        0.3,
        "Models",
        "negative slope of LeakyReLU",
        FRACTION,
        old_name="leaky_slope",
        of_models=True,
    )
    dropout: float = setting(0.3, "Models", "dropout rate in the discriminator's blocks", BELOW_ONE)
    last_dropout: float = setting(
        0.0, "Models", "dropout rate before the discriminator's last layer", BELOW_ONE
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
        "how the models receive labels: concat, as one-hot vectors after the noise and as image "
        "channels; projection, as conditional batch norm in the generator and a projection in the "
        "discriminator",
        one_of(("concat", "projection")),
        of_models=True,
    )
    batch_norm_momentum: float = setting(
        0.99, "Models", "decay of batch norm's moving averages", BELOW_ONE
    )
    batch_norm_epsilon: float = setting(
        1e-3, "Models", "constant added to batch norm's variance", POSITIVE, of_models=True
    )
    initializer_stddev: float | None = setting(
        None,
        "Models",
        "standard deviation of normal initial weights (default, and 0: Glorot uniform)",
        NOT_NEGATIVE,
    )
    batch_size: int = setting(256, "Training", "images per step, over all replicas", AT_LEAST_ONE)
    epochs: int = setting(
        50, "Training", "passes over the images, in total", AT_LEAST_ONE, may_change=True
    )
    max_steps: int | None = setting(
        None,
        "Training",
        "stop after this many steps, even in the middle of an epoch",
        AT_LEAST_ONE,
        may_change=True,
    )
    learning_rate: float = setting(
        1e-4, "Training", "Adam's learning rate, for both models", POSITIVE
    )
    generator_learning_rate: float | None = setting(
        None, "Training", "the generator's learning rate, if different", POSITIVE
    )
    discriminator_learning_rate: float | None = setting(
        None, "Training", "the discriminator's learning rate, if different", POSITIVE
    )
    decay_steps: int | None = setting(
        None,
        "Training",
        "decay the learning rates to 0 over this many steps, along a cosine",
        AT_LEAST_ONE,
    )
    decay_from: int = setting(
        0, "Training", "steps before the decay begins (`decay_steps`)", AT_LEAST_ZERO
    )
    beta_1: float = setting(0.9, "Training", "Adam's decay rate of the mean gradient", BELOW_ONE)
    discriminator_batch: str = setting(
        "separate",
        "Training",
        "pass real and generated images through the discriminator as separate batches, or as one "
        "joint batch",
        one_of(("separate", "joint")),
    )
    loss: str = setting("bce", "Losses and remedies", ", ".join(LOSSES), one_of(LOSSES))
    label_smoothing: float = setting(
        0.0, "Losses and remedies", "the target of real images is 1 minus this", BELOW_ONE
    )
    discriminator_steps: int = setting(
        1,
        "Losses and remedies",
        "discriminator updates per generator update (wasserstein: 5)",
        AT_LEAST_ONE,
    )
    weight_clip: float | None = setting(
        None,
        "Losses and remedies",
        "clip the discriminator's weights to ± this (wasserstein without gradient penalty: 0.01)",
        POSITIVE,
    )
    gradient_penalty: float | None = setting(
        None,
        "Losses and remedies",
        "weight of the penalty (‖∇D‖ − 1)², for wasserstein (10 in the paper)",
        POSITIVE,
    )
    r1_gamma: float | None = setting(
        None,
        "Losses and remedies",
        "weight of R1, ½‖∇D‖² at real images, against an overconfident discriminator; 0: off",
        NOT_NEGATIVE,
        old_name="real_penalty",
    )
    r2_gamma: float | None = setting(
        None,
        "Losses and remedies",
        "weight of R2, ½‖∇D‖² at generated images, for `loss=relativistic`; 0: off",
        NOT_NEGATIVE,
    )
    auxiliary_weight: float | None = setting(
        None,
        "Losses and remedies",
        "add an auxiliary classifier to the discriminator, and its cross-entropy times this to the "
        "generator's loss (AC-GAN; 0.1 for photographs by class); 0: none",
        NOT_NEGATIVE,
        of_models=True,
    )
    unroll_steps: int = setting(
        0,
        "Losses and remedies",
        "discriminator updates that the generator looks ahead (unrolled GAN)",
        between(0, 100),
    )
    pack: int = setting(
        1,
        "Losses and remedies",
        "images that the discriminator judges together, stacked as channels (PacGAN)",
        AT_LEAST_ONE,
        of_models=True,
    )
    augment: str = setting(
        "none",
        "Losses and remedies",
        "differentiable augmentation of real and generated images, for small datasets: none, or "
        f"some of {','.join(AUGMENTATIONS)}",
        some_of(AUGMENTATIONS),
    )
    augment_probability: float = setting(
        1.0,
        "Losses and remedies",
        "probability of applying each augmentation to an image",
        FRACTION,
    )
    augment_target: float | None = setting(
        None,
        "Losses and remedies",
        "adapt `augment_probability`, starting from 0: raise it while the mean sign of the real "
        "images' logits is above this, else lower it (ADA; 0.6 in the paper)",
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
        "start from the weights of the run in this folder, or of a pretrained one such as faces, "
        "with new optimizers and from step 0",
        is_path=True,
    )
    fade_in: int = setting(
        0,
        "Training",
        "grow the run of `init_from`, which has images of half the size and twice the "
        "`base_filters`: fade in the new layers over this many steps",
        AT_LEAST_ZERO,
    )
    seed: int = setting(
        0,
        "Training",
        "seed of the initial weights, noise, data order, dropout and augmentation",
        AT_LEAST_ZERO,
    )
    precision: str = setting(
        "auto",
        "Speed",
        f"precision of matrix products and convolutions: {', '.join(PRECISIONS)}; auto measures "
        "once per machine",
        one_of(PRECISIONS),
    )
    convolutions: str = setting(
        "auto",
        "Speed",
        "compute transposed convolutions and gradients with TensorFlow's own kernels (native) or "
        "as sub-pixel convolutions (subpixel); auto measures once per machine",
        one_of(("auto", "native", "subpixel")),
        old_values={"phases": "subpixel"},
    )
    jit_compile: bool = setting(False, "Speed", "compile the training step with XLA")
    steps_per_execution: int = setting(
        1,
        "Speed",
        "steps per call from Python, for fast devices (always 1 for images on disk, which Python "
        "reads)",
        AT_LEAST_ONE,
        old_name="steps_per_call",
        may_change=True,
    )
    reference: bool = setting(
        False,
        "Speed",
        "use the tutorial's own operations, for comparison: Keras's layers, in float32",
    )
    device: str = setting(
        "auto",
        "Devices",
        "auto (GPUs, if any), cpu or gpu",
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
        False, "Devices", "compute batch norm over the entire batch, not over each replica's part"
    )
    eval_every: int | None = setting(
        None,
        "Evaluation",
        f"evaluate generated images every N epochs; 0: never (default: {EVAL_EPOCHS}, but at least "
        f"{EVAL_STEPS} steps apart)",
        AT_LEAST_ZERO,
        may_change=True,
    )
    inception_weights: str | None = setting(
        None,
        "Evaluation",
        "evaluate with InceptionV3: a .h5 file of keras.applications' weights without top, or "
        "imagenet to let Keras download them (default: evaluate with a classifier of the dataset, "
        "or with pixels and edges if it has no labels)",
        may_change=True,
        is_path=True,
    )
    checkpoint_steps: int | None = setting(
        None, "Run", "also save every N steps", AT_LEAST_ONE, may_change=True
    )

    @classmethod
    def from_file(cls, values: dict[str, Any]) -> "Config":
        """The config in a run's file, which may lack newer settings."""
        before = {field.name: field.metadata["before"] for field in dataclasses.fields(cls)}
        return cls(**before | cls.with_new_names(values))

    @classmethod
    def from_flags(cls, given: dict[str, Any]) -> "Config":
        """The preset's values, overridden by given values and by what they imply.

        Raises:
            UserError: a value is invalid, settings conflict, or a given one has no effect.
        """
        given = cls.with_new_names(given)
        preset = PRESETS[cls(preset=given.get("preset", "tutorial")).preset]
        config = cls(**preset | implied(given) | given)
        for unused in UNUSED:
            if fault := unused.fault(config, given):
                raise UserError(fault)
        return config

    @classmethod
    def from_preset(cls, preset: str = "tutorial", **given: Any) -> "Config":
        """`from_flags` for Python: `Config.from_preset("paper", epochs=3)`."""
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
        """Whether the models are conditional, on the images' labels or on clusters."""
        return self.conditional or bool(self.clusters)

    @property
    def has_class_layers(self) -> bool:
        """Whether the models have class-conditional layers."""
        return self.learns_labels and self.label_input == "projection"

    @property
    def has_auxiliary_classifier(self) -> bool:
        """Whether the discriminator also classifies images."""
        return self.has_class_layers and bool(self.auxiliary_weight)

    @property
    def has_r1_or_r2(self) -> bool:
        """Whether the discriminator's loss has R1 or R2."""
        return bool(self.r1_gamma or self.r2_gamma)

    @property
    def alternates(self) -> bool:
        """Whether the models are updated in turn, the discriminator first."""
        return self.discriminator_steps > 1 or self.is_lipschitz

    @property
    def is_lipschitz(self) -> bool:
        """Whether the discriminator is kept Lipschitz, as the Wasserstein loss requires."""
        return self.weight_clip is not None or self.gradient_penalty is not None

    @property
    def height_and_width(self) -> Size | None:
        """The size of the images; None for the dataset's own."""
        return None if self.image_size is None else height_and_width(self.image_size)

    @property
    def images_per_step(self) -> int:
        """The number of real images in a training step."""
        return self.batch_size * self.discriminator_steps

    @classmethod
    def unknown(cls, values: dict[str, Any]) -> list[str]:
        """The names in `values` that are neither current nor former settings."""
        names = {field.name for field in dataclasses.fields(cls)}
        return sorted(cls.with_new_names(values).keys() - names)

    @classmethod
    def fixed(cls) -> list[str]:
        """The names of the settings that can't change when a run is resumed."""
        return [field.name for field in dataclasses.fields(cls) if not field.metadata["may_change"]]

    @classmethod
    def of_models(cls) -> list[str]:
        """The names of the settings that determine what given weights compute."""
        return [field.name for field in dataclasses.fields(cls) if field.metadata["of_models"]]

    def differences(self, values: dict[str, Any]) -> list[str]:
        """Describes the fixed settings that differ in `values`.

        "auto" was resolved when the run started, so it does not count as a difference.
        """
        return [
            f"`{name}` was {getattr(self, name)}, is {values[name]}"
            for name in self.fixed()
            if values.get(name, getattr(self, name)) != getattr(self, name)
            and values[name] != "auto"
        ]

    def resumed(self, given: dict[str, Any]) -> "Config":
        """The config of a resumed run, with the flags that were given.

        `epochs` without `max_steps` removes the run's `max_steps`. `device` and `strategy` are not
        kept from the start, because the machine may be a different one.

        Raises:
            UserError: a value is invalid, or is for another dataset.
        """
        for unused in FOR_SOME_DATASETS:
            if fault := unused.fault(self, given):
                raise UserError(fault)
        free = {name: value for name, value in given.items() if name not in self.fixed()}
        if "epochs" in free:
            free = {"max_steps": None} | free
        devices: dict[str, Any] = {"device": "auto", "strategy": "auto"}
        return dataclasses.replace(self, **devices | free)

    def default_run_dir(self) -> str:
        """A readable path under `runs/`, the same for the same settings."""
        preset = Config.from_preset(self.preset, dataset=self.dataset)
        named = [self.dataset] if self.preset == "tutorial" else [self.dataset, self.preset]
        # Without RULES, so that the same flags find older runs.
        values = {name: getattr(self, name) for name in self.fixed() if name not in RULES}
        changed = [
            f"{name}={Path(value).name if name == 'init_from' else value}"
            for name, value in values.items()
            if value != getattr(preset, name)
        ]
        name = "-".join([*named, *changed])
        if len(name) > MAX_NAME_LENGTH:
            name = f"{name[:MAX_NAME_LENGTH]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
        return f"runs/{name}"
