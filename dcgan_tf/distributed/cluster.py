"""What the workers of a cluster tell each other.

Every worker of a cluster runs the whole program and takes the same decisions at the same steps. The
chief's run directory lasts, those of the others are thrown away.
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
from dcgan_tf.run.run_directory import VALUE_ERRORS, RunDirectory, describe
from dcgan_tf.run.signals import STOP_SIGNALS
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError

TF_CONFIG = (
    'TF_CONFIG, such as {"cluster": {"worker": ["host0:2222", "host1:2222"]}, '
    '"task": {"type": "worker", "index": 0}}, with an index of its own for each worker'
)
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


def read_tf_config() -> tuple[list[str], int]:
    """The addresses of a cluster's workers, the chief first, and which of them this one is.

    Raises:
        UserError: TF_CONFIG is missing or wrong.
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
            raise ValueError("an address is there twice")
        if not 0 <= int(task["index"]) < len(jobs[task["type"]]):
            raise ValueError(f"there is no {task['type']} {task['index']}")
    except (*VALUE_ERRORS, IndexError) as error:
        raise UserError(f"TF_CONFIG can't be used ({error}): give {TF_CONFIG}") from None
    return workers, index


def workers() -> int:
    """How many processes take part in the training."""
    resolver = tf.distribute.get_strategy().cluster_resolver
    cluster = resolver.cluster_spec().as_dict() if resolver else {}
    return sum(len(addresses) for addresses in cluster.values()) or 1


def is_chief() -> bool:
    """Whether this process is the one whose run directory lasts."""
    return workers() == 1 or read_tf_config()[1] == 0


def all_reduce_sum(values: list[float]) -> list[float]:
    """The sums of what all workers give; each must call it at the same point."""
    if workers() == 1:
        return values
    return [float(value) for value in sum_of_workers(tf.constant(values, tf.float64))]


@tf.function(autograph=False)
def sum_of_workers(values: tf.Tensor) -> tf.Tensor:
    """The sum of what all workers give, each by the first of its replicas."""
    strategy = tf.distribute.get_strategy()
    replicas = strategy.num_replicas_in_sync // workers()

    def total(values: tf.Tensor) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        is_first = context.replica_id_in_sync_group % replicas == 0
        return context.all_reduce("SUM", tf.where(is_first, values, tf.zeros_like(values)))

    return strategy.experimental_local_results(strategy.run(total, args=(values,)))[0]


def agree_on_stop(received: int | None, save_is_due: bool) -> tuple[int | None, bool]:
    """What all workers do after a step, if one of them is asked to.

    Args:
        received: the signal that asks this worker to stop, or None.
        save_is_due: whether it is time to save, by this worker's clock.

    Returns:
        The same two, of all workers together.
    """
    if workers() == 1:
        return received, save_is_due
    *signals, due = all_reduce_sum(
        [float(received == each) for each in STOP_SIGNALS] + [save_is_due]
    )
    return next((each for each, count in zip(STOP_SIGNALS, signals) if count), None), due > 0


def broadcast(value: float) -> float:
    """The chief's value; each worker must call it at the same point."""
    return broadcast_all([value])[0]


def broadcast_all(values: list[float]) -> list[float]:
    """The chief's values, as many as this worker's; each must call it at the same point."""
    return all_reduce_sum(values if is_chief() else [0.0] * len(values))


def barrier() -> None:
    """Returns once all workers have called it: one that ends earlier would be taken for lost."""
    all_reduce_sum([0.0])


def wait_until_all_know() -> None:
    """Returns once every worker has the sums before this, so that each can end for its own reason.

    A worker that ends while another still waits for a sum leaves that one with a lost connection.
    """
    with contextlib.suppress(*LOST):  # whoever calls this has its sums already
        barrier()


def check_shared(run: RunDirectory) -> None:
    """Refuses workers that do not see the run that the chief resumes.

    Raises:
        UserError: the run directory of one is not the chief's.
    """
    if workers() == 1:
        return
    here = float(run.config_file.exists())
    blind = round(all_reduce_sum([float(here < broadcast(here))])[0])
    if blind:
        wait_until_all_know()
        raise UserError(
            f"{blind} of {workers()} workers do not see the run that worker 0 resumes: give "
            f"all the same `run_dir`, on a file system that they share"
        )


def check_same(config: Config, images: Images, labels: Labels | None = None) -> None:
    """Refuses workers that would train something else than the chief.

    Raises:
        UserError: a worker was started with other settings or images.
    """
    if workers() == 1:
        return
    settings = dataclasses.asdict(config) | {"data_dir": None, "cache_dir": None, "device": None}
    here = zlib.crc32(repr([settings, describe(images, labels)]).encode())
    others = round(all_reduce_sum([float(here != broadcast(here))])[0])
    if others:
        wait_until_all_know()
        raise UserError(
            f"{others} of {workers()} workers were started with other settings or images than "
            f"worker 0: give all of them the same"
        )


@contextlib.contextmanager
def open_aside() -> Iterator[RunDirectory]:
    """A run directory for a worker that is not the chief, which is deleted in the end."""
    with tempfile.TemporaryDirectory(prefix="dcgan_worker_") as folder:
        run = RunDirectory(Path(folder))
        run.samples.mkdir()
        yield run


@contextlib.contextmanager
def lost_workers_named() -> Iterator[None]:
    """Turns what TensorFlow raises when another worker is gone into one sentence.

    Raises:
        UserError: a worker was lost.
    """
    try:
        yield
    except LOST as error:
        if workers() == 1 or "ollective" not in str(error):
            raise
        raise UserError(
            "another worker ended or can't be reached: once all are started again with the same "
            "command, the run goes on from its last checkpoint"
        ) from None
