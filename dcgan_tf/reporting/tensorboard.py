"""What TensorBoard shows: scalars, grids, histograms and the config, each step only once."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.histogram.metadata import create_summary_metadata
from tensorboard.plugins.hparams import api as hparams

from dcgan_tf.files.atomic_files import atomic_write, disk_errors, flush, make_folders
from dcgan_tf.models import all_layers

BUCKETS = 30


class TensorBoard:
    """The event files of one run.

    Args:
        directory: their folder.
        step: the step at which the run starts or resumes; later events are dropped.
    """

    def __init__(self, directory: Path, step: int) -> None:
        self.directory = directory
        make_folders(directory)
        with disk_errors("events", directory):
            drop_events_after(directory, step)
            backdate_events(directory)
            self.writer = tf.summary.create_file_writer(str(directory), max_queue=1000)

    @contextlib.contextmanager
    def _at(self, step: int) -> Iterator[None]:
        with disk_errors("events", self.directory), self.writer.as_default(step=step):
            yield

    def settings(self, values: dict[str, str | float | bool | None]) -> None:
        """Shows the config as text, and as hyperparameters for comparing runs."""
        with self._at(0):
            tf.summary.text("config", f"```\n{json.dumps(values, indent=2)}\n```")
            hparams.hparams(
                {name: "" if value is None else value for name, value in values.items()}
            )

    def scalars(self, group: str, values: dict[str, float], step: int) -> None:
        """Adds a point to each curve of a group."""
        with self._at(step):
            for name, value in values.items():
                tf.summary.scalar(f"{group}/{name}", value)

    def images(self, name: str, grid: np.ndarray, step: int) -> None:
        """Shows a picture, uint8 [H, W] or [H, W, 3]."""
        with self._at(step):
            tf.summary.image(name, grid.reshape(1, *grid.shape[:2], -1))

    def histograms(
        self, models: list[keras.Model], logits: dict[str, tf.Tensor], step: int
    ) -> None:
        """Shows histograms of the weights of models, and of the discriminator's logits."""
        with self._at(step):
            for model in models:
                for index, layer in enumerate(all_layers(model)):
                    for variable in layer.trainable_variables:
                        name = f"{model.name}/{index}_{type(layer).__name__}_{variable.name}"
                        write_histogram(f"weights/{name}", variable)
            for name, values in logits.items():
                write_histogram(f"logits/{name}", values)

    def flush(self) -> None:
        """Writes all events to disk."""
        with disk_errors("events", self.directory):
            self.writer.flush()
        for path in [*self.directory.iterdir(), self.directory]:
            flush(path)

    def close(self) -> None:
        """Writes all events to disk and closes the file."""
        with disk_errors("events", self.directory):
            self.writer.close()


def write_histogram(name: str, values: ArrayLike) -> None:
    """Like `tf.summary.histogram`, but in a tenth of the time, for short epochs."""
    # In float32, NumPy can't make buckets between nearly equal values.
    array = np.asarray(values, np.float64)
    counts, edges = np.histogram(array[np.isfinite(array)], BUCKETS)
    buckets = np.stack([edges[:-1], edges[1:], counts], axis=1)
    tf.summary.write(name, buckets, metadata=create_summary_metadata(None, None))


def drop_events_after(directory: Path, step: int) -> None:
    """Removes the events after a step from the event files of a folder.

    A killed run has logged steps that it repeats when it is resumed. A truncated last event is
    removed too. At step 0, when the run starts over, the files are deleted.
    """
    for path in directory.glob("events.out.tfevents.*"):
        if step == 0:
            path.unlink()
            continue
        with (
            atomic_write(path) as file,
            tf.io.TFRecordWriter(file.name) as writer,
            contextlib.suppress(tf.errors.DataLossError),
        ):
            for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
                if Event.FromString(record).step <= step:
                    writer.write(record)


def backdate_events(directory: Path) -> None:
    """Renames event files that would sort after a new one because the clock was set back.

    TensorBoard reads the files in the order of their names, `events.out.tfevents.SECONDS.…`.
    """
    paths = sorted(directory.glob("events.out.tfevents.*"))
    now = int(time.time())
    if paths and paths[-1].name.split(".")[3] >= str(now):
        for seconds, path in enumerate(paths, start=now - len(paths)):
            parts = path.name.split(".")
            path.rename(path.with_name(".".join([*parts[:3], str(seconds), *parts[4:]])))
