"""Steps in processes of their own: what is measured, and what is said of one that breaks."""

import sys

from benchmarks import peers


def stand_in(code):
    """A peer of a few lines."""
    return [sys.executable, "-c", f"import os, signal, sys\n{code}"]


def answering(seconds, told=None):
    """A peer whose steps take some seconds, by its own account; it notes down how many it takes."""
    note = f"open({str(told)!r}, 'a').write(line)" if told else "pass"
    return stand_in(f"for line in sys.stdin: {note}; print({seconds}, flush=True)")


def test_the_others_are_measured_where_one_breaks():
    commands = {
        "ours": answering(0.75),
        "crash": stand_in("os.kill(os.getpid(), signal.SIGSEGV)"),
        "absent": stand_in("import no_such_module"),
        "late": stand_in("for _ in range(3): input(); print(1, flush=True)\nsys.exit('no more')"),
        "silent": stand_in("input(); os.kill(os.getpid(), signal.SIGALRM)"),
        "wordless": stand_in("sys.exit(3)"),
        "theirs": answering(1.5),
    }
    seconds, failures = peers.alternate(commands, 2)
    assert {name: list(found) for name, found in seconds.items()} == {
        "ours": [0.75, 0.75],
        "theirs": [1.5, 1.5],
    }
    assert failures == {
        "crash": "ended by SIGSEGV",
        "absent": "ModuleNotFoundError: No module named 'no_such_module'",
        "late": "no more",
        "silent": "no response within 300 seconds",
        "wordless": "ended with code 3",
    }


def test_a_turn_lasts_half_a_second_or_one_step(tmp_path):
    commands = {
        "quick": answering(0.125, tmp_path / "quick"),
        "slow": answering(7.0, tmp_path / "slow"),
    }
    peers.alternate(commands, 2)
    assert (tmp_path / "quick").read_text().split() == ["1", "1", "4", "4"]
    assert (tmp_path / "slow").read_text().split() == ["1", "1", "1", "1"]


def test_pytorch_is_not_beside_tensorflow(tmp_path, monkeypatch):
    """Whose process breaks where PyTorch was installed with its Triton."""
    (tmp_path / "torch.py").write_text(
        "import os, signal, sys\n"
        "if 'tensorflow' in sys.modules: os.kill(os.getpid(), signal.SIGSEGV)\n"
        "raise ImportError('alone')"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    settings = {"preset": "tutorial", "precision": "float32", "convolutions": "native"}
    way = {"precision": "float32", "channels_last": False}
    _, failures = peers.alternate({"PyTorch": peers.command("torch", settings, **way)}, 1)
    assert failures == {"PyTorch": "ImportError: alone"}
