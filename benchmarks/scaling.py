"""Times a step on one, two and three workers, each on its own core, and compares it with a model.

    python -m benchmarks.scaling [--workers 3] [--batch_size 252] [--steps 10]

The workers are processes on this machine, connected over loopback. With N workers, the model
predicts the time for 1/N of the batch plus the time for an all-reduce of the gradients. The
all-reduce sends 2 (N − 1) / N times the gradients' bytes over each worker's connection; the
bandwidth is measured with two workers. The time for 1/N of the batch is measured twice: with a
single worker ("alone", multiplied if workers share a core), and with N unconnected workers that
compete for memory ("at once").
"""

import argparse
import json
import math
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable

import numpy as np

from benchmarks.timing import alternate, print_setup
from dcgan_tf.commands import program
from dcgan_tf.datasets.loading import load_images
from dcgan_tf.distributed.cluster import all_reduce_sum, num_workers
from dcgan_tf.distributed.strategy import make_strategy
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.training import Trainer

with program.quiet_tensorflow():
    import tensorflow as tf


def main() -> None:
    """Measures each number of workers, and prints the model's prediction beside it."""
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
    print(
        "workers  one alone  all at once  input  all-reduce  model: alone, at once  step  speed-up"
    )
    first = launch(1, flags.batch_size, flags.steps)
    print(f"1{first['input']:>35.3f}{first['step']:>42.3f}", flush=True)
    bandwidth = None
    for count in range(2, flags.workers + 1):
        part = flags.batch_size // count
        alone = launch(1, part, flags.steps)["step"]
        at_once = launch(count, part, flags.steps, connected=False)["step"]
        found = launch(count, flags.batch_size, flags.steps)
        moved = 2 * (count - 1) / count * found["bytes"]
        bandwidth = bandwidth or moved / found["all_reduce"]
        reducing = moved / bandwidth
        speed_up = first["step"] / found["step"]
        print(
            f"{count}{alone:>17.3f}{at_once:>13.3f}{found['input']:>7.3f}"
            f"{found['all_reduce']:>12.3f}{alone * math.ceil(count / cores) + reducing:>14.3f}"
            f"{at_once + reducing:>9.3f}{found['step']:>7.3f}{speed_up:>9.2f}×",
            flush=True,
        )
    print(f"\ngradients of a step: {first['bytes'] / 1e6:.1f} MB")
    if bandwidth:
        print(f"bandwidth of an all-reduce by two workers: {bandwidth / 1e6:.0f} MB/s")


def free_addresses(count: int) -> list[str]:
    """Unused addresses on this machine."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    addresses = [f"localhost:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def local_cluster(count: int) -> list[str]:
    """`TF_CONFIG` for each worker of a cluster on this machine."""
    addresses = free_addresses(count)
    tasks = [{"type": "worker", "index": index} for index in range(count)]
    return [json.dumps({"cluster": {"worker": addresses}, "task": task}) for task in tasks]


def launch(count: int, batch_size: int, steps: int, connected: bool = True) -> dict[str, float]:
    """Measures with several workers, each on its own core, and returns the maxima.

    Args:
        count: the number of workers.
        batch_size: the batch size of each cluster or unconnected worker.
        steps: the number of steps.
        connected: whether the workers form a cluster.

    Raises:
        UserError: a worker fails.
    """
    cores = sorted(os.sched_getaffinity(0))
    configs = local_cluster(count) if connected and count > 1 else [None] * count
    processes = []
    for index, config in enumerate(configs):
        environment = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3")
        if config:
            environment["TF_CONFIG"] = config
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
    lines = [each.communicate()[0].splitlines() for each in processes]
    if any(each.returncode for each in processes):
        raise UserError(f"a worker failed: run {shlex.join(['python', *command[4:]])} to see why")
    outputs = [json.loads(each[-1]) for each in lines]
    return {name: max(output[name] for output in outputs) for name in outputs[0]}


def measure(batch_size: int, steps: int) -> dict[str, float]:
    """The median seconds of a step, of making a batch, and of an all-reduce of all gradients."""
    clustered = "TF_CONFIG" in os.environ
    config = Config(
        batch_size=batch_size,
        precision="float32",
        convolutions="subpixel",
        strategy="multi_worker" if clustered else "one",
    )
    strategy = make_strategy(config)
    images = load_images(config)
    with strategy.scope():
        trainer = Trainer(config, images)
        batches = trainer.make_iterator()
        made = median_seconds(lambda: next(batches), steps)
        batch = next(batches)
        step = median_seconds(lambda: trainer.train_step(batch).scalars.gen_loss.numpy(), steps)
        weights = [
            weight
            for model in (trainer.gan.generator, trainer.gan.discriminator)
            for weight in model.trainable_variables
        ]
        reducing = 0.0
        if num_workers() > 1:
            zeros = [tf.zeros(weight.shape) for weight in weights]

            @tf.function
            def reduce() -> tf.Tensor:
                def replica() -> list[tf.Tensor]:
                    context = tf.distribute.get_replica_context()
                    return context.all_reduce("SUM", [tf.identity(zero) for zero in zeros])

                return strategy.run(replica)

            reducing = median_seconds(reduce, steps)
            all_reduce_sum([0.0])
    size = sum(4 * int(np.prod(weight.shape)) for weight in weights)
    return {"step": step, "input": made, "all_reduce": reducing, "bytes": size}


def median_seconds(call: Callable[[], object], times: int) -> float:
    """The median seconds of a call, after a warm-up call."""
    return float(np.median(alternate([call], times)))


if __name__ == "__main__":
    program.run(main)
