"""Every benchmark and experiment says what it takes, without TensorFlow's messages around it."""

import importlib.util
import subprocess
import sys

import pytest

from tests.conftest import ENVIRONMENT, ROOT

PROGRAMS = [
    f"{folder}.{path.stem}"
    for folder in ("benchmarks", "experiments")
    for path in sorted((ROOT / folder).glob("*.py"))
    if "__main__" in path.read_text()
    and ("import torch" not in path.read_text() or importlib.util.find_spec("torch"))
]


@pytest.mark.long
@pytest.mark.parametrize("program", PROGRAMS)
def test_help_is_all_that_is_printed(program):
    command = [sys.executable, "-m", program, "--help"]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
    assert "usage: " in done.stdout
