"""The devices of a run: one, all of this machine, or a cluster's."""

from __future__ import annotations

import contextlib
import functools
import shutil
import socket
import time
from collections.abc import Iterable
from pathlib import Path

import tensorflow as tf

from dcgan_tf.distributed.cluster import num_workers, read_tf_config
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError, first_line

JOIN_SECONDS = 600
POLL_SECONDS = 0.2
REPLY_SECONDS = 1.0
GO = b"go\n"
NVIDIA_DRIVER = Path("/proc/driver/nvidia")


def make_strategy(config: Config) -> tf.distribute.Strategy:
    """The strategy for the config's devices; must be called before TensorFlow computes anything.

    Raises:
        UserError: there are no such devices, the cluster can't be joined, or the settings do not
            allow several replicas.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if config.device == "gpu" and not gpus:
        raise UserError("`device` gpu: TensorFlow finds no GPU here: use cpu or auto")
    if config.device == "gpu" and not tf.config.get_visible_devices("GPU"):
        raise UserError(
            "`device` gpu: an earlier training on the CPU hid this process's GPUs: start a new "
            "process"
        )
    if config.device == "cpu":
        gpus = []
        try:
            tf.config.set_visible_devices([], "GPU")
        except RuntimeError:
            raise UserError(
                "`device` cpu: this process has already computed on its GPUs: start a new process"
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
    """A strategy for all GPUs, or without GPUs for all logical CPUs.

    A process must have only one: TensorFlow numbers the collectives of each strategy from the same
    start, and would mix up those of two strategies.
    """
    return tf.distribute.MirroredStrategy()


def unused_gpu() -> bool:
    """Whether the machine has an NVIDIA card, but TensorFlow sees no GPU."""
    has_card = NVIDIA_DRIVER.exists() or shutil.which("nvidia-smi") is not None
    return has_card and not tf.config.list_physical_devices("GPU")


def check_replicas(config: Config, replicas: int) -> None:
    """Checks that the settings allow this number of replicas.

    Raises:
        UserError: they do not.
    """
    if replicas == 1:
        return
    share = replicas * config.pack
    below = config.batch_size // share * share
    for is_refused, reason in (
        (
            config.batch_size != below,
            f"`batch_size` {config.batch_size} is not a multiple of {share}, for {replicas} "
            f"replicas{f' of `pack` {config.pack}' if config.pack > 1 else ''}: "
            f"use {f'{below} or ' if below else ''}{below + share}",
        ),
        (
            config.jit_compile,
            "`jit_compile` compiles the step of one replica: use `strategy` one",
        ),
        (
            config.reference and (config.dropout or config.last_dropout),
            "`reference` uses Keras's dropout, which has the same mask on every replica: use "
            "`strategy` one, or `dropout` 0 and `last_dropout` 0",
        ),
        (
            config.precision == "float16",
            "`precision` float16 scales the losses for one replica only: use bfloat16, or "
            "`strategy` one",
        ),
    ):
        if is_refused:
            raise UserError(reason)


def join_cluster() -> tf.distribute.Strategy:
    """Waits for all workers that TF_CONFIG names.

    Raises:
        UserError: TF_CONFIG is missing or invalid, this worker's port is in use, or other workers
            do not answer.
    """
    addresses, index = read_tf_config()
    print(f"cluster        worker {index} of {len(addresses)}, waiting for the others", flush=True)
    try:
        wait_for_others(addresses, index)
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"worker {index} ({addresses[index]}) can't join: {first_line(error)}"
        ) from None


def wait_for_others(addresses: list[str], index: int) -> None:
    """Returns once all workers can reach each other.

    TensorFlow itself would wait for up to an hour, and could not be interrupted; so it starts only
    when all workers are ready. Each worker connects to all others and reports to the chief. It
    continues when the chief has the reports of all.

    Raises:
        UserError: some workers do not answer in time.
        OSError: this worker's own port can't be opened.
    """
    until = time.monotonic() + JOIN_SECONDS
    missing = [address for address in addresses if address != addresses[index]]
    with socket.create_server(("", int(addresses[index].rpartition(":")[2]))) as server:
        while missing := [address for address in missing if not is_listening(address)]:
            check_deadline(until, missing, addresses)
            time.sleep(POLL_SECONDS)
        if index == 0:
            release_workers(server, addresses, until)
            return
        while not wait_for_chief(addresses[0], hello(index, len(addresses)), until):
            check_deadline(until, addresses[:1], addresses)
            time.sleep(POLL_SECONDS)


def check_deadline(until: float, missing: list[str], addresses: list[str]) -> None:
    """Checks that there is still time to wait for missing workers.

    Raises:
        UserError: there is not.
    """
    if time.monotonic() > until:
        raise UserError(
            f"{' and '.join(missing)} did not answer within {JOIN_SECONDS} seconds: start all "
            f"{len(addresses)} workers that TF_CONFIG names"
        )


def hello(index: int, count: int) -> bytes:
    """The message that tells the chief that a worker can reach all others."""
    return f"dcgan_tf worker {index} of {count}\n".encode()


def release_workers(server: socket.socket, addresses: list[str], until: float) -> None:
    """As the chief, waits for the reports of all other workers, then lets them continue.

    Raises:
        UserError: some do not report in time; the others are sent the error.
    """
    hellos = {hello(i, len(addresses)): i for i in range(1, len(addresses))}
    there: dict[int, socket.socket] = {}
    server.settimeout(POLL_SECONDS)
    with contextlib.ExitStack() as opened:
        while missing := [addresses[i] for i in hellos.values() if i not in there]:
            try:
                check_deadline(until, missing, addresses)
            except UserError as error:
                send(there.values(), f"{error}\n".encode())
                raise
            with contextlib.suppress(OSError):
                connection = opened.enter_context(server.accept()[0])
                connection.settimeout(REPLY_SECONDS)
                message = connection.makefile("rb").readline(len(max(hellos, key=len)))
                if message in hellos:
                    connection.setblocking(False)
                    there[hellos[message]] = connection
            there = {i: connection for i, connection in there.items() if is_open(connection)}
        send(there.values(), GO)


def send(connections: Iterable[socket.socket], message: bytes) -> None:
    """Sends a message over all connections that are still open."""
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.sendall(message)


def wait_for_chief(chief: str, hello: bytes, until: float) -> bool:
    """As a worker other than the chief, reports to it and waits for a reply.

    Returns:
        Whether to continue; False if the chief went away.

    Raises:
        UserError: the chief gave up waiting.
    """
    host, _, port = chief.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=REPLY_SECONDS) as connection:
            connection.sendall(hello)
            # The chief may have started waiting later, and its error names the missing workers.
            connection.settimeout(max(0, until - time.monotonic()) + REPLY_SECONDS)
            reply = connection.makefile("rb").readline()
    except OSError:
        return False
    if reply not in (GO, b""):
        raise UserError(reply.decode(errors="replace").strip())
    return reply == GO


def is_open(connection: socket.socket) -> bool:
    """Whether the other side, which sends nothing more, still has the connection open."""
    try:
        return connection.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def is_listening(address: str) -> bool:
    """Whether a process listens at an address."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=REPLY_SECONDS):
            return True
    except OSError:
        return False


def describe_devices(name: str) -> str:
    """The strategy's devices as text, such as "2 × GPU on each of 3 workers"."""
    replicas, processes = tf.distribute.get_strategy().num_replicas_in_sync, num_workers()
    each = f"{replicas // processes} × {name}" if replicas > processes else name
    return each if processes == 1 else f"{each} on each of {processes} workers"
