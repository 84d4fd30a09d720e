"""Opens a run directory for training, and keeps other processes out of it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dcgan_tf.conditional.labels import Labels
from dcgan_tf.data import Images
from dcgan_tf.datasets.report import Report
from dcgan_tf.files.atomic_files import make_folders
from dcgan_tf.files.locks import lock
from dcgan_tf.run.run_directory import RunDirectory, describe_images, made_with, same_images
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def open_run(
    path: Path,
    config: Config,
    images: Images,
    resume: bool,
    labels: Labels | None = None,
    report: Report | None = None,
) -> Iterator[RunDirectory]:
    """Creates a run directory, or opens that of a run to resume, and keeps other processes out.

    Args:
        path: the folder: new, empty, or with a run of the same settings and images.
        config: the settings of the run.
        images: the training images, uint8 [N, H, W, C].
        resume: whether to resume an existing run; if not, it is an error.
        labels: the labels of the images, in a conditional run.
        report: the report on the user's folder, to keep with the run.

    Raises:
        UserError: the folder is not a run directory, another process is using it, its run has
            other settings or images, or it has a run and `resume` is false.
        OSError: the folder can't be created or written to.
    """
    run = RunDirectory(path)
    if path.exists() and not path.is_dir():
        raise UserError(f"`run_dir` {path} is a file: use a folder")
    made = make_folders(path)
    with (path / ".lock").open("a") as file:
        if not lock(file, path):
            raise UserError(
                f"`run_dir` {path} is in use by another process: wait for it to finish, or use "
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
        with contextlib.suppress(OSError):  # other processes have put files into it
            for folder in made:
                folder.rmdir()


def _check(run: RunDirectory, config: Config, images: dict[str, Any], resume: bool) -> None:
    """Checks that this run can start or resume in a folder."""
    if not run.config_file.exists():
        if any(not path.name.startswith(".") for path in run.path.iterdir()):
            raise UserError(
                f"`run_dir` {run.path} is not a run directory (it has files but no config.json): "
                f"use a new or empty folder"
            )
        return
    if not resume:
        raise UserError(
            f"`run_dir` {run.path} already holds a run: use another folder, or resume it by "
            f"leaving out `resume=False`"
        )
    if run.generator_file.exists():
        raise UserError(
            f"`run_dir` {run.path} holds exported models, without the state that is needed "
            f"to resume: use another folder, and `init_from={run.path}` to start from their weights"
        )
    saved, saved_images = run.read_config()
    run.check_unchanged(saved.differences(dataclasses.asdict(config)))
    if not same_images(saved_images, images):
        raise UserError(
            f"`run_dir` {run.path} was trained on other images: {_brief(saved_images)}, not "
            f"{_brief(images)}; use the same ones, or start a new run from this one: "
            f"`init_from={run.path}`, and another `run_dir`"
        )
    if run.has_lost_its_checkpoints:
        raise UserError(
            f"`run_dir` {run.path} was trained, but its checkpoints are gone: put them back into "
            f"{run.checkpoints}, or use another folder"
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
