"""Disks and folders that are full, read-only, or go away."""

import contextlib
import random
import shutil
import subprocess

import pytest

from dcgan_tf.commands import train
from dcgan_tf.reporting import history, report, tensorboard
from dcgan_tf.run.checkpoints import Checkpoints
from dcgan_tf.run.run_directory import RunDirectory
from tests import test_resume
from tests.conftest import finish, fork, one_sentence, train_command
from tests.forks import left_over, wait_in_fork
from tests.test_resume import assert_same_run, flags

pytestmark = pytest.mark.long


@pytest.fixture
def small_disk(tmp_path):
    """A folder that is a disk of 300 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", folder]).returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def remount(folder, options):
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def fill_up(folder):
    with (folder / "filler").open("wb", 0) as filler, contextlib.suppress(OSError):
        while filler.write(bytes(4096)):
            pass


PLACES = (
    (RunDirectory, "write_config", 0),
    (report.Report, "begin", 0),
    (report, "save_png", 1),
    (tensorboard.TensorBoard, "images", 0),
    (history.History, "save_times", 0),
    (Checkpoints, "save", 0),
    (Checkpoints, "save", 2),
    (Checkpoints, "_write_latest", 1),
    (tensorboard.TensorBoard, "histograms", 0),
    (report.Report, "end_epoch", 0),
    (report.Report, "write_table", 0),
    (report.Report, "draw", 0),
    (report, "plot_losses", 0),
    (report, "save_training_gif", 0),
)


@pytest.mark.parametrize("owner, name, calls", PLACES)
def test_a_disk_that_fills_up_at_some_moment(
    run_main, finished_run, digits_dir, small_disk, monkeypatch, held, owner, name, calls
):
    """Its moment is before the given call, after some more of it; then there is room again."""
    whole = getattr(owner, name)
    left = [calls]

    def on_a_full_disk(*arguments):
        if left[0] == 0:
            fill_up(small_disk)
        left[0] -= 1
        return whole(*arguments)

    arguments = flags(small_disk / "run", digits_dir)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, on_a_full_disk)
        code, _, err = run_main(train, *arguments)
        assert code == 1 and "No space left on device" in err and one_sentence(err)
    if (small_disk / "run" / "config.json").exists():
        code, _, err = run_main(train, *arguments)
        assert code == 1 and "No space left on device" in err and one_sentence(err)
    (small_disk / "filler").unlink()
    assert run_main(train, *arguments)[0] == 0
    assert left_over(small_disk / "run") == []
    assert_same_run(small_disk / "run", finished_run)
    held(f"disk full before {name}", 1, "one sentence; with room again, the run ends the same")


@pytest.mark.parametrize("kibibytes", [4, 8, 12, 20, 28, 40, 60, 90, 130, 29_000, 30_000, 59_000])
def test_disk_of_some_size(run_main, finished_run, digits_dir, small_disk, held, kibibytes):
    remount(small_disk, f"size={kibibytes}k")
    arguments = flags(small_disk / "run", digits_dir)
    code, _, err = run_main(train, *arguments)
    assert code == 1 and "No space left on device" in err and one_sentence(err)
    remount(small_disk, "size=300m")
    assert run_main(train, *arguments)[0] == 0
    assert left_over(small_disk / "run") == []
    assert_same_run(small_disk / "run", finished_run)
    held(f"disk of {kibibytes} KiB", 1, "one sentence; with room, the run ends the same")


def test_disk_that_can_not_be_written(run_main, finished_run, digits_dir, small_disk, held):
    arguments = flags(small_disk / "run", digits_dir)
    for steps in (None, 3):
        if steps:
            assert run_main(train, *arguments, f"--max_steps={steps}")[0] == 0
        remount(small_disk, "ro")
        code, _, err = run_main(train, *arguments)
        assert code == 1 and "Read-only file system" in err and one_sentence(err)
        remount(small_disk, "rw")
    assert run_main(train, *arguments)[0] == 0
    assert_same_run(small_disk / "run", finished_run)
    held("read-only disk, at the start and to go on", 2, "one sentence; then the run ends the same")


@pytest.mark.parametrize("folder", [".", "checkpoints", "samples", "tensorboard"])
def test_folder_that_can_not_be_written(run_main, finished_run, digits_dir, tmp_path, held, folder):
    arguments = flags(tmp_path / "run", digits_dir)
    assert run_main(train, *arguments, "--max_steps=3")[0] == 0
    if subprocess.run(["chattr", "+i", tmp_path / "run" / folder]).returncode:
        pytest.skip("chattr is not allowed here")
    try:
        code, _, err = run_main(train, *arguments)
        assert code == 1 and "Operation not permitted" in err and one_sentence(err)
    finally:
        subprocess.run(["chattr", "-i", tmp_path / "run" / folder], check=True)
    assert run_main(train, *arguments)[0] == 0
    assert_same_run(tmp_path / "run", finished_run)
    held(f"read-only folder {folder}", 1, "one sentence; then the run ends the same")


@pytest.mark.parametrize("is_moved", [False, True])
def test_run_directory_that_goes_away(tmp_path, digits_dir, long_run, held, monkeypatch, is_moved):
    monkeypatch.setattr(test_resume, "LAST_STEP", 60)
    rng = random.Random(11)
    for i in range(5):
        run_dir, other = tmp_path / str(i), tmp_path / f"moved {i}"
        process = fork(train_command(run_dir, digits_dir, "--epochs=10"))
        assert wait_in_fork((run_dir / "checkpoints" / "checkpoint").exists, process)
        process.join(rng.uniform(0, 6))
        if is_moved:
            run_dir.rename(other)
        else:
            shutil.rmtree(run_dir, ignore_errors=True)
        process.join(30)
        assert process.exitcode == 1
        err = process.communicate()[1]
        assert "No such file or directory" in err and one_sentence(err)
        shutil.rmtree(run_dir, ignore_errors=True)
    if is_moved:
        assert finish(train_command(other, digits_dir, "--epochs=10"), how=fork)[0] == 0
        assert_same_run(other, long_run)
    held(f"run directory {'moved' if is_moved else 'deleted'} while in use", 5, "one sentence")


def test_second_run_in_a_directory_is_refused(tmp_path, digits_dir, long_run, held, monkeypatch):
    monkeypatch.setattr(test_resume, "LAST_STEP", 60)
    command = train_command(tmp_path / "run", digits_dir, "--epochs=10")
    first = fork(command)
    assert wait_in_fork((tmp_path / "run" / "config.json").exists, first)
    refused = 0
    while first.is_alive() and refused < 10:
        second = fork(command)
        _, err = second.communicate()
        if first.is_alive():
            assert second.returncode == 1 and "is in use by another process" in err
            assert one_sentence(err)
            refused += 1
    first.join(240)
    assert first.exitcode == 0 and refused >= 2
    assert_same_run(tmp_path / "run", long_run)
    held("a second run in the same directory", refused, "refused in a sentence, the first the same")
