"""The folder with everything that a run makes, from which every other command starts.

Its `config.json` has a format number. This version reads every format up to its own:

1. has no number. `negative_slope` was called `leaky_slope`, `steps_per_execution` was
   `steps_per_call`, and sub-pixel convolutions were `phases`.
2. has `format`, and `dcgan_tf` among the versions in `made_with`.
3. evaluates every dataset by default, and images without labels without a download.

A setting that a file lacks is newer than the file. It gets the default that computes what the run
computed then.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from dcgan_tf import __version__
from dcgan_tf.conditional.labels import UNLABELLED, Classes, Labels
from dcgan_tf.data import Images
from dcgan_tf.datasets.disk_images import fingerprint, is_shape
from dcgan_tf.datasets.loading import load_images, load_training_labels
from dcgan_tf.datasets.report import Report
from dcgan_tf.files.atomic_files import atomic_write, make_folders
from dcgan_tf.files.locks import lock
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
        flag: the flag or argument that gives it, for errors.

    Raises:
        UserError: TensorFlow can't keep checkpoints in a folder of this name.
    """

    path: Path
    flag: str = "`run_dir`"

    def __post_init__(self) -> None:
        """Refuses characters that TensorFlow takes for a file name pattern."""
        if set("[\\") & set(str(self.path)):
            raise UserError(
                f"{self.flag} {self.path} has a [ or \\ in its name, which keeps TensorFlow from "
                f"finding checkpoints: give another folder"
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
                    f"dcgan_tf {made_with.get('dcgan_tf', FIRST_VERSION)} wrote it, and version "
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
        """The classes of the images that the run learns; raises as `read_config`."""
        _, images = self.read_config()
        return read_classes(images) if "classes" in images else UNLABELLED

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
        self.refuse(saved.differences(given))
        return saved.resumed(given)

    def refuse(self, differences: list[str]) -> None:
        """Checks that nothing differs from the run.

        Raises:
            UserError: something does.
        """
        if differences:
            raise UserError(
                f"`run_dir` {self.path} holds a run with other settings: {'; '.join(differences)}; "
                f"give the same ones, or another folder"
            )

    @property
    def has_lost_its_checkpoints(self) -> bool:
        """Whether the run was saved, but its checkpoints are gone.

        Their folder is made at the start, and the first checkpoint after at most one epoch.
        """
        if not self.checkpoints.is_dir():
            return self.metrics_file.exists() or self.times_file.exists()
        epochs = [epoch for epoch in self.frames() if epoch > 0]
        return len(epochs) > 1 and not any(self.checkpoints.iterdir())


def evaluated_as_before(config: Config) -> Config:
    """The config of a run of format 1 or 2, with the evaluation that its defaults meant then."""
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
    run.refuse(saved.differences(dict(values.items() - newest.items())))
    return dataclasses.replace(config, **{name: getattr(saved, name) for name in RULES})


def describe_images(images: Images, labels: Labels | None = None) -> dict[str, Any]:
    """The images' count, shape and sha256, which must be the same when a run is resumed.

    For a conditional run, also the number of images in each class, and the sha256 of the labels.
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
            f"{run.path} was trained on {config.data_dir}, which is missing: put the images or a "
            f"link to them there again"
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


@contextlib.contextmanager
def open_run(
    path: Path,
    config: Config,
    images: Images,
    resume: bool,
    labels: Labels | None = None,
    report: Report | None = None,
) -> Iterator[RunDirectory]:
    """Makes a run directory, or opens the one of a run to resume, and keeps other processes out.

    Args:
        path: the folder: new, empty, or with a run of the same settings and images.
        config: the settings of the run.
        images: the training images, uint8 [N, H, W, C].
        resume: whether to resume a run that is there; if not, it is refused.
        labels: the labels of the images, in a conditional run.
        report: the report on the user's folder, to keep with the run.

    Raises:
        UserError: the folder is not a run directory, another process is using it, its run has
            other settings or images, or it has a run and `resume` is false.
        OSError: the folder can't be made or written to.
    """
    run = RunDirectory(path)
    if path.exists() and not path.is_dir():
        raise UserError(f"`run_dir` {path} is a file: give a folder")
    made = make_folders(path)
    with (path / ".lock").open("a") as file:
        if not lock(file, path):
            raise UserError(
                f"`run_dir` {path} is in use by another process: wait for it to end, or give "
                f"another folder"
            )
        try:
            described = describe_images(images, labels)
            _check(run, config, described, resume)
            _warn_of_changed_numerics(run)
            files = {"files": report.as_dict()} if report else {}
            run.write_config(config, described | files)
            make_folders(run.checkpoints)
        except BaseException:
            _remove_empty(made)
            raise
        yield run


def _remove_empty(made: list[Path]) -> None:
    """Removes a run's folders that this process made, while it holds the lock in the first."""
    if made and os.listdir(made[0]) == [".lock"]:
        (made[0] / ".lock").unlink()
        with contextlib.suppress(OSError):  # others have put files into it
            for folder in made:
                folder.rmdir()


def _check(run: RunDirectory, config: Config, images: dict[str, Any], resume: bool) -> None:
    """Checks that this run can start or resume in a folder."""
    if not run.config_file.exists():
        if any(not path.name.startswith(".") for path in run.path.iterdir()):
            raise UserError(
                f"`run_dir` {run.path} is not a run directory (it has files and no config.json): "
                f"give a new or an empty folder"
            )
        return
    if not resume:
        raise UserError(
            f"`run_dir` {run.path} holds a run already: give another folder, or resume it by "
            f"leaving out `resume=False`"
        )
    if run.generator_file.exists():
        raise UserError(
            f"`run_dir` {run.path} holds exported models, and lacks what a training goes on from: "
            f"give another folder, and `init_from={run.path}` to start from their weights"
        )
    saved, saved_images = run.read_config()
    run.refuse(saved.differences(dataclasses.asdict(config)))
    if not same_images(saved_images, images):
        raise UserError(
            f"`run_dir` {run.path} learns other images: they were {_brief(saved_images)}, and are "
            f"{_brief(images)}; give the same ones, or start a new run from this one: "
            f"`init_from={run.path}`, and another `run_dir`"
        )
    if run.has_lost_its_checkpoints:
        raise UserError(
            f"`run_dir` {run.path} was trained, but its checkpoints are gone: put them back into "
            f"{run.checkpoints}, or give another folder"
        )


def _warn_of_changed_numerics(run: RunDirectory) -> None:
    """Warns if a run resumes with another TensorFlow version or other kernels."""
    if not run.config_file.exists():
        return
    before, now = json.loads(run.config_file.read_text())["made_with"], made_with()
    for name, shown in (("tensorflow", "TensorFlow"), ("cpu_kernels", "the kernels of")):
        if before.get(name, now[name]) != now[name]:
            logger.warning(
                "`run_dir` %s was trained with %s %s so far, and resumes with %s: its results will "
                "differ from those of a run that was never stopped",
                *(run.path, shown, before[name], now[name]),
            )


def _brief(images: dict[str, Any]) -> str:
    shape = "×".join(map(str, images["shape"]))
    labels = f", labels {images['labels_sha256'][:8]}…" if "labels_sha256" in images else ""
    return f"{images['number']} of {shape} (sha256 {images['sha256'][:8]}…{labels})"
