import dataclasses
import itertools
import json

import pytest
import tensorflow as tf

from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.settings.config import Config
from dcgan_tf.starting import measure
from dcgan_tf.starting.measure import resolve_auto


@pytest.fixture(autouse=True)
def measured(monkeypatch, tmp_path):
    """The file of measured ratios, which does not exist yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "dcgan_tf" / "measured.json"


@pytest.fixture
def speeds(monkeypatch):
    """Replaces the trials by known ratios."""

    def set_speeds(**ratios):
        trials = {
            name: (usual, other, lambda _, name=name: ratios[name])
            for name, (usual, other, _) in measure.TRIALS.items()
        }
        monkeypatch.setattr(measure, "TRIALS", trials)

    return set_speeds


def test_what_is_much_faster_is_chosen_and_printed(speeds, tmp_path, capsys):
    speeds(precision=1.8, convolutions=1.1)
    settled = resolve_auto(Config(), RunDirectory(tmp_path))
    assert settled == Config(precision="bfloat16", convolutions="native")
    assert capsys.readouterr().out == (
        "precision      bfloat16 (bfloat16 ran at 1.8× the speed of float32 here)\n"
        "convolutions   native (subpixel ran at 1.1× the speed of native here)\n"
    )


def test_given_values_are_kept_and_not_measured(speeds, tmp_path, capsys):
    speeds(convolutions=2.0)
    settled = resolve_auto(Config(precision="float32"), RunDirectory(tmp_path))
    assert (settled.precision, settled.convolutions) == ("float32", "subpixel")
    assert "precision" not in capsys.readouterr().out
    assert resolve_auto(settled, RunDirectory(tmp_path)) is settled


def test_a_resumed_run_keeps_its_values(speeds, tmp_path, capsys):
    speeds()  # nothing can be measured
    run = RunDirectory(tmp_path)
    begun = Config(precision="float32", convolutions="subpixel", epochs=3)
    run.write_config(begun, {"number": 1, "shape": [28, 28, 1], "sha256": ""})
    assert resolve_auto(Config(epochs=5), run) == dataclasses.replace(begun, epochs=5)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"precision      {begun.precision} (as when the run began)",
        f"convolutions   {begun.convolutions} (as when the run began)",
    ]
    assert resolve_auto(Config(precision="bfloat16"), run).precision == "bfloat16"
    assert capsys.readouterr().out.splitlines() == lines[1:]


def test_ratio_is_the_median_of_tries_in_turn(monkeypatch):
    # The first try of each is not counted: it traces. One in the middle of which another program
    # began weighs no more than the others.
    monkeypatch.setattr(measure, "TRIES", 3)
    durations = iter([90, 1, 6, 3, 4, 9, 500, 5])
    clock = itertools.accumulate(
        itertools.chain.from_iterable((1, duration) for duration in durations)
    )
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(clock))
    assert measure.ratio(lambda: tf.zeros([]), lambda: tf.zeros([])) == 6 / 3


@pytest.mark.thorough
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_both_trials_run_here(precision):
    for _, _, trial in measure.TRIALS.values():
        assert 0.001 < trial(Config(precision=precision)) < 1000


def test_convolutions_are_measured_in_the_chosen_precision(monkeypatch, tmp_path):
    asked = []
    trials = {
        "precision": ("float32", "bfloat16", lambda _: 2.0),
        "convolutions": ("native", "subpixel", lambda config: asked.append(config.precision) or 1),
    }
    monkeypatch.setattr(measure, "TRIALS", trials)
    resolve_auto(Config(), RunDirectory(tmp_path))
    assert asked == ["bfloat16"]


def test_the_same_command_chooses_the_same_although_timings_vary(speeds, tmp_path, capsys):
    speeds(precision=1.16, convolutions=1.1)
    first = resolve_auto(Config(), RunDirectory(tmp_path / "first"))
    capsys.readouterr()
    speeds(precision=1.14, convolutions=1.2)
    assert resolve_auto(Config(), RunDirectory(tmp_path / "second")) == first
    before = "measured on this processor before"
    assert capsys.readouterr().out == (
        f"precision      bfloat16 (bfloat16 ran at 1.2× the speed of float32, {before})\n"
        f"convolutions   native (subpixel ran at 1.1× the speed of native, {before})\n"
    )


def test_each_precision_has_its_own_measurement_of_convolutions(speeds, tmp_path):
    for precision, ratio, taken in (("float32", 1.0, "native"), ("bfloat16", 2.0, "subpixel")):
        speeds(convolutions=ratio)
        for _ in range(2):
            config = resolve_auto(Config(precision=precision), RunDirectory(tmp_path))
            assert config.convolutions == taken
            speeds()  # nothing can be measured


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"x": "fast"}', '{"x": NaN, "y": -1}', "\udcff", "[[1, 2]]"]
)
def test_unreadable_ratios_are_measured_again(speeds, measured, tmp_path, text):
    speeds(precision=1.0, convolutions=1.0)
    resolve_auto(Config(), RunDirectory(tmp_path))
    assert len(json.loads(measured.read_text())) == 2
    measured.write_bytes(text.encode(errors="surrogateescape"))
    speeds(precision=2.0, convolutions=2.0)
    config = resolve_auto(Config(), RunDirectory(tmp_path))
    assert (config.precision, config.convolutions) == ("bfloat16", "subpixel")
    speeds()
    assert resolve_auto(Config(), RunDirectory(tmp_path)) == config


def test_another_machine_has_its_own_measurement(speeds, measured, monkeypatch, tmp_path):
    speeds(precision=1.0, convolutions=1.0)
    resolve_auto(Config(), RunDirectory(tmp_path))
    changes = [
        (measure, "CPU_INFO", tmp_path / "another_processor"),
        (measure.os, "sched_getaffinity", lambda _: range(999)),
        (measure.tf, "__version__", "9.9"),
        (measure, "device_name", lambda: "a GPU"),
        (measure, "cpu_kernels", lambda: "another's"),
    ]
    (tmp_path / "another_processor").write_text("model name\t: another\nflags\t\t: sse\n\n")
    for count, change in enumerate(changes, start=2):
        with monkeypatch.context() as patch:
            patch.setattr(*change)
            for _ in range(2):
                resolve_auto(Config(), RunDirectory(tmp_path))
        assert len(json.loads(measured.read_text())) == 2 * count


def test_processors_with_one_name_differ_by_their_instructions(monkeypatch, tmp_path):
    found = set()
    for flags in ("sse avx2", "sse avx2 avx512_bf16"):
        (tmp_path / "cpuinfo").write_text(f"model name\t: EPYC\ncpu MHz\t\t: 1\nflags\t: {flags}\n")
        monkeypatch.setattr(measure, "CPU_INFO", tmp_path / "cpuinfo")
        found.add(measure.machine())
    text = (tmp_path / "cpuinfo").read_text()
    (tmp_path / "cpuinfo").write_text(text.replace("MHz\t\t: 1", "MHz\t\t: 2"))
    assert measure.machine() in found and len(found) == 2


def test_without_a_cache_folder_it_is_measured_every_time(speeds, monkeypatch, tmp_path, caplog):
    def full(path):
        raise OSError(28, "No space left on device", str(path))

    asked = []
    trial = ("float32", "bfloat16", lambda _: asked.append(1) or 2.0)
    monkeypatch.setattr(measure, "TRIALS", {"precision": trial})
    monkeypatch.setattr(measure, "atomic_write", full)
    assert resolve_auto(Config(), RunDirectory(tmp_path)).precision == "bfloat16"
    assert len(asked) == 1 and "No space left" in caplog.text


def test_only_the_chief_of_several_workers_measures(monkeypatch, tmp_path):
    monkeypatch.setattr(measure, "is_chief", lambda: False)
    answers = iter([2.0, 1.0])
    monkeypatch.setattr(measure, "broadcast", lambda mine: next(answers) if mine == 0 else None)
    trial = ("float32", "bfloat16", lambda _: pytest.fail("measured by another than the chief"))
    monkeypatch.setattr(measure, "TRIALS", {"precision": trial})
    assert resolve_auto(Config(), RunDirectory(tmp_path)).precision == "bfloat16"
