"""Values that are NaN, clocks that jump, unusable homes."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.commands import export, sample, train
from dcgan_tf.training import Trainer
from tests.conftest import ROOT, finish, one_sentence, start, train_command
from tests.test_resume import assert_same_run, flags

pytestmark = pytest.mark.long


def injected(error, calls, *path):
    """A command under which system calls fail, or only those on a path (`-P PATH`)."""
    return ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"inject={calls}:error={error}", *path]


needs_strace = pytest.mark.skipif(
    not shutil.which("strace") or subprocess.run([*injected("EIO", "flock"), "true"]).returncode,
    reason="strace is not installed, or not allowed here",
)


@pytest.mark.parametrize(
    "step, value", [(1, np.nan), (4, np.nan), (5, np.nan), (6, np.inf), (12, np.nan)]
)
def test_a_weight_that_is_not_a_number(
    run_main, finished_run, digits_dir, tmp_path, monkeypatch, held, step, value
):
    restore = Trainer.restore

    def restore_and_break(self, run):
        whole_step = self.train_step

        def broken_step(images):
            output = whole_step(images)
            if self.step == step:
                self.gan.discriminator.layers[0].kernel[0, 0].assign(value)
            return output

        self.train_step = broken_step
        return restore(self, run)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "restore", restore_and_break)
        code, _, err = run_main(train, *flags(tmp_path / "run", digits_dir))
    good = (step - 1) // 2 * 2
    last = f"ckpt-{good})" if good else "checkpoint: none)"
    assert code == 1 and last in err and one_sentence(err)
    named = re.search(r"step (\d+) (has|left)", err)
    assert int(named[1]) in (step, step + 1)
    code, out, _ = run_main(train, *flags(tmp_path / "run", digits_dir))
    assert code == 0 and (f"resumed after step {good}" if good else "from the start") in out
    assert_same_run(tmp_path / "run", finished_run)
    held(f"a weight {value} after step {step}", 1, "stopped there, last good checkpoint kept")


@pytest.mark.parametrize("rate", ["1e38", "1e30", "1e20", "1e10"])
def test_exploding_rate(run_main, digits_dir, tmp_path, held, rate):
    code, _, err = run_main(train, *flags(tmp_path / "run", digits_dir, f"--learning_rate={rate}"))
    newest = tf.train.latest_checkpoint(str(tmp_path / "run" / "checkpoints"))
    assert code == 1 and "lower --learning_rate" in err and one_sentence(err)
    assert (newest or "none") in err
    held(f"a learning rate of {rate}", 1, err.split(", and was")[0].removeprefix("train.py: "))


JUMPING_CLOCK = """
import itertools, runpy, sys, time
real, jumps = time.time, itertools.cycle([0, 3, -2, 400, -400, 0.5])
time.time = lambda: real() + 86400 * next(jumps)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_clock_that_jumps_by_days(tmp_path, digits_dir, finished_run, held):
    command = train_command(tmp_path / "run", digits_dir)
    code, _, err = finish([command[0], "-c", JUMPING_CLOCK, *command[1:]])
    assert code == 0 and err == ""
    assert_same_run(tmp_path / "run", finished_run)
    held("a clock that jumps by days at each look", 1, "the run ends the same")


@pytest.mark.parametrize("days", [-2, 2])
def test_clock_that_jumps_between_two_parts_of_a_run(
    run_main, tmp_path, digits_dir, finished_run, held, days
):
    """The first part is two days older, or newer: files of events carry the time in their names."""
    arguments = flags(tmp_path / "run", digits_dir)
    assert run_main(train, *arguments, "--max_steps=7")[0] == 0
    (path,) = (tmp_path / "run" / "tensorboard").iterdir()
    parts = path.name.split(".")
    parts[3] = str(int(parts[3]) + days * 86400)
    path.rename(path.with_name(".".join(parts)))
    assert run_main(train, *arguments)[0] == 0
    assert_same_run(tmp_path / "run", finished_run)
    ahead = "back" if days > 0 else "ahead"
    held(f"a clock set two days {ahead} between two parts", 1, "the run ends the same")


@needs_strace
def test_file_system_without_locks(tmp_path, digits_dir, finished_run, held):
    command = train_command(tmp_path / "run", digits_dir)
    code, _, err = finish([*injected("ENOLCK", "flock"), *command])
    assert code == 0 and "can't be locked on its file system" in err and one_sentence(err)
    assert_same_run(tmp_path / "run", finished_run)
    held("a file system without locks", 1, "a warning; the run ends the same")


@needs_strace
@pytest.mark.parametrize(
    "name", [".config.json.part", ".metrics.csv.part", "checkpoints/unfinished/ckpt-2.index"]
)
def test_quota_that_is_full(run_main, tmp_path, digits_dir, finished_run, held, name):
    path = tmp_path / "run" / name
    command = train_command(tmp_path / "run", digits_dir)
    code, _, err = finish([*injected("EDQUOT", "write,writev,pwrite64", "-P", path), *command])
    assert code == 1 and "Disk quota exceeded" in err and one_sentence(err)
    assert run_main(train, *flags(tmp_path / "run", digits_dir))[0] == 0
    assert_same_run(tmp_path / "run", finished_run)
    held(f"a quota that is full as {path.name} is written", 1, "a sentence; identical when resumed")


def test_names_of_every_kind(run_main, tmp_path, digits_dir, finished_run, held):
    """Spaces, quotes, a newline, letters of other scripts, and what shells and formats expand."""
    folder = tmp_path / "a b \"q\" 's' $x;é日本\nline*?{1}%s#&"
    shutil.copytree(digits_dir, folder / folder.name)
    run_dir = folder / "run" / folder.name
    assert run_main(train, *flags(run_dir, folder / folder.name))[0] == 0
    assert_same_run(run_dir, finished_run)
    for command, ending in ((sample, "png"), (export, "keras")):
        output = folder / f"{folder.name}.{ending}"
        code, _, err = run_main(command, "--run_dir", run_dir, "--output", output)
        assert code == 0 and output.exists(), err
    held("names of every kind", 3, "train, sample and export take them")


@pytest.mark.parametrize("home", ["unset", "absent", "read-only", "a file"])
def test_an_unusable_home(tmp_path, digits_dir, finished_run, held, home):
    names = {"absent": tmp_path / "absent", "read-only": Path("/proc"), "a file": ROOT / "train.py"}
    environment = {"HOME": str(names[home])} if home in names else {}
    command = train_command(tmp_path / "run", digits_dir)
    if home == "unset":
        command = ["env", "-u", "HOME", *command]
    process = start(command, **environment)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0 and err == ""
    assert_same_run(tmp_path / "run", finished_run)
    held(f"HOME {home}", 1, "the run ends the same")
