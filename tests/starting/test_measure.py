import dataclasses
import itertools

import pytest
import tensorflow as tf

from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.settings.config import Config
from dcgan_tf.starting import measure
from dcgan_tf.starting.measure import resolve_auto


@pytest.fixture
def speeds(monkeypatch):
    """Devices of which the ratios are known."""

    def set_speeds(**ratios):
        trials = {
            name: (usual, other, lambda _, name=name: ratios[name])
            for name, (usual, other, _) in measure.TRIALS.items()
        }
        monkeypatch.setattr(measure, "TRIALS", trials)

    return set_speeds


def test_what_is_much_faster_is_taken_and_told(speeds, tmp_path, capsys):
    speeds(precision=1.8, convolutions=1.1)
    settled = resolve_auto(Config(), RunDirectory(tmp_path))
    assert settled == Config(precision="bfloat16", convolutions="native")
    assert capsys.readouterr().out == (
        "precision      bfloat16 (bfloat16 ran at 1.8× the speed of float32 here)\n"
        "convolutions   native (subpixel ran at 1.1× the speed of native here)\n"
    )


def test_what_was_given_is_kept_and_not_measured(speeds, tmp_path, capsys):
    speeds(convolutions=2.0)
    settled = resolve_auto(Config(precision="float32"), RunDirectory(tmp_path))
    assert (settled.precision, settled.convolutions) == ("float32", "subpixel")
    assert "precision" not in capsys.readouterr().out
    assert resolve_auto(settled, RunDirectory(tmp_path)) is settled


def test_a_run_goes_on_as_it_began(speeds, tmp_path, capsys):
    speeds()  # nothing can be measured
    run = RunDirectory(tmp_path)
    begun = Config(precision="float32", convolutions="subpixel", epochs=3)
    run.write_config(begun, {"number": 1, "shape": [28, 28, 1], "sha256": ""})
    assert resolve_auto(Config(epochs=5), run) == dataclasses.replace(begun, epochs=5)
    assert resolve_auto(Config(precision="bfloat16"), run).precision == "bfloat16"
    assert capsys.readouterr().out == ""


def test_ratio_is_of_the_best_times(monkeypatch):
    # The first try of each is not counted: it traces.
    durations = iter([90, 90, 6, 3, 4, 9, 5, 2])
    clock = itertools.accumulate(
        itertools.chain.from_iterable((1, duration) for duration in durations)
    )
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(clock))
    assert measure.ratio(lambda: tf.zeros([]), lambda: tf.zeros([])) == 4 / 2


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_both_trials_run_here(precision):
    for _, _, trial in measure.TRIALS.values():
        assert 0.001 < trial(Config(precision=precision)) < 1000


def test_convolutions_are_measured_in_the_precision_that_was_settled(monkeypatch, tmp_path):
    asked = []
    trials = {
        "precision": ("float32", "bfloat16", lambda _: 2.0),
        "convolutions": ("native", "subpixel", lambda config: asked.append(config.precision) or 1),
    }
    monkeypatch.setattr(measure, "TRIALS", trials)
    resolve_auto(Config(), RunDirectory(tmp_path))
    assert asked == ["bfloat16"]
