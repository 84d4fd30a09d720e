"""Runs that are killed, interrupted, or left by their terminal."""

import contextlib
import fcntl
import os
import pty
import random
import shutil
import signal
import subprocess
import termios
import time
from pathlib import Path

import pytest
import tensorflow as tf

from tests import test_resume
from tests.conftest import ENVIRONMENT, finish, fork, one_sentence, start, train_command
from tests.forks import changed, left_over, wait_in_fork
from tests.test_resume import assert_same_run, table, wait_for

pytestmark = pytest.mark.long


def test_a_hundred_kills_at_random_moments(tmp_path, digits_dir, long_run, held, monkeypatch):
    """Of about ten runs, each killed until it is at its end and compared with the whole one."""
    monkeypatch.setattr(test_resume, "LAST_STEP", 60)
    rng, kills, runs = random.Random(8), 0, 0
    while kills < 100:
        run_dir = tmp_path / str(runs)
        command = train_command(run_dir, digits_dir, "--epochs=10")
        for _ in range(10):
            begun = changed(run_dir / "step_times.npy")
            process = fork(command)
            wait_in_fork(begun, process)
            process.join(rng.uniform(0, 3))
            kills += process.is_alive()
            process.kill()
            process.join()
        assert finish(command, how=fork)[0] == 0
        assert left_over(run_dir) == []
        assert_same_run(run_dir, long_run)
        shutil.rmtree(run_dir)
        runs += 1
    held("SIGKILL at a random moment of training", kills, f"{runs} runs bit for bit the same")


def test_kills_during_start_up(tmp_path, digits_dir, finished_run, held):
    rng = random.Random(9)
    command = train_command(tmp_path / "run", digits_dir)
    for _ in range(10):
        process = fork(command)
        process.join(rng.uniform(0.1, 4))
        process.kill()
        process.join()
    assert finish(command, how=fork)[0] == 0
    assert left_over(tmp_path / "run") == []
    assert_same_run(tmp_path / "run", finished_run)
    held("SIGKILL at a random moment of start-up", 10, "the run bit for bit the same")


class KillBeforeRename:
    """Kills its process as a file is about to take its place, having cut some of it off or not."""

    def __init__(self, name, is_cut):
        self.name, self.is_cut = name, is_cut

    def __call__(self, event, arguments):
        if event == "os.rename" and Path(os.fspath(arguments[1])).name.startswith(self.name):
            if self.is_cut:
                os.truncate(arguments[0], os.path.getsize(arguments[0]) // 2)
            os.kill(os.getpid(), signal.SIGKILL)


WRITTEN = (
    *("config.json", "reals.png", "init.png", "step_times.npy", "ckpt-2.data", "ckpt-2.index"),
    *("checkpoint", "ckpt-4.data", "ckpt-4.index", "epoch_0001.png", "metrics.csv", "losses.png"),
    *("training.gif", "ckpt-6.data", "ckpt-8.index", "events.out", "epoch_0002.png"),
    *("training.gif", "ckpt-12.data", "ckpt-12.index", "checkpoint"),
)


def test_kills_as_each_file_is_written(tmp_path, digits_dir, finished_run, held):
    """One run, killed at each in turn, with half or all of it written."""
    command = train_command(tmp_path / "run", digits_dir)
    for i, name in enumerate(WRITTEN):
        process = fork(command, KillBeforeRename(name, is_cut=i % 2 == 0))
        process.join(240)
        assert process.exitcode == -signal.SIGKILL, name
    assert finish(command, how=fork)[0] == 0
    assert left_over(tmp_path / "run") == []
    assert_same_run(tmp_path / "run", finished_run)
    held("SIGKILL as a file is written", len(WRITTEN), "the run bit for bit the same")


def test_kills_while_a_checkpoint_is_saved(tmp_path, digits_dir, long_run, held, monkeypatch):
    monkeypatch.setattr(test_resume, "LAST_STEP", 60)
    rng, kills = random.Random(10), 0
    command = train_command(tmp_path / "run", digits_dir, "--epochs=10")
    folder = tmp_path / "run" / "checkpoints"
    for _ in range(12):
        process = fork(command)
        after = rng.randrange(3)
        begun = changed(tmp_path / "run" / "step_times.npy")
        for _ in range(1 + after):
            wait_in_fork(begun, process)
            begun = changed(tmp_path / "run" / "step_times.npy")
        wait_in_fork((folder / "unfinished").exists, process)
        process.join(rng.uniform(0, 0.1))
        process.kill()
        process.join()
        kills += (folder / "unfinished").exists()
    assert kills >= 6
    assert finish(command, how=fork)[0] == 0
    assert left_over(tmp_path / "run") == []
    assert_same_run(tmp_path / "run", long_run)
    held("SIGKILL while a checkpoint is half written", kills, "the run bit for bit the same")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_sent_twice_saves_once(tmp_path, digits_dir, held, number):
    rng, slowest = random.Random(number), 0.0
    for i in range(5):
        run_dir = tmp_path / str(i)
        more = ["--epochs=1000", "--checkpoint_steps=7", "--eval_every=0"]
        process = fork(train_command(run_dir, digits_dir, *more))
        assert wait_in_fork((run_dir / "samples" / "init.png").exists, process)
        process.join(rng.uniform(0, 8))
        began = time.monotonic()
        os.kill(process.pid, number)
        process.join(rng.choice([0, 0, 0.05, 0.5]))
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
        process.join(30)
        slowest = max(slowest, time.monotonic() - began)
        assert process.exitcode == 128 + number
        err = process.communicate()[1]
        assert f"stopped by {number.name}: saved at step" in err and one_sentence(err)
        saved = int(err.split("saved at step ")[1].split()[0])
        newest = tf.train.latest_checkpoint(str(run_dir / "checkpoints"))
        assert newest.endswith(f"ckpt-{saved}") and table(run_dir)[-1][1] == str(saved)
        assert left_over(run_dir) == []
    held(f"{number.name} twice", 5, f"saved, exit code {128 + number}, within {slowest:.1f} s")


def start_in_terminal(command, is_immune):
    """Starts a command as the leader of a terminal's session; gives the terminal's other side."""

    def take_terminal():
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        if is_immune:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    near, far = pty.openpty()
    process = subprocess.Popen(
        command,
        env=ENVIRONMENT,
        stdin=far,
        stdout=far,
        stderr=far,
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    os.close(far)
    return process, near


@pytest.mark.parametrize("file", ["config.json", "checkpoints/ckpt-4.index"])
@pytest.mark.parametrize("is_immune", [False, True])
def test_terminal_that_goes_away(tmp_path, digits_dir, finished_run, held, is_immune, file):
    command = train_command(tmp_path / "run", digits_dir)
    process, terminal = start_in_terminal(command, is_immune)
    wait_for((tmp_path / "run" / file).exists, process)
    if not is_immune:
        time.sleep(1)
    os.close(terminal)
    process.wait(240)
    if is_immune:
        assert process.returncode == 0
    else:
        assert process.returncode == 129
        assert (tmp_path / "run" / "checkpoints" / "checkpoint").exists()
        assert finish(command, how=fork)[0] == 0
    assert_same_run(tmp_path / "run", finished_run)
    what = "goes on to its end" if is_immune else "saved, and ends the same later"
    held(f"terminal closed{' under nohup' * is_immune} after {file}", 1, what)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("lines", [0, 1, 7])
def test_closed_pipe(tmp_path, digits_dir, finished_run, held, stream, lines):
    """As by `train.py | head`."""
    process = start(train_command(tmp_path / "run", digits_dir))
    pipe = getattr(process, stream)
    for _ in range(lines if stream == "stdout" else 0):
        pipe.readline()
    pipe.close()
    process.wait(240)
    assert process.returncode == 0
    assert_same_run(tmp_path / "run", finished_run)
    held(f"{stream} closed after {lines} lines", 1, "the run ends the same")
