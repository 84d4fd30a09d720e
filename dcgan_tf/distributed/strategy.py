"""Which devices a run takes: one, all of this machine, or those of a cluster."""

from __future__ import annotations

import contextlib
import functools
import shutil
import signal
import socket
import time
from pathlib import Path

import tensorflow as tf

from dcgan_tf.distributed.cluster import read_tf_config, workers
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError, first_line

JOIN_SECONDS = 600
POLL_SECONDS = 0.2
NVIDIA_DRIVER = Path("/proc/driver/nvidia")


def make_strategy(config: Config) -> tf.distribute.Strategy:
    """Takes the devices that the config names; to be called before TensorFlow computes anything.

    Raises:
        UserError: there are no such devices, the cluster can't be joined, or the settings don't go
            with several replicas.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if config.device == "gpu" and not gpus:
        raise UserError("`device` gpu: TensorFlow finds no GPU here; give cpu or auto")
    if config.device == "gpu" and not tf.config.get_visible_devices("GPU"):
        raise UserError("`device` gpu: a training on the CPU has hidden this process's GPUs")
    if config.device == "cpu":
        gpus = []
        try:
            tf.config.set_visible_devices([], "GPU")
        except RuntimeError:
            raise UserError(
                "`device` cpu: this process has computed on its GPUs already; start another"
            ) from None
    # A notebook may have computed something already.
    with contextlib.suppress(RuntimeError):
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
    several = len(gpus) > 1
    if config.strategy == "mirrored" and not gpus:
        several = len(tf.config.list_logical_devices("CPU")) > 1
    if config.strategy == "multi_worker" and len(read_tf_config()[0]) > 1:
        strategy = join_cluster()
    elif several and config.strategy != "one":
        strategy = mirrored_strategy(len(gpus))
    else:
        strategy = tf.distribute.get_strategy()
    check_replicas(config, strategy.num_replicas_in_sync)
    return strategy


@functools.cache
def mirrored_strategy(gpus: int) -> tf.distribute.Strategy:
    """All GPUs, or where there are none, all logical CPUs.

    A process has one: TensorFlow numbers what the devices of each tell each other from the same
    start, and takes those of a second for the first's.
    """
    return tf.distribute.MirroredStrategy()


def unused_gpu() -> bool:
    """Whether the machine has an NVIDIA card, and TensorFlow sees no GPU."""
    has_card = NVIDIA_DRIVER.exists() or shutil.which("nvidia-smi") is not None
    return has_card and not tf.config.list_physical_devices("GPU")


def check_replicas(config: Config, replicas: int) -> None:
    """Refuses settings that don't go with this many replicas."""
    if replicas == 1:
        return
    share = replicas * config.pack
    below = config.batch_size // share * share
    for is_so, reason in (
        (
            config.batch_size != below,
            f"`batch_size` {config.batch_size} is no multiple of {share}, for {replicas} replicas"
            f"{f' of `pack` {config.pack}' if config.pack > 1 else ''}: "
            f"{f'{below} or ' if below else ''}{below + share} would do",
        ),
        (
            config.jit_compile,
            "`jit_compile` compiles the step of one replica: give `strategy` one",
        ),
        (
            config.reference and (config.dropout or config.last_dropout),
            "`reference` takes Keras's dropout, which drops the same on every replica: give "
            "`strategy` one, or `dropout` 0 and `last_dropout` 0",
        ),
        (
            config.precision == "float16",
            "`precision` float16 scales its losses by what one replica sees: give bfloat16, or "
            "`strategy` one",
        ),
    ):
        if is_so:
            raise UserError(reason)


def join_cluster() -> tf.distribute.Strategy:
    """Waits for all workers that TF_CONFIG names.

    Raises:
        UserError: TF_CONFIG is missing or wrong, or this worker's address can't be taken.
    """
    addresses, index = read_tf_config()
    print(f"cluster        worker {index} of {len(addresses)}, waiting for the others", flush=True)
    try:
        wait_for_others(addresses, index)
        signal.alarm(JOIN_SECONDS)  # TensorFlow itself would wait for an hour
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"worker {index} ({addresses[index]}) can't join: {first_line(error)}"
        ) from None
    finally:
        signal.alarm(0)


def wait_for_others(addresses: list[str], index: int) -> None:
    """Returns once all workers answer at their addresses.

    Raises:
        UserError: some don't, for too long.
        OSError: this worker's own port can't be taken.
    """
    until = time.monotonic() + JOIN_SECONDS
    missing = [address for address in addresses if address != addresses[index]]
    with socket.create_server(("", int(addresses[index].rpartition(":")[2]))):
        while missing := [address for address in missing if not answers(address)]:
            if time.monotonic() > until:
                raise UserError(
                    f"{' and '.join(missing)} did not answer within {JOIN_SECONDS} seconds: start "
                    f"all {len(addresses)} workers that TF_CONFIG names"
                )
            time.sleep(POLL_SECONDS)


def answers(address: str) -> bool:
    """Whether something listens there."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1.0):
            return True
    except OSError:
        return False


def describe_devices(name: str) -> str:
    """How many devices of a name the strategy uses, and on how many machines."""
    replicas, processes = tf.distribute.get_strategy().num_replicas_in_sync, workers()
    each = f"{replicas // processes} × {name}" if replicas > processes else name
    return each if processes == 1 else f"{each} on each of {processes} workers"
