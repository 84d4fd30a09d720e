"""Which devices a run takes: one, all of this machine, or those of a cluster."""

from __future__ import annotations

import contextlib
import functools
import shutil
import socket
import time
from collections.abc import Iterable
from pathlib import Path

import tensorflow as tf

from dcgan_tf.distributed.cluster import read_tf_config, workers
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError, first_line

JOIN_SECONDS = 600
POLL_SECONDS = 0.2
ANSWER_SECONDS = 1.0
GO = b"go\n"
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
        UserError: TF_CONFIG is missing or wrong, this worker's address can't be taken, or some
            workers do not come.
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
    """Returns once all workers are there, and know of each other that they are.

    TensorFlow waits for them, too, for an hour, and nothing can end that: so it is begun only when
    there is nothing left to wait for. Each worker makes sure that it reaches all others, says so to
    the chief, and goes on when the chief has heard it of all.

    Raises:
        UserError: some are not there, for too long.
        OSError: this worker's own port can't be taken.
    """
    until = time.monotonic() + JOIN_SECONDS
    missing = [address for address in addresses if address != addresses[index]]
    with socket.create_server(("", int(addresses[index].rpartition(":")[2]))) as server:
        while missing := [address for address in missing if not answers(address)]:
            give_up_after(until, missing, addresses)
            time.sleep(POLL_SECONDS)
        if index == 0:
            let_go(server, addresses, until)
            return
        while not may_go(addresses[0], hello(index, len(addresses)), until):
            give_up_after(until, addresses[:1], addresses)
            time.sleep(POLL_SECONDS)


def give_up_after(until: float, missing: list[str], addresses: list[str]) -> None:
    """Refuses to wait any longer, if it is time.

    Raises:
        UserError: it is.
    """
    if time.monotonic() > until:
        raise UserError(
            f"{' and '.join(missing)} did not answer within {JOIN_SECONDS} seconds: start all "
            f"{len(addresses)} workers that TF_CONFIG names"
        )


def hello(index: int, count: int) -> bytes:
    """What a worker says to the chief once it reaches all others."""
    return f"dcgan_tf worker {index} of {count}\n".encode()


def let_go(server: socket.socket, addresses: list[str], until: float) -> None:
    """As the chief: waits for the word of all other workers, then gives them the word to go on.

    Raises:
        UserError: some do not give theirs, for too long; the others are told.
    """
    hellos = {hello(i, len(addresses)): i for i in range(1, len(addresses))}
    there: dict[int, socket.socket] = {}
    server.settimeout(POLL_SECONDS)
    with contextlib.ExitStack() as opened:
        while missing := [addresses[i] for i in hellos.values() if i not in there]:
            try:
                give_up_after(until, missing, addresses)
            except UserError as error:
                tell(there.values(), f"{error}\n".encode())
                raise
            with contextlib.suppress(OSError):
                connection = opened.enter_context(server.accept()[0])
                connection.settimeout(ANSWER_SECONDS)
                said = connection.makefile("rb").readline(len(max(hellos, key=len)))
                if said in hellos:
                    connection.setblocking(False)
                    there[hellos[said]] = connection
            there = {i: connection for i, connection in there.items() if is_open(connection)}
        tell(there.values(), GO)


def tell(connections: Iterable[socket.socket], word: bytes) -> None:
    """Says something to all that are still there."""
    for connection in connections:
        with contextlib.suppress(OSError):
            connection.sendall(word)


def may_go(chief: str, hello: bytes, until: float) -> bool:
    """As another worker: tells the chief that all are within reach, and waits for its word.

    Returns:
        Whether it came; not if the chief went away.

    Raises:
        UserError: the chief gave up waiting.
    """
    host, _, port = chief.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS) as connection:
            connection.sendall(hello)
            # The chief, which knows who is missing, may have begun to wait a little later.
            connection.settimeout(max(0, until - time.monotonic()) + ANSWER_SECONDS)
            word = connection.makefile("rb").readline()
    except OSError:
        return False
    if word not in (GO, b""):
        raise UserError(word.decode(errors="replace").strip())
    return word == GO


def is_open(connection: socket.socket) -> bool:
    """Whether the other side, which has nothing more to say, is still there."""
    try:
        return connection.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def answers(address: str) -> bool:
    """Whether something listens there."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS):
            return True
    except OSError:
        return False


def describe_devices(name: str) -> str:
    """How many devices of a name the strategy uses, and on how many machines."""
    replicas, processes = tf.distribute.get_strategy().num_replicas_in_sync, workers()
    each = f"{replicas // processes} × {name}" if replicas > processes else name
    return each if processes == 1 else f"{each} on each of {processes} workers"
