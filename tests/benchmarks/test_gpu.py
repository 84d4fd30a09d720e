"""The table of a new card: with stand-ins for what it times, and as a whole, on the processor."""

import subprocess
import sys

import pytest

from benchmarks import gpu
from benchmarks.time_to_quality import Measurement
from tests.conftest import ENVIRONMENT, ROOT

SECONDS = {"tutorial": 0.75, "dcgan_tf": 0.5}


def stand_in(peer, settings, **_):
    """A peer that breaks where the step is compiled, and is twice as fast in bfloat16."""
    if settings.get("jit_compile"):
        return [sys.executable, "-c", "import sys; sys.exit('no XLA here')"]
    seconds = SECONDS[peer] / (2 if settings["precision"] == "bfloat16" else 1)
    code = f"import sys\nfor line in sys.stdin: print({seconds}, flush=True)"
    return [sys.executable, "-c", code]


def run_benchmark(monkeypatch, path, cards):
    """Its table, where there are so many cards and `resolve_auto` settles for float32."""
    flags = ["--small", "--rounds=1", f"--output={path}"]
    monkeypatch.setattr(sys, "argv", ["gpu.py", *flags])
    monkeypatch.setattr(gpu, "command", stand_in)
    monkeypatch.setattr(gpu, "overhead", lambda settings: "+0.50%")
    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr("dcgan_tf.starting.measure.ratio", lambda *_: 1.0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(path.parent / "cache"))
    monkeypatch.setattr(gpu.tf.config, "list_physical_devices", lambda kind: [None] * cards)
    monkeypatch.setattr(gpu.tf.config.experimental, "set_memory_growth", lambda *_: None)
    gpu.main()
    return path.read_text().splitlines()


def test_table(monkeypatch, tmp_path):
    points = [Measurement(9, 0.5, 0, 0, 12.345), Measurement(20, 1.0, 0, 0, 6.789)]
    monkeypatch.setattr(gpu, "compare", lambda runs, *_: ({(runs[0], 0): points}, 0.04))
    lines = run_benchmark(monkeypatch, tmp_path / "gpu.md", 2)
    # 8 images in half a second; the ratio has its quartiles, which are those of one round.
    for line in (
        "| precision | default | 500.00 | 16 | 1.000 (1.000–1.000) |",
        "| precision | --precision bfloat16 | 250.00 | 32 | 2.000 (2.000–2.000) |",
        "| others | the tutorial's step, float32 | 750.00 | 11 | 0.667 (0.667–0.667) |",
        "| replicas | 2 replicas, each with a batch | 500.00 | 32 | 2.000 (2.000–2.000) |",
        "Overhead of the training loop over the bare step: +0.50%.",
        "| 0.50 | 9 | 12.35 |",
        "| | real images | 0.04 |",
    ):
        assert line in lines
    broken = [line for line in lines if "not measured: no XLA here" in line]
    assert len(broken) == 3 and len([line for line in lines if "| default |" in line]) == 6


def test_what_breaks_ends_nothing(monkeypatch, tmp_path):
    def compare(*_):
        raise MemoryError("the card is full\nand more")

    monkeypatch.setattr(gpu, "compare", compare)
    lines = run_benchmark(monkeypatch, tmp_path / "gpu.md", 1)
    assert lines[-1] == "not measured: the card is full"
    assert not any("replicas" in line for line in lines)


@pytest.mark.long
def test_every_path_runs_on_the_processor(tmp_path):
    flags = ["--small", "--rounds=1", f"--output={tmp_path / 'gpu.md'}"]
    command = [sys.executable, "-m", "benchmarks.gpu", *flags]
    subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=True, capture_output=True)
    table = (tmp_path / "gpu.md").read_text()
    failures = [line for line in table.splitlines() if "not measured" in line]
    assert all("PyTorch" in line for line in failures), failures
    for title in (*gpu.VARIED, "others", "replicas", "real images"):
        assert f"{title} |" in table
    assert "Overhead of the training loop" in table
