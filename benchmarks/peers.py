"""Training steps and layers to compare. Each runs in its own process, to isolate the others.

    python -m benchmarks.peers dcgan_tf|tutorial|torch|layer|torch_layer SETTINGS OPTIONS

is the command started by `alternate`. SETTINGS are settings of a config, and OPTIONS additional
arguments of the peer's function in PEERS, both as JSON.
"""

import argparse
import contextlib
import dataclasses
import importlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import numpy as np

from dcgan_tf.commands import program
from dcgan_tf.settings.config import Config

SHAPES = {"tutorial": (28, 28, 1), "paper": (64, 64, 3)}
TURN_SECONDS = 0.5
TIMEOUT_SECONDS = 300

Take = Callable[[int], int]  # takes at least the given number of steps; returns the number taken


def random_images(config: Config) -> np.ndarray:
    """A batch of random images, uint8 [batch, H, W, C]."""
    shape = (config.batch_size, *SHAPES[config.preset])
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def repeated(step: Callable[[], Any], wait: Callable[[], None]) -> Take:
    """A function that takes the given number of steps, and waits for their end."""

    def take(steps: int) -> int:
        for _ in range(steps):
            step()
        wait()
        return steps

    return take


def dcgan_tf_steps(config: Config) -> Take:
    """This project's step, on all replicas of the config's strategy."""
    import tensorflow as tf

    from dcgan_tf.commands.memory import keep_freed_memory
    from dcgan_tf.distributed.strategy import make_strategy
    from dcgan_tf.training import Trainer

    keep_freed_memory()
    if config.strategy == "mirrored" and not tf.config.list_physical_devices("GPU"):
        (cpu,) = tf.config.list_physical_devices("CPU")
        halves = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, halves)
    with make_strategy(config).scope():
        trainer = Trainer(config, random_images(config))
        batches = trainer.make_iterator()
    batch = next(batches)
    per_call = config.steps_per_execution

    def take(steps: int) -> int:
        calls = -(-steps // per_call)
        for _ in range(calls):
            if per_call == 1:
                trainer.train_step(batch)
            else:
                trainer.train_steps(batches, tf.constant(per_call))
        tf.test.experimental.sync_devices()
        return calls * per_call

    return take


def tutorial_steps(config: Config) -> Take:
    """The tutorial's step on its own models, or on the preset's, made of Keras's own layers."""
    from benchmarks.tutorial import (
        make_models,
        make_step,
    )  # before TensorFlow, because it configures oneDNN

    import tensorflow as tf  # isort: skip

    from dcgan_tf.commands.memory import keep_freed_memory
    from dcgan_tf.data import scale
    from dcgan_tf.fast.keras_layers import plain
    from dcgan_tf.models import make_discriminator, make_generator

    keep_freed_memory()
    config = dataclasses.replace(config, precision="float32")
    images = scale(random_images(config))
    if config.preset == "tutorial":
        models = make_models()
    else:
        made = (make(config, images.shape[1:]) for make in (make_generator, make_discriminator))
        models = tuple(plain(model) for model in made)
    step = make_step(*models, config.learning_rate, config.beta_1)

    return repeated(lambda: step(images), tf.test.experimental.sync_devices)


def torch_steps(config: Config, **options: Any) -> Take:
    """The same models and step in PyTorch."""
    from benchmarks.torch_step import make_step

    images = random_images(config).astype(np.float32) / 127.5 - 1
    return repeated(*make_step(config, images, **options))


def layer_passes(
    config: Config, module: str, kind: str, layer: dict[str, Any], shape: list[int]
) -> Take:
    """The forward and backward pass of a layer, with gradients for inputs and weights.

    Args:
        config: unused.
        module: the module of the layer's class.
        kind: the name of the class.
        layer: the layer's config.
        shape: the shape of the inputs, including the batch.
    """
    import tensorflow as tf

    from dcgan_tf.commands.memory import keep_freed_memory

    keep_freed_memory()
    inputs = tf.random.stateless_normal(shape, [0, 0])
    made = getattr(importlib.import_module(module), kind).from_config(layer)
    made.build(shape)

    @tf.function
    def both_ways() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = made(inputs, training=True)
        return tape.gradient(outputs, [inputs, *made.trainable_variables], outputs)

    return repeated(both_ways, tf.test.experimental.sync_devices)


def torch_layer_passes(config: Config, **options: Any) -> Take:
    """The passes of the same layer in PyTorch."""
    from benchmarks.torch_step import make_passes

    return repeated(*make_passes(**options))


PEERS: dict[str, Callable[..., Take]] = {
    "dcgan_tf": dcgan_tf_steps,
    "tutorial": tutorial_steps,
    "torch": torch_steps,
    "layer": layer_passes,
    "torch_layer": torch_layer_passes,
}


def command(peer: str, settings: dict[str, Any], **options: Any) -> list[str]:
    """The command line that starts a peer."""
    words = [sys.executable, "-m", "benchmarks.peers", peer]
    return [*words, json.dumps(settings), json.dumps(options)]


def alternate(
    commands: Mapping[str, list[str]], rounds: int
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Times the steps of peers in turn, after two warm-up steps each.

    The order is reversed every round. A turn lasts TURN_SECONDS, or one step.

    Args:
        commands: the peers' command lines, by name.
        rounds: the number of turns of each peer.

    Returns:
        The seconds per step of each peer that was measured, float64 [rounds]; and the reason for
        each that was not.
    """
    processes: dict[str, subprocess.Popen] = {}
    steps: dict[str, int] = {}
    seconds: dict[str, np.ndarray] = {}
    failures: dict[str, str] = {}

    def measure(name: str, count: int) -> float:
        step_seconds = ask(processes[name], count)
        if step_seconds is None and name not in failures:
            failures[name] = why_it_ended(processes[name], errors[name])
        return math.nan if step_seconds is None else step_seconds

    with contextlib.ExitStack() as stack:
        errors = {name: stack.enter_context(tempfile.TemporaryFile("w+")) for name in commands}
        for name, words in commands.items():
            processes[name] = start(words, errors[name])
            stack.callback(end, processes[name])
            measure(name, 1)
            step = measure(name, 1)
            steps[name] = 1 if name in failures else math.ceil(TURN_SECONDS / step)
            seconds[name] = np.empty(rounds)
        for i in range(rounds):
            for name in list(commands)[:: 1 if i % 2 else -1]:
                seconds[name][i] = measure(name, steps[name])
    return {name: seconds[name] for name in commands if name not in failures}, failures


def start(words: list[str], errors: TextIO) -> subprocess.Popen:
    """Starts a peer that shares GPU memory with the others."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        words, env=environment, text=True, stdin=pipe, stdout=pipe, stderr=errors
    )


def ask(process: subprocess.Popen, steps: int) -> float | None:
    """Makes a peer take steps; returns the seconds per step, or None if the peer has ended."""
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        print(steps, file=process.stdin, flush=True)
    answer = process.stdout.readline()
    return float(answer) if answer else None


def end(process: subprocess.Popen) -> None:
    process.kill()
    process.communicate()


def why_it_ended(process: subprocess.Popen, errors: TextIO) -> str:
    """The reason why a peer ended early."""
    code = process.wait()
    if code == -signal.SIGALRM:
        return f"no response within {TIMEOUT_SECONDS} seconds"
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    errors.seek(0)
    lines = [line.strip() for line in errors if line.strip()]
    return lines[-1] if lines else f"ended with code {code}"


def main() -> None:
    """Reads numbers of steps from standard input, takes them, and prints the seconds per step."""
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("settings", type=json.loads, metavar="SETTINGS")
    parser.add_argument("options", type=json.loads, metavar="OPTIONS")
    flags = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # keeps other output out of the answers
    signal.alarm(TIMEOUT_SECONDS)
    config = Config.from_flags({"epochs": 10**6} | flags.settings)
    take = PEERS[flags.peer](config, **flags.options)
    for line in sys.stdin:
        signal.alarm(TIMEOUT_SECONDS)
        began = time.perf_counter()
        taken = take(int(line))
        print((time.perf_counter() - began) / taken, file=answers, flush=True)
        signal.alarm(0)


if __name__ == "__main__":
    program.run(main)
