import csv
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.evaluation.scores import Evaluation
from dcgan_tf.reporting import report
from dcgan_tf.reporting.history import History
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.run.schedule import Schedule
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import Interrupted
from dcgan_tf.train_step import StepOutput, StepScalars

STEP = StepOutput(StepScalars(*np.ones(7, np.float32)), np.zeros((8, 1)), np.zeros((8, 1)))

SCORES = {"frechet_distance": 1.0, "frechet_baseline": 0.5}
EPOCH_SECONDS, FRAME_SECONDS = 1.0, 0.01


def of(steps_per_epoch, last_step):
    """A schedule in which each epoch is reported."""
    return Schedule(steps_per_epoch, last_step, steps_per_epoch, 0, 0)


@pytest.fixture
def clock(monkeypatch):
    """A clock that only epochs and drawn frames advance."""
    passed = [1000.0]
    monkeypatch.setattr(report, "time", SimpleNamespace(perf_counter=lambda: passed[0]))
    return passed


@pytest.fixture
def drawn(monkeypatch, clock):
    """The number of frames of each GIF; nothing is really drawn."""
    counts = []

    def draw(_, frames):
        counts.append(len(frames))
        clock[0] += FRAME_SECONDS * len(frames)

    monkeypatch.setattr("gc.collect", lambda: None)
    monkeypatch.setattr(report, "plot_losses", lambda *_: None)
    monkeypatch.setattr(report, "save_training_gif", draw)
    return counts


def train(clock, folder, epochs, error=None, epoch_seconds=EPOCH_SECONDS):
    """A run of epochs of one step, which may end in an error."""
    (folder / "samples").mkdir(parents=True)
    with report.Report(RunDirectory(folder), Config(), History(), of(1, epochs)) as shown:
        for _ in range(epochs):
            clock[0] += epoch_seconds
            shown.add(STEP)
            with shown.pause():
                shown.end_epoch(np.zeros((16, 4, 4, 1), np.float32), [], {})
                shown.draw_if_due()
        if error:
            raise error


def test_settings_that_adapt_are_in_tensorboard(tmp_path, clock, drawn):
    (tmp_path / "samples").mkdir()
    run = RunDirectory(tmp_path)
    with report.Report(run, Config(), History(), of(1, 1)) as shown:
        shown.add(STEP)
        shown.end_epoch(np.zeros((16, 4, 4, 1), np.float32), [], {"augment_probability": 0.25})
    (value,) = [
        float(tf.make_ndarray(value.tensor))
        for path in run.events.iterdir()
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
        if value.tag == "epoch/augment_probability"
    ]
    assert value == 0.25


def test_table_has_all_epochs_and_writes_integers_as_such(tmp_path):
    """Each row is formatted once; a later evaluation of the last is still in it."""
    (tmp_path / "samples").mkdir()
    with report.Report(
        RunDirectory(tmp_path), Config(), History(), of(1_000_001, 2_000_002)
    ) as shown:
        shown.draw = lambda: None
        times = np.ones((1_000_001, 7))
        for epoch in (1, 2):
            shown.history.append(epoch * times, 1.0, 1.0)
            shown.step += len(times)
            shown.write_table()
        first, second = read_table(tmp_path)
        assert [first["step"], second["step"]] == ["1000001", "2000002"]
        assert [first["gen_loss"], second["gen_loss"]] == ["1", "2"]
        shown.history.evaluations.append(Evaluation(2_000_002, {"frechet_distance": 3.5}))
        shown.write_table()
    assert [row["frechet_distance"] for row in read_table(tmp_path)] == ["", "3.5"]


def read_table(folder):
    with (folder / "metrics.csv").open() as file:
        return [*csv.DictReader(file)]


@pytest.mark.thorough
def test_drawing_takes_a_twentieth_of_the_time(tmp_path, clock, drawn):
    train(clock, tmp_path / "longer", 400)
    assert drawn[-1] == 400
    # But for the last one, after which no epoch comes.
    assert 0.03 < FRAME_SECONDS * sum(drawn[:-1]) / (400 * EPOCH_SECONDS) < 0.05
    drawn.clear()
    train(clock, tmp_path / "run", 5, epoch_seconds=20.0)
    assert drawn == [1, 2, 3, 4, 5]


def test_a_run_of_seconds_is_drawn_only_at_its_end(tmp_path, clock, drawn):
    train(clock, tmp_path / "run", 9)
    assert drawn == [9]


def test_what_is_not_drawn_yet_is_drawn_at_the_end(tmp_path, clock, drawn):
    with pytest.raises(Interrupted):
        train(clock, tmp_path / "stopped", 30, Interrupted(15, "saved"))
    assert drawn[-2] < 30 == drawn[-1]
    with pytest.raises(OSError):
        train(clock, tmp_path / "failed", 30, OSError("no space"))
    assert drawn[-1] < 30


def test_the_newest_grid_is_shown_once_a_minute_and_after_each_epoch(tmp_path, clock, drawn):
    run = RunDirectory(tmp_path)
    run.samples.mkdir()
    gray, white = (np.full((16, 4, 4, 1), value, np.float32) for value in (0, 1))
    with report.Report(run, Config(), History(), of(100, 100)) as shown:
        clock[0] += 59
        assert not shown.preview_is_due
        clock[0] += 2
        assert shown.preview_is_due
        shown.show(gray)
        assert not shown.preview_is_due
        first = run.latest_grid.read_bytes()
        shown.add(STEP)
        with shown.pause():
            clock[0] += 61
            shown.end_epoch(white, [], {})
        assert not shown.preview_is_due
    assert first != run.latest_grid.read_bytes() == run.frame(1).read_bytes()


def test_the_time_left_includes_the_time_between_steps(tmp_path, clock, drawn, capsys):
    """Each line covers the seconds since the one before."""
    (tmp_path / "samples").mkdir()
    with report.Report(RunDirectory(tmp_path), Config(), History(), of(1, 100)) as shown:
        for step in range(12):
            clock[0] += 2
            shown.add(STEP)
            clock[0] += 1  # of an evaluation, say
            with shown.pause():
                if step % 4 == 3:
                    shown.end_steps()
    lines = lines_of(capsys)
    # Steps 1 to 4, the last collected after 2 of its 3 seconds; then 3 seconds a step.
    assert [line.split("took ")[1] for line in lines] == [
        "00:11  left 04:48",
        "00:12  left 04:36",
        "00:12  left 04:24",
    ]


def lines_of(capsys):
    return [line for line in capsys.readouterr().out.splitlines() if "left" in line]


def test_epochs_within_ten_seconds_share_a_line(tmp_path, clock, drawn, capsys):
    """Epochs have one step, and its loss is its index. A line has the mean over its epochs."""
    train(clock, tmp_path / "long", 4, epoch_seconds=11)
    assert len(lines_of(capsys)) == 4
    (tmp_path / "short" / "samples").mkdir(parents=True)
    history = History()
    with report.Report(RunDirectory(tmp_path / "short"), Config(), history, of(1, 26)) as shown:
        for step in range(1, 27):
            clock[0] += 1
            scalars = STEP.scalars._replace(gen_loss=np.float32(step))
            shown.add(STEP._replace(scalars=scalars))
            with shown.pause():
                if step == 15:
                    history.evaluations.append(Evaluation(15, SCORES))
                shown.end_epoch(np.zeros((16, 4, 4, 1), np.float32), [], {})
    lines = [
        (line.split()[3], line.split()[5], line.split("took ")[1]) for line in lines_of(capsys)
    ]
    # The first epoch, ten seconds after it, one that is evaluated, and the last.
    assert [(step, loss) for step, loss, _ in lines] == [
        ("1", "1.0000"),
        ("11", "6.5000"),
        ("15", "13.5000"),
        ("25", "20.5000"),
        ("26", "26.0000"),
    ]
    assert [time.split()[0] for *_, time in lines] == ["00:01", "00:10", "00:04", "00:10", "00:01"]


def test_an_evaluation_before_the_first_step_has_a_line(tmp_path, clock, drawn, capsys):
    """A signal stopped the run before its first step."""
    (tmp_path / "samples").mkdir()
    history = History()
    history.append(np.ones((6, 7)), 1.0, 6.0)
    history.evaluations.append(Evaluation(6, SCORES))
    shown = report.Report(RunDirectory(tmp_path), Config(), history, of(3, 12))
    with shown, shown.pause():
        shown.end_evaluation()
    (line,) = lines_of(capsys)
    assert line.startswith("epoch 2/4  step 6  gen_loss 1.0000") and "took 00:03" in line
