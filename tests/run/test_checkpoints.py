import contextlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.reporting.history import History
from dcgan_tf.run.checkpoints import Checkpoints
from dcgan_tf.settings.errors import UserError


def make_state(value):
    variable = tf.Variable(np.full(1000, value, np.float32))
    return variable, tf.train.Checkpoint(variable=variable)


@pytest.fixture
def saved(tmp_path):
    """Checkpoints of steps 10, 20 and 30, each holding its step."""
    variable, state = make_state(0)
    checkpoints = Checkpoints(tmp_path / "checkpoints", state)
    for step in (10, 20, 30):
        variable.assign(tf.fill([1000], float(step)))
        checkpoints.save(step)
    return checkpoints, variable


def test_the_newest_checkpoint_is_restored_or_one_by_its_step(saved):
    checkpoints, variable = saved
    assert checkpoints.restore() == 30 and variable[0] == 30
    assert checkpoints.restore(20) == 20 and variable[0] == 20
    with pytest.raises(UserError, match="no checkpoint of step 15; available: 10, 20, 30"):
        checkpoints.restore(15)


def test_nothing_to_restore(tmp_path):
    assert Checkpoints(tmp_path, make_state(0)[1]).restore() is None


def test_three_are_kept_and_tensorflow_finds_the_newest(saved):
    checkpoints, _ = saved
    checkpoints.save(40)
    assert checkpoints.steps() == [20, 30, 40]
    assert sorted(path.name for path in checkpoints.directory.iterdir()) == sorted(
        ["checkpoint"]
        + [f"ckpt-{n}.{part}" for n in (20, 30, 40) for part in ("index", "data-00000-of-00001")]
    )
    latest = tf.train.latest_checkpoint(str(checkpoints.directory))
    assert latest == str(checkpoints.directory / "ckpt-40")


def test_the_best_is_kept_beside_the_newest_three(saved):
    checkpoints, variable = saved
    with pytest.raises(UserError, match="no best checkpoint"):
        checkpoints.step_of("best")
    for step in (40, 50, 60):
        variable.assign(tf.fill([1000], float(step)))
        checkpoints.save(step, by_quality=[5, 20, 40, 30])  # that of step 5 is gone
    assert checkpoints.steps() == [20, 40, 50, 60]
    assert checkpoints.restore(checkpoints.step_of("best")) == 20 and variable[0] == 20
    checkpoints.save(70, by_quality=[70, 20])
    assert checkpoints.steps() == [50, 60, 70] and checkpoints.step_of("best") == 70


def test_names_of_checkpoints(saved):
    checkpoints, _ = saved
    assert checkpoints.step_of(None) is None and checkpoints.step_of("20") == 20
    for name in ("last", "-1", "1.5", "", "²", "٣", "1_0", "007", "9" * 5000):
        with pytest.raises(UserError, match="step of a checkpoint or best, not"):
            checkpoints.step_of(name)


@pytest.mark.parametrize("name", ["²", "٣", "007", "9" * 200, "x", ""])
def test_files_of_other_names_are_not_checkpoints(saved, name):
    checkpoints, _ = saved
    (checkpoints.directory / f"ckpt-{name}.index").touch()
    assert checkpoints.steps() == checkpoints.steps("*") == [10, 20, 30]
    assert checkpoints.restore() == 30


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 16
    path.write_bytes(content)


def swap(path):
    """Replaces a file with another checkpoint's."""
    path.write_bytes(path.with_name(path.name.replace("30", "10")).read_bytes())


@pytest.mark.parametrize("part", ["index", "data-00000-of-00001"])
@pytest.mark.parametrize("damage", [truncate, flip, lambda path: path.write_bytes(b"")])
def test_the_one_before_a_damaged_newest_is_used_with_a_warning(saved, caplog, part, damage):
    checkpoints, variable = saved
    damage(checkpoints.directory / f"ckpt-30.{part}")
    assert checkpoints.restore() == 20 and variable[0] == 20
    assert "ckpt-30 is damaged" in caplog.text
    with pytest.raises(UserError, match="no intact checkpoint of step 30"):
        checkpoints.restore(30)


def test_data_of_another_checkpoint_is_detected(saved, caplog):
    checkpoints, variable = saved
    swap(checkpoints.directory / "ckpt-30.data-00000-of-00001")
    assert checkpoints.restore() == 20 and variable[0] == 20
    assert "ckpt-30 is damaged" in caplog.text


@pytest.mark.parametrize("part", ["index", "data-00000-of-00001"])
def test_a_missing_file_is_detected(saved, caplog, part):
    checkpoints, _ = saved
    (checkpoints.directory / f"ckpt-30.{part}").unlink()
    assert checkpoints.restore() == 20
    assert "ckpt-30 is damaged" in caplog.text


def test_a_checkpoint_that_is_being_saved_is_not_called_damaged(saved, caplog):
    checkpoints, _ = saved
    data = checkpoints.directory / "ckpt-30.data-00000-of-00001"
    data.with_name(data.name.replace("30", "40")).write_bytes(data.read_bytes())
    assert checkpoints.restore() == 30 and not caplog.text


def test_crash_within_the_first_save_is_a_fresh_start(saved):
    checkpoints, _ = saved
    for path in checkpoints.directory.glob("*.index"):
        path.unlink()
    with pytest.raises(UserError, match="no intact checkpoint"):
        checkpoints.restore()
    (checkpoints.directory / "checkpoint").unlink()  # which the first save to succeed writes
    assert checkpoints.restore() is None
    checkpoints.set_aside_after(0)
    assert not list(checkpoints.directory.glob("ckpt-*"))


def test_all_damaged_is_an_error_and_not_a_fresh_start(saved):
    checkpoints, _ = saved
    for path in checkpoints.directory.glob("*.data*"):
        truncate(path)
    with pytest.raises(UserError, match="no intact checkpoint"):
        checkpoints.restore()


def test_checkpoint_of_other_variables_is_not_used(saved, caplog):
    checkpoints, _ = saved
    other = tf.train.Checkpoint(another=tf.Variable(1.0))
    with pytest.raises(UserError, match="no intact checkpoint"):
        Checkpoints(checkpoints.directory, other).restore()
    assert "ckpt-30 is damaged, or belongs to other models" in caplog.text


def test_what_a_crash_left_of_the_last_save_is_deleted(saved):
    checkpoints, _ = saved
    before = {*checkpoints.directory.iterdir()}
    (checkpoints.directory / "unfinished").mkdir()
    for name in ("unfinished/ckpt-40.index", ".best.part"):
        (checkpoints.directory / name).write_bytes(b"half")
    checkpoints.set_aside_after(30)
    assert {*checkpoints.directory.iterdir()} == before


def test_damaged_checkpoints_are_set_aside_and_not_counted(saved):
    checkpoints, _ = saved
    checkpoints.set_aside_after(20)
    assert checkpoints.steps() == [10, 20]
    assert len(list((checkpoints.directory / "damaged").iterdir())) == 2


def test_an_unfinished_save_of_a_crash_does_not_matter(saved):
    checkpoints, _ = saved
    (checkpoints.directory / "unfinished").mkdir()
    (checkpoints.directory / "unfinished" / "ckpt-40.index").write_bytes(b"half")
    (checkpoints.directory / "ckpt-50.data-00000-of-00001").write_bytes(b"half")
    assert checkpoints.restore() == 30
    checkpoints.set_aside_after(30)
    checkpoints.save(40)
    assert checkpoints.restore() == 40
    assert len(list(checkpoints.directory.glob("ckpt-*"))) == 6


class Crash(BaseException):
    """Ends a save as a kill would."""


@pytest.fixture
def crash_before_index(monkeypatch):
    """Makes a save crash after it moves its data and before it moves its index."""
    replace = Path.replace

    def crash(path, target):
        if path.suffix == ".index":
            raise Crash
        return replace(path, target)

    @contextlib.contextmanager
    def crashing():
        with monkeypatch.context() as patch, pytest.raises(Crash):
            patch.setattr(Path, "replace", crash)
            yield

    return crashing


@pytest.mark.parametrize("step", [30, 40])
def test_crash_between_the_files_of_a_save_loses_nothing(saved, crash_before_index, step):
    checkpoints, variable = saved
    variable.assign(tf.fill([1000], 7.0))
    with crash_before_index():
        checkpoints.save(step)  # 30 a second time, as with an evaluation that was put off
    assert checkpoints.restore() < step
    checkpoints.complete_save()
    variable.assign(tf.zeros([1000]))
    assert checkpoints.restore() == step and variable[0] == 7


def test_index_that_does_not_fit_the_data_is_not_moved(saved, crash_before_index):
    checkpoints, variable = saved
    kept = (checkpoints.directory / "ckpt-30.data-00000-of-00001").read_bytes()
    variable.assign(tf.fill([1000], 7.0))
    with crash_before_index():
        checkpoints.save(30)
    (checkpoints.directory / "ckpt-30.data-00000-of-00001").write_bytes(kept)  # not yet moved
    checkpoints.complete_save()
    assert checkpoints.restore() == 30 and variable[0] == 30


def test_files_that_a_crash_left_of_an_older_checkpoint_are_deleted(saved):
    checkpoints, _ = saved
    (checkpoints.directory / "ckpt-10.index").unlink()
    checkpoints.save(40)
    assert checkpoints.steps("*") == [20, 30, 40]


def test_a_truncated_history_counts_as_damage(tmp_path, caplog, monkeypatch):
    checkpoints = Checkpoints(tmp_path / "checkpoints", tf.train.Checkpoint(history=History()))
    checkpoints.save(10)
    first_half = History().serialize()[:128]  # the first of two empty arrays: a .npy header alone
    monkeypatch.setattr(History, "serialize", lambda _: first_half)
    checkpoints.save(20)
    assert checkpoints.restore() == 10
    assert "ckpt-20 is damaged" in caplog.text
