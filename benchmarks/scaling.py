"""The time of a step on one, two and three workers, each on its own core, against a model of it.

    python -m benchmarks.scaling [--workers 3] [--batch_size 252] [--steps 10]

The workers are processes of this machine that talk over its loopback. With N of them, a step should
take as long as one worker takes for its N-th of the batch, and the all-reduce of all gradients: of
each, 2 (N − 1) / N times its bytes go over every worker's connection, at a bandwidth that is
measured with two workers. Workers that share a core share its time.
"""

import argparse
import json
import math
import os
import socket
import subprocess
import sys
import time

import numpy as np
import tensorflow as tf

from benchmarks.timing import print_setup
from dcgan_tf.cluster import make_strategy, totals, workers
from dcgan_tf.config import Config
from dcgan_tf.data import load_images, make_batches
from dcgan_tf.replicas import distribute
from dcgan_tf.training import Trainer


def main() -> None:
    """Measures each number of workers, and prints what the model says beside it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--batch_size", type=int, default=252)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.measure:
        print(json.dumps(measure(flags.batch_size, flags.steps)))
        return

    print_setup()
    cores = len(os.sched_getaffinity(0))
    print(f"--batch_size {flags.batch_size}, medians of {flags.steps} steps, in seconds\n")
    print("workers  alone, with its part  input  all-reduce  step: model  measured  speed-up")
    for count in range(1, flags.workers + 1):
        alone = launch(1, flags.batch_size // count, flags.steps)
        found = alone if count == 1 else launch(count, flags.batch_size, flags.steps)
        if count == 1:
            first, bandwidth = found["step"], None
        moved = 2 * (count - 1) / count * found["bytes"]
        if count == 2:
            bandwidth = moved / found["all_reduce"]
        reducing = moved / bandwidth if count > 1 else 0.0
        model = alone["step"] * math.ceil(count / cores) + reducing
        print(
            f"{count:<9}{alone['step']:<22.3f}{found['input']:<7.3f}{found['all_reduce']:<12.3f}"
            f"{model:<13.3f}{found['step']:<10.3f}{first / found['step']:.2f}×",
            flush=True,
        )
    print(f"\ngradients of a step: {found['bytes'] / 1e6:.1f} MB")
    if bandwidth:
        print(f"bandwidth of an all-reduce by two workers: {bandwidth / 1e6:.0f} MB/s")


def launch(count: int, batch_size: int, steps: int) -> dict[str, float]:
    """What the chief of so many workers, each on a core of its own, measures."""
    cores = sorted(os.sched_getaffinity(0))
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    addresses = [f"localhost:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    processes = []
    for index in range(count):
        environment = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3")
        if count > 1:
            task = {"type": "worker", "index": index}
            environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
        command = ["taskset", "-c", str(cores[index % len(cores)]), sys.executable, "-m"]
        command += ["benchmarks.scaling", "--measure", f"--batch_size={batch_size}"]
        processes.append(
            subprocess.Popen(
                [*command, f"--steps={steps}"],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
    outputs = [process.communicate()[0] for process in processes]
    return json.loads(outputs[0].splitlines()[-1])


def measure(batch_size: int, steps: int) -> dict[str, float]:
    """The median seconds of a step, of making a batch, and of an all-reduce of all gradients."""
    clustered = "TF_CONFIG" in os.environ
    config = Config(
        batch_size=batch_size,
        precision="float32",
        convolutions="phases",
        strategy="multi_worker" if clustered else "one",
    )
    strategy = make_strategy(config)
    images = load_images(config)
    with strategy.scope():
        trainer = Trainer(config, images)
        batches = distribute(
            lambda **part: make_batches(images, config, 0, 3 * (steps + 2), **part)
        )
        made = median_seconds(lambda: next(batches), steps)
        held = next(batches)
        step = median_seconds(lambda: trainer.train_step(held).gen_loss.numpy(), steps)
        weights = [
            weight
            for model in (trainer.generator, trainer.discriminator)
            for weight in model.trainable_variables
        ]
        reducing = 0.0
        if workers() > 1:
            zeros = [tf.zeros(weight.shape) for weight in weights]

            @tf.function
            def reduce() -> tf.Tensor:
                def replica() -> list[tf.Tensor]:
                    context = tf.distribute.get_replica_context()
                    return context.all_reduce("SUM", [tf.identity(zero) for zero in zeros])

                return strategy.run(replica)

            reducing = median_seconds(reduce, steps)
            totals([0.0])
    size = sum(4 * int(np.prod(weight.shape)) for weight in weights)
    return {"step": step, "input": made, "all_reduce": reducing, "bytes": size}


def median_seconds(call: object, times: int) -> float:
    """The median of some calls, after two that are not counted."""
    seconds = []
    for _ in range(times + 2):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds[2:]))


if __name__ == "__main__":
    main()
