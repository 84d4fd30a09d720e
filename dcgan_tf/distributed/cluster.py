"""Communication between the workers of a cluster.

Every worker runs the entire program and makes the same decisions at the same steps. The chief's run
directory is kept; those of the other workers are deleted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from dcgan_tf.conditional.labels import Labels
from dcgan_tf.data import Images
from dcgan_tf.run.run_directory import VALUE_ERRORS, RunDirectory, describe_images
from dcgan_tf.run.signals import STOP_SIGNALS
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError

TF_CONFIG = (
    'TF_CONFIG, such as {"cluster": {"worker": ["host0:2222", "host1:2222"]}, '
    '"task": {"type": "worker", "index": 0}}, with a different index for each worker'
)
LOST_WORKER_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


def read_tf_config() -> tuple[list[str], int]:
    """The addresses of a cluster's workers, the chief first, and the index of this one.

    Raises:
        UserError: TF_CONFIG is missing or invalid.
    """
    text = os.environ.get("TF_CONFIG")
    if text is None:
        raise UserError(f"`strategy` multi_worker needs {TF_CONFIG}")
    try:
        values = json.loads(text)
        jobs, task = values["cluster"], values["task"]
        if jobs.keys() - {"chief", "worker"}:
            raise ValueError(f"it has a {', '.join(jobs.keys() - {'chief', 'worker'})}")
        chiefs = jobs.get("chief", [])
        workers = [*chiefs, *jobs.get("worker", [])]
        index = int(task["index"]) + (len(chiefs) if task["type"] == "worker" else 0)
        ports = [address.rpartition(":")[2] for address in workers]
        if not all(port.isdecimal() and 1 <= int(port) <= 65535 for port in ports):
            raise ValueError("an address is not host:port")
        if len(set(workers)) < len(workers):
            raise ValueError("it lists an address twice")
        if not 0 <= int(task["index"]) < len(jobs[task["type"]]):
            raise ValueError(f"there is no {task['type']} {task['index']}")
    except (*VALUE_ERRORS, IndexError) as error:
        raise UserError(f"TF_CONFIG can't be used ({error}): set {TF_CONFIG}") from None
    return workers, index


def num_workers() -> int:
    """The number of processes in the training."""
    resolver = tf.distribute.get_strategy().cluster_resolver
    cluster = resolver.cluster_spec().as_dict() if resolver else {}
    return sum(len(addresses) for addresses in cluster.values()) or 1


def is_chief() -> bool:
    """Whether this process is the one whose run directory is kept."""
    return num_workers() == 1 or read_tf_config()[1] == 0


def all_reduce_sum(values: list[float]) -> list[float]:
    """The sums of the values over all workers; each must call it at the same point."""
    if num_workers() == 1:
        return values
    return [float(value) for value in sum_of_workers(tf.constant(values, tf.float64))]


@tf.function(autograph=False)
def sum_of_workers(values: tf.Tensor) -> tf.Tensor:
    """The sum over all workers, each taking part with its first replica."""
    strategy = tf.distribute.get_strategy()
    replicas = strategy.num_replicas_in_sync // num_workers()

    def total(values: tf.Tensor) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        is_first = context.replica_id_in_sync_group % replicas == 0
        return context.all_reduce("SUM", tf.where(is_first, values, tf.zeros_like(values)))

    return strategy.experimental_local_results(strategy.run(total, args=(values,)))[0]


def agree_on_stop(received: int | None, save_is_due: bool) -> tuple[int | None, bool]:
    """Makes all workers stop or save after a step if one of them should.

    Args:
        received: the stop signal that this worker received, or None.
        save_is_due: whether it is time to save, by this worker's clock.

    Returns:
        Both values, agreed on by all workers.
    """
    if num_workers() == 1:
        return received, save_is_due
    *signals, due = all_reduce_sum(
        [float(received == each) for each in STOP_SIGNALS] + [save_is_due]
    )
    return next((each for each, count in zip(STOP_SIGNALS, signals) if count), None), due > 0


def broadcast(value: float) -> float:
    """The chief's value; each worker must call it at the same point."""
    return broadcast_all([value])[0]


def broadcast_all(values: list[float]) -> list[float]:
    """The chief's values, for a list of the same length; each must call it at the same point."""
    return all_reduce_sum(values if is_chief() else [0.0] * len(values))


def barrier() -> None:
    """Returns once all workers have called it; a worker that ends earlier would appear lost."""
    all_reduce_sum([0.0])


def wait_for_sums() -> None:
    """Returns once every worker has received all earlier sums, so this one can end.

    If it ended before, a worker that still waits for a sum would report a lost connection.
    """
    with contextlib.suppress(*LOST_WORKER_ERRORS):  # this worker has its sums already
        barrier()


def check_shared(run: RunDirectory) -> None:
    """Checks that all workers see the run that the chief resumes.

    Raises:
        UserError: a worker's run directory is not the chief's.
    """
    if num_workers() == 1:
        return
    here = float(run.config_file.exists())
    blind = round(all_reduce_sum([float(here < broadcast(here))])[0])
    if blind:
        wait_for_sums()
        raise UserError(
            f"{blind} of {num_workers()} workers do not see the run that worker 0 resumes: use "
            f"the same `run_dir` for all of them, on a shared file system"
        )


def check_same(config: Config, images: Images, labels: Labels | None = None) -> None:
    """Checks that all workers have the chief's settings, images and labels.

    Raises:
        UserError: a worker was started with other settings or images.
    """
    if num_workers() == 1:
        return
    settings = dataclasses.asdict(config) | {"data_dir": None, "cache_dir": None, "device": None}
    here = zlib.crc32(repr([settings, describe_images(images, labels)]).encode())
    others = round(all_reduce_sum([float(here != broadcast(here))])[0])
    if others:
        wait_for_sums()
        raise UserError(
            f"{others} of {num_workers()} workers were started with other settings or images than "
            f"worker 0: use the same for all of them"
        )


@contextlib.contextmanager
def temporary_run() -> Iterator[RunDirectory]:
    """A run directory for a worker other than the chief, deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="dcgan_worker_") as folder:
        run = RunDirectory(Path(folder))
        run.samples.mkdir()
        yield run


@contextlib.contextmanager
def lost_worker_errors() -> Iterator[None]:
    """Turns TensorFlow's errors for a lost worker into a `UserError`.

    Raises:
        UserError: a worker was lost.
    """
    try:
        yield
    except LOST_WORKER_ERRORS as error:
        if num_workers() == 1 or "ollective" not in str(error):
            raise
        raise UserError(
            "another worker ended or can't be reached: start all workers again with the same "
            "command, and the run resumes from its last checkpoint"
        ) from None
