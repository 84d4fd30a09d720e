import io
import sys

import numpy as np
import pytest

from dcgan_tf.evaluation.scores import Evaluation
from dcgan_tf.reporting.history import EpochMetrics
from dcgan_tf.reporting.progress import Progress, duration, speed
from dcgan_tf.train_step import StepScalars


class Terminal(io.StringIO):
    def isatty(self):
        return True


PACE = 0.5  # seconds a step
UNKNOWN = float("nan")


def row(step):
    return EpochMetrics(2, step, StepScalars(0.8, 1.2, 0.6, 0.4, 1.0, 1.0, 0.9), 100.0, 9.0)


def test_bar_shows_the_time_left_for_the_epoch_and_the_run(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", Terminal())
    for name in ("COLUMNS", "LINES"):  # readline sets them, and the bar would be cut
        monkeypatch.delenv(name, raising=False)
    progress = Progress(steps_per_epoch=10, last_step=50)
    progress.update(row(14), PACE, seconds=9)
    shown = sys.stderr.getvalue()
    # Half a second a step: 6 steps of the epoch are left, and 36 of the run.
    for part in ("epoch 2/5", "4/10", "gen_loss 0.800", "disc_loss 1.200", "100 images/s"):
        assert part in shown
    assert "left: 00:03, run 00:18" in shown
    progress.end_epoch(row(20), PACE)
    assert capsys.readouterr().out.startswith("epoch 2/5  step 20  gen_loss 0.8000")


def test_the_duration_of_the_run_is_printed_after_its_first_seconds(capsys):
    progress = Progress(10, last_step=10_000, faster_hint="try fast")
    progress.update(row(12), PACE, seconds=9)
    progress.update(row(14), UNKNOWN, seconds=16)
    assert capsys.readouterr().out == ""
    for _ in range(2):
        progress.update(row(14), PACE, seconds=16)  # 9,986 steps are left
    assert capsys.readouterr().out == "time           about 1:23:13 to step 10000; try fast\n"


@pytest.mark.parametrize(
    "last_step, printed", [(133, ""), (140, "time           about 01:03 to step 140\n")]
)
def test_a_short_run_has_no_hint(capsys, last_step, printed):
    Progress(10, last_step, faster_hint="try fast").update(row(14), PACE, seconds=16)
    assert capsys.readouterr().out == printed


def test_a_run_that_stops_within_an_epoch_says_where(capsys):
    Progress(10, last_step=50).end_epoch(row(14), PACE)
    line = capsys.readouterr().out
    assert line.startswith("stopped in epoch 2 at step 4 of 10  gen_loss 0.8000")
    assert line.endswith("took 00:09  left 00:18\n")


def test_without_a_terminal_an_epoch_is_one_plain_line(capsys):
    progress = Progress(steps_per_epoch=10, last_step=50)
    progress.update(row(14), PACE, seconds=9)
    progress.end_epoch(row(20), PACE)
    captured = capsys.readouterr()
    assert captured.err == "" and captured.out.count("\n") == 1 and "\r" not in captured.out


def test_no_time_is_left_at_the_end_even_if_the_speed_is_unknown(capsys):
    progress = Progress(steps_per_epoch=10, last_step=1)
    progress.end_epoch(row(1)._replace(images_per_second=UNKNOWN), UNKNOWN)
    assert capsys.readouterr().out.endswith("? images/s  took 00:09  left 00:00\n")


def test_an_evaluation_has_a_line_of_its_own(capsys):
    progress = Progress(steps_per_epoch=10, last_step=50)
    values = {
        "frechet_distance": 12.3456,
        "frechet_baseline": 1.5,
        "precision": 0.5,
        "recall": 0.25,
    }
    few = {"classes_missed": 1, "class_distribution": np.array([0.0, 0.25, 0.75])}
    many = {"classes_missed": 900, "class_distribution": np.repeat([0.0, 0.01], [900, 100])}
    progress.end_epoch(row(20), PACE, Evaluation(20, values | few))
    assert capsys.readouterr().out.splitlines()[1] == (
        "  Fréchet distance 12.346 (real images 1.500)  precision 0.500  recall 0.250  "
        "classes missed 1  class distribution 0 25 75 %"
    )
    progress.end_epoch(row(20), PACE, Evaluation(20, values | many))
    assert capsys.readouterr().out.endswith("recall 0.250  classes missed 900\n")
    progress.end_epoch(row(20), PACE, Evaluation(20, values, "two_toys"))
    assert capsys.readouterr().out.splitlines()[1] == (
        "  by two toys: Fréchet distance 12.346 (real images 1.500)  precision 0.500  recall 0.250"
    )


def test_durations():
    assert [duration(x) for x in (5.4, 65, 3600, float("nan"))] == [
        "00:05",
        "01:05",
        "1:00:00",
        "?",
    ]


def test_speed():
    assert [speed(99.6), speed(float("nan"))] == ["100 images/s", "? images/s"]
