"""Experiments start commands in the user's environment, and report failures."""

import shlex
import subprocess
import sys

import pytest

from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.settings.errors import UserError
from experiments import processes
from tests.conftest import ENVIRONMENT, ROOT

LEVEL = 'import os; print(os.environ.get("TF_CPP_MIN_LOG_LEVEL", "unset"))'


def test_an_experiment_is_quiet_and_its_commands_have_the_environment_of_a_shell():
    program = f"{LEVEL}\nfrom experiments.processes import start\nstart(['-c', {LEVEL!r}]).wait()"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    before, _, started, inside = done.stdout.splitlines()
    assert (before, inside) == ("unset", "unset") and started.startswith("$ python -c ")
    assert done.returncode == 0 and done.stderr == ""


def test_a_failed_training_is_an_error(monkeypatch, tmp_path, capfd):
    monkeypatch.chdir(ROOT)
    run = RunDirectory(tmp_path / "a run")
    with pytest.raises(UserError, match="a run: training failed, see the error above"):
        processes.train(["--epochs=0"], run)
    out, err = capfd.readouterr()
    assert out == f"\n$ python train.py --epochs=0 --run_dir '{run.path}'\n"
    assert err.startswith("train.py: --epochs must be") and err.count("\n") == 1


def test_output_goes_to_a_log(tmp_path, capfd):
    code = "import sys; print('out', flush=True); print('err', file=sys.stderr)"
    with (tmp_path / "log.txt").open("w") as log:
        assert processes.start(["-c", code], log).wait() == 0
    assert (tmp_path / "log.txt").read_text() == "out\nerr\n"
    out, err = capfd.readouterr()
    assert shlex.split(out) == ["$", "python", "-c", code] and err == ""
