"""Commands as forks of a process that has their imports: they start in a tenth of a second.

For tests of what a command does, not of how a new interpreter starts.
"""

import gc
import multiprocessing
import os
import runpy
import subprocess
import sys
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
IMPORTED = ("dcgan_tf.starting.start", "dcgan_tf.serving.export_formats", "dcgan_tf.latent.views")

forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload([__name__, *IMPORTED])


class Fork(forks.Process):
    """A command in a fork, with what tests use of a `subprocess.Popen`.

    Args:
        command: as for `Popen`, of Python: a file, `-m MODULE` or `-c CODE`, and arguments.
        environment: all variables that it is to have.
        hook: an audit hook for it, if any.
    """

    def __init__(self, command, environment, hook=None):
        (out, out_end), (err, err_end) = forks.Pipe(duplex=False), forks.Pipe(duplex=False)
        environment = environment | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        arguments = (command[1:], environment, hook, out_end, err_end)
        super().__init__(target=run_command, args=arguments, daemon=True)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (environment | {"PYTHONPATH": str(ROOT)}).items():
                patch.setenv(name, value)
            forkserver.ensure_running()
        self.start()
        out_end.close()
        err_end.close()
        self.stdout, self.stderr = (os.fdopen(os.dup(pipe.fileno())) for pipe in (out, err))

    @property
    def returncode(self):
        return self.exitcode

    def poll(self):
        return self.exitcode

    def send_signal(self, number):
        os.kill(self.pid, number)

    def communicate(self, timeout=240):
        """Its output and errors, once it has ended; a pipe holds 64 KiB of each."""
        self.join(timeout)
        if self.is_alive():
            raise subprocess.TimeoutExpired(self.name, timeout)
        return self.stdout.read(), self.stderr.read()


def run_command(arguments, environment, hook, out, err):
    """What a new `python` does with these arguments, once it has its imports."""
    for stream, pipe in ((1, out), (2, err)):
        os.dup2(pipe.fileno(), stream)
        pipe.close()
    gc.freeze()  # what the imports made need not be looked at again
    os.environ.clear()
    os.environ.update(environment)
    if hook:
        sys.addaudithook(hook)
    if arguments[0] == "-c":
        exec(arguments[1], {"__name__": "__main__"})
    elif arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(sys.argv[0], run_name="__main__")


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
