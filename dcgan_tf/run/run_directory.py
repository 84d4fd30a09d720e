"""The folder with all the output of a run, which every other command reads.

Its `config.json` has a format number. This version reads every format up to its own:

1. has no number. `negative_slope` was called `leaky_slope`, `steps_per_execution` was
   `steps_per_call`, and sub-pixel convolutions were `phases`.
2. has `format`, and `dcgan_tf` among the versions in `made_with`.
3. evaluates every dataset by default, and images without labels without a download.

A setting that a file lacks is newer than the file. It gets the default that computes what the run
computed then.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import platform
import re
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from dcgan_tf import __version__
from dcgan_tf.conditional.labels import NO_CLASSES, Classes, Labels
from dcgan_tf.data import Images
from dcgan_tf.datasets.disk_images import fingerprint, is_shape
from dcgan_tf.datasets.loading import load_images, load_training_labels
from dcgan_tf.files.atomic_files import atomic_write
from dcgan_tf.run.devices import cpu_kernels, device_name
from dcgan_tf.settings.config import RULES, Config
from dcgan_tf.settings.errors import UserError

logger = logging.getLogger(__name__)

FORMAT = 3
FIRST_VERSION = "0.1.0"  # wrote format 1, without its name
FRAME = re.compile(r"init\.png|epoch_([0-9]{4}|[1-9][0-9]{4,})\.png")
VALUE_ERRORS = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


@dataclasses.dataclass(frozen=True)
class RunDirectory:
    """The paths of a run's files.

    Attributes:
        path: the folder itself.
        flag: the flag or argument that names it, for errors.

    Raises:
        UserError: TensorFlow can't keep checkpoints in a folder of this name.
    """

    path: Path
    flag: str = "`run_dir`"

    def __post_init__(self) -> None:
        """Rejects characters that TensorFlow treats as a file name pattern."""
        if set("[\\") & set(str(self.path)):
            raise UserError(
                f"{self.flag} {self.path} has a [ or \\ in its name, which keeps TensorFlow from "
                f"finding checkpoints: use another folder"
            )

    @property
    def config_file(self) -> Path:
        return self.path / "config.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def generator_file(self) -> Path:
        """The weights of a generator that was exported without its training state."""
        return self.path / "generator.npz"

    @property
    def discriminator_file(self) -> Path:
        """The discriminator's weights, which most exports have, too."""
        return self.path / "discriminator.npz"

    @property
    def clusters_file(self) -> Path:
        """The labels found by clustering, see `starting.image_clusters`."""
        return self.path / "clusters.npz"

    @property
    def times_file(self) -> Path:
        return self.path / "step_times.npy"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    @property
    def events(self) -> Path:
        return self.path / "tensorboard"

    @property
    def metrics_file(self) -> Path:
        return self.path / "metrics.csv"

    @property
    def losses_plot(self) -> Path:
        return self.path / "losses.png"

    @property
    def evaluations_plot(self) -> Path:
        return self.path / "evaluations.png"

    @property
    def evaluation_file(self) -> Path:
        return self.path / "evaluation.json"

    @property
    def closest_picture(self) -> Path:
        return self.path / "closest.png"

    @property
    def training_gif(self) -> Path:
        return self.path / "training.gif"

    @property
    def latest_grid(self) -> Path:
        return self.samples / "latest.png"

    def frame(self, epoch: int) -> Path:
        """The grid after an epoch; 0 is before training."""
        return self.samples / (f"epoch_{epoch:04d}.png" if epoch else "init.png")

    def frames(self) -> dict[int, Path]:
        """The run's grids by epoch, in order; other pictures are ignored."""
        matches = (FRAME.fullmatch(path.name) for path in self.samples.glob("*"))
        epochs = sorted(int(match[1] or 0) for match in matches if match)
        return {epoch: self.frame(epoch) for epoch in epochs}

    def read_config(self) -> tuple[Config, dict[str, Any]]:
        """The config, and the description of the images, that the run was started with.

        Raises:
            UserError: this is not a run directory, or its config.json can't be used.
        """
        try:
            values = json.loads(self.config_file.read_text())
            number, made_with = int(values.pop("format", 1)), values.pop("made_with")
            images = values.pop("images")
            images["shape"] = [int(side) for side in images["shape"]]
            images["number"], images["sha256"] = int(images["number"]), str(images["sha256"])
            if not is_shape(images["shape"]):
                raise ValueError(f"{images['shape']} is not a shape of images")
            if "classes" in images:
                read_classes(images)
            unknown = [f"format {number}"] if number > FORMAT else Config.unknown(values)
            if unknown:
                raise UserError(
                    f"dcgan_tf {made_with.get('dcgan_tf', FIRST_VERSION)} wrote it, but version "
                    f"{__version__} does not know its {', '.join(unknown)}: use that version, or a "
                    f"newer one"
                )
            config = Config.from_file(values)
            return (evaluated_as_before(config) if number < 3 else config), images
        except FileNotFoundError:
            raise UserError(
                f"{self.flag} {self.path} is not a run directory: it has no config.json"
            ) from None
        except (*VALUE_ERRORS, UserError) as error:
            raise UserError(f"{self.config_file} can't be used: {error}") from None

    def read_classes(self) -> Classes:
        """The classes of the images that the run learns; errors as in `read_config`."""
        _, images = self.read_config()
        return read_classes(images) if "classes" in images else NO_CLASSES

    def write_config(self, config: Config, images: dict[str, Any]) -> None:
        """Writes all settings, the description of the images, and the versions in use."""
        values = {"format": FORMAT} | dataclasses.asdict(config)
        values |= {"images": images, "made_with": made_with()}
        with atomic_write(self.config_file) as file:
            file.write((json.dumps(values, indent=2) + "\n").encode())

    def resumed_config(self, given: dict[str, Any]) -> Config:
        """The config to resume with: the run's own, updated with flags that may change.

        Args:
            given: the flags that were given, by name.

        Raises:
            UserError: a flag differs from a setting that must not change, or its value is invalid.
        """
        saved, _ = self.read_config()
        given = Config.with_new_names(given)
        self.check_unchanged(saved.differences(given))
        return saved.resumed(given)

    def check_unchanged(self, differences: list[str]) -> None:
        """Checks that nothing differs from the run.

        Raises:
            UserError: something does.
        """
        if differences:
            raise UserError(
                f"`run_dir` {self.path} holds a run with other settings: {'; '.join(differences)}; "
                f"use the same ones, or another folder"
            )

    @property
    def has_lost_its_checkpoints(self) -> bool:
        """Whether the run was saved, but its checkpoints are gone.

        Their folder is created at the start, and the first checkpoint after at most one epoch.
        """
        if not self.checkpoints.is_dir():
            return self.metrics_file.exists() or self.times_file.exists()
        epochs = [epoch for epoch in self.frames() if epoch > 0]
        return len(epochs) > 1 and not any(self.checkpoints.iterdir())


def evaluated_as_before(config: Config) -> Config:
    """The config of a run of format 1 or 2, with the evaluation that its defaults meant."""
    epochs = config.eval_every
    if epochs is None:
        own_copy = config.data_dir is None and config.dataset in ("mnist", "stacked_mnist")
        epochs = 5 if own_copy else 0
    weights = config.inception_weights
    if epochs and weights is None and config.dataset in ("folder", "tfrecords"):
        weights = "imagenet"
    return dataclasses.replace(config, eval_every=epochs, inception_weights=weights)


def as_started(config: Config, run: RunDirectory) -> Config:
    """The config, with the rules of the run in a folder if there is one.

    Raises:
        UserError: the run's config.json can't be used, or the config sets other rules.
    """
    if not run.config_file.exists():
        return config
    saved, _ = run.read_config()
    values = {name: getattr(config, name) for name in RULES}
    newest = {name: getattr(Config, name) for name in RULES}
    run.check_unchanged(saved.differences(dict(values.items() - newest.items())))
    return dataclasses.replace(config, **{name: getattr(saved, name) for name in RULES})


def describe_images(images: Images, labels: Labels | None = None) -> dict[str, Any]:
    """The images' count, shape and SHA-256, which must be the same when a run is resumed.

    For a conditional run, also the number of images in each class, and the SHA-256 of the labels.
    """
    described = {
        "number": len(images),
        "shape": list(images.shape[1:]),
        "sha256": fingerprint(images),
    }
    if labels is None:
        return described
    sha256 = hashlib.sha256(labels.ids.astype("<i8").tobytes()).hexdigest()
    classes = dict(zip(labels.classes.names, labels.classes.counts))
    return described | {"classes": classes, "labels_sha256": sha256}


def same_images(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two descriptions are of the same images; ignores the report on left-out files."""
    return one | {"files": None} == other | {"files": None}


def read_classes(images: dict[str, Any]) -> Classes:
    """The classes in a result of `describe_images`.

    Raises:
        ValueError, TypeError, AttributeError: they are not there.
    """
    names, counts = zip(*images["classes"].items())
    if not all(type(count) is int and count >= 0 for count in counts):
        raise ValueError(f"{counts} are not counts of images")
    return Classes(names, counts)


def load_training_images(run: RunDirectory) -> Images:
    """The images that a run was trained on, uint8 [N, H, W, C] in [0, 255].

    Raises:
        UserError: this is not a run, or its images are no longer available.
    """
    config, described = run.read_config()
    if config.data_dir is not None and not Path(config.data_dir).exists():
        raise UserError(
            f"{run.path} was trained on {config.data_dir}, which is missing here: run this where "
            f"it is, or put the images, or a link to them, back"
        )
    images = load_images(config)
    labels = load_training_labels(config, images)
    found = describe_images(images, labels)
    if labels is None:  # labels of clusters follow from the images
        described = {name: described[name] for name in found}
    if not same_images(found, described):
        raise UserError(
            f"{config.data_dir or config.dataset} does not hold the images that `run_dir` "
            f"{run.path} was trained on"
        )
    return images


def made_with() -> dict[str, str]:
    """The versions, the device and the CPU kernels of this process."""
    return {
        "dcgan_tf": __version__,
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "device": device_name(),
        "cpu_kernels": cpu_kernels(),
    }
