"""The folder that holds all that a run makes, and from which every other command starts."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dcgan_tf.cli.atomic_files import atomic_write
from dcgan_tf.cli.errors import UserError
from dcgan_tf.config import Config
from dcgan_tf.datasets.disk_images import DiskImages, fingerprint

VALUE_ERRORS = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


@dataclasses.dataclass(frozen=True)
class RunDirectory:
    """Where each thing of a run is.

    Attributes:
        path: the folder itself.
    """

    path: Path

    @property
    def config_file(self) -> Path:
        return self.path / "config.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

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
    def film(self) -> Path:
        return self.path / "training.gif"

    def frame(self, epoch: int) -> Path:
        """The grid after an epoch."""
        return self.samples / f"epoch_{epoch:04d}.png"

    def frames(self) -> list[Path]:
        """The grids there are, in order: before training, then after each epoch."""
        first = self.samples / "init.png"
        return [
            path for path in (first, *sorted(self.samples.glob("epoch_*.png"))) if path.exists()
        ]

    def read_config(self) -> tuple[Config, dict[str, Any]]:
        """The config, and the description of the images, that the run was started with.

        Raises:
            UserError: this is no run directory, or its config.json can't be used.
        """
        try:
            values = json.loads(self.config_file.read_text())
            images = values.pop("images")
            images["shape"] = [int(side) for side in images["shape"]]
            images["number"], images["sha256"] = int(images["number"]), str(images["sha256"])
            values.pop("made_with")
            return Config.from_dict(values), images
        except FileNotFoundError:
            raise UserError(
                f"--run_dir {self.path} is not a run directory: it has no config.json"
            ) from None
        except (*VALUE_ERRORS, UserError) as error:
            raise UserError(f"{self.config_file} can't be used: {error}") from None

    def write_config(self, config: Config, images: dict[str, Any]) -> None:
        """Writes every setting, what the images are, and what the run was made with."""
        values = dataclasses.asdict(config) | {"images": images, "made_with": made_with()}
        with atomic_write(self.config_file) as file:
            file.write((json.dumps(values, indent=2) + "\n").encode())


def describe(images: np.ndarray | DiskImages) -> dict[str, Any]:
    """What a run must find again when it is resumed: the images' number, shape and sha256."""
    return {
        "number": len(images),
        "shape": list(images.shape[1:]),
        "sha256": fingerprint(images),
    }


def made_with() -> dict[str, str]:
    """The versions and the device that a run is made with."""
    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "device": device_name(),
    }


def device_name() -> str:
    """The device on which TensorFlow places the models."""
    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        return tf.config.experimental.get_device_details(gpus[0]).get("device_name", gpus[0].name)
    return "CPU"


@contextmanager
def open_run(
    path: Path, config: Config, images: np.ndarray | DiskImages, resume: bool
) -> Iterator[RunDirectory]:
    """Makes a run directory, or goes on with the run in it, and keeps other processes out.

    Args:
        path: the folder; new, empty, or of a run with the same settings and images.
        config: the settings of the run.
        images: the training images, uint8 [N, H, W, C].
        resume: whether to go on with a run; if not, a folder in use is refused.

    Raises:
        UserError: the folder is not a run's, another process is using it, its run has other
            settings or images, or it is in use and `resume` is false.
        OSError: the folder can't be made or written to.
    """
    run = RunDirectory(path)
    made = _make_folder(path)
    try:
        with (path / ".lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"--run_dir {path} is in use by another process: wait for it to end, or give "
                    f"another folder"
                ) from None
            described = describe(images)
            _check(run, config, described, resume)
            run.write_config(config, described)
            made = None
            yield run
    finally:
        if made:
            shutil.rmtree(made, ignore_errors=True)


def _make_folder(path: Path) -> Path | None:
    """Makes a folder and those above it; returns the topmost that was not there before."""
    if path.exists() and not path.is_dir():
        raise UserError(f"--run_dir {path} is a file: give a folder")
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    return missing[-1] if missing else None


def _check(run: RunDirectory, config: Config, images: dict[str, Any], resume: bool) -> None:
    """Refuses a folder in which this run can't start or go on."""
    if not run.config_file.exists():
        if any(not path.name.startswith(".") for path in run.path.iterdir()):
            raise UserError(
                f"--run_dir {run.path} is not a run directory (it has files and no config.json): "
                f"give a new or an empty folder"
            )
        return
    if not resume:
        raise UserError(
            f"--run_dir {run.path} holds a run already: give another folder, or go on with it by "
            f"leaving out --noresume"
        )
    saved, saved_images = run.read_config()
    differences = saved.differences(config)
    if not differences and saved_images != images:
        differences = [f"the images were {_brief(saved_images)}, are {_brief(images)}"]
    if differences:
        raise UserError(
            f"--run_dir {run.path} holds a run with other settings: {'; '.join(differences)}; "
            f"give the same ones, or another folder"
        )


def _brief(images: dict[str, Any]) -> str:
    shape = "×".join(map(str, images["shape"]))
    return f"{images['number']} of {shape} (sha256 {images['sha256'][:8]}…)"
