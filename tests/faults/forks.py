"""Runs as forks of a process that has their imports, which start in a second."""

import multiprocessing
import os
import sys
import time
from pathlib import Path

from dcgan_tf.cli.program import run
from dcgan_tf.commands import train

forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload([__name__, "dcgan_tf.fast.measure", "dcgan_tf.training"])


def run_command(command, log, hook):
    """What a new `python train.py` does, once it has its imports."""
    for stream, path in ((1, os.devnull), (2, log)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    sys.argv = command[1:]
    if hook:
        sys.addaudithook(hook)
    run(train.main)


def fork(command, hook=None):
    """Starts a command of `train_command` in a fork, and gives it when it runs."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    log = command[3].removeprefix("--run_dir=") + ".errors"
    process = forks.Process(target=run_command, args=(command, log, hook))
    process.start()
    return process


def errors(run_dir):
    """What the last fork had to say."""
    return Path(f"{run_dir}.errors").read_text()


def end(command):
    """Runs a command to its end in a fork, and returns its exit code."""
    process = fork(command)
    process.join(240)
    return process.exitcode


def wait_in_fork(condition, process):
    """Waits until something is so; returns whether it was before the process ended."""
    while process.is_alive():
        if condition():
            return True
        time.sleep(0.001)
    return False


def changed(path):
    """A test of whether a file is another than it is now."""
    now = path.stat().st_mtime_ns if path.exists() else None
    return lambda: path.exists() and path.stat().st_mtime_ns != now


def left_over(run_dir):
    """What a write that was cut short left."""
    return [
        path.name
        for path in run_dir.rglob("*")
        if path.name.startswith("unfinished") or path.name.endswith(".part")
    ]
