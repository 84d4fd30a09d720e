import numpy as np
import pytest

from dcgan_tf.cli.errors import Interrupted
from dcgan_tf.config import Config
from dcgan_tf.reporting import report
from dcgan_tf.reporting.history import History
from dcgan_tf.run_directory import RunDirectory
from dcgan_tf.train_step import StepOutput, StepScalars

STEP = StepOutput(StepScalars(*np.ones(7, np.float32)), np.zeros((8, 1)), np.zeros((8, 1)))


@pytest.fixture
def drawn(monkeypatch):
    """How many frames each GIF has; nothing is really drawn."""
    counts = []
    monkeypatch.setattr(report, "ALL_DRAWN", 10)
    monkeypatch.setattr("gc.collect", lambda: None)
    monkeypatch.setattr(report, "plot_losses", lambda *_: None)
    monkeypatch.setattr(report, "save_training_gif", lambda _, frames: counts.append(len(frames)))
    return counts


def train(folder, epochs, error=None):
    """A run of epochs of one step, which may end in an error."""
    (folder / "samples").mkdir(parents=True)
    with report.Report(RunDirectory(folder), Config(), History(), 1, epochs) as shown:
        for _ in range(epochs):
            shown.add(STEP)
            with shown.pause():
                shown.end_epoch(np.zeros((16, 4, 4, 1), np.float32), [])
        if error:
            raise error


def test_drawing_takes_no_greater_part_of_a_longer_run(tmp_path, drawn):
    train(tmp_path / "run", 9)
    assert drawn == list(range(1, 10))
    drawn.clear()
    train(tmp_path / "longer", 41)
    assert drawn[-1] == 41 and sum(drawn) < 10 * 41


def test_what_is_not_drawn_yet_is_drawn_at_the_end(tmp_path, drawn):
    with pytest.raises(Interrupted):
        train(tmp_path / "stopped", 11, Interrupted(15, "saved"))
    assert drawn[-2:] == [10, 11]
    with pytest.raises(OSError):
        train(tmp_path / "failed", 11, OSError("no space"))
    assert drawn[-1] == 10
