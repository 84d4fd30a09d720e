"""A run in Python after a change of folder, and after its own is deleted or replaced."""

import shutil

import numpy as np
import pytest

from dcgan_tf import load_run
from dcgan_tf.settings.errors import UserError


@pytest.fixture
def folder(finished_run, tmp_path, monkeypatch):
    """The folder of a run, below the current one."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished_run, tmp_path / "runs" / "it")
    return tmp_path / "runs" / "it"


def images(run):
    return run.sample(4, seed=3).array


def test_a_run_works_after_a_change_of_folder(folder, monkeypatch):
    run = load_run("runs/it")
    before = images(run)
    monkeypatch.chdir("/")
    assert run.path == folder and run.checkpoints == [8, 10, 12]
    np.testing.assert_array_equal(images(run), before)
    assert run.discriminator.count_params() > 0


def test_images_are_drawn_though_the_folder_has_moved(folder):
    run = load_run(folder)
    before = images(run)
    folder.rename(folder.with_name("elsewhere"))
    np.testing.assert_array_equal(images(run), before)
    run.interpolate([0, 1], frames=2)
    for needs_it in (lambda: run.checkpoints, lambda: run.discriminator, lambda: run.evaluate(20)):
        with pytest.raises(UserError, match="runs/it no longer exists: load the run") as error:
            needs_it()
        assert "\n" not in str(error.value)
    shutil.copytree(folder.with_name("elsewhere"), folder)
    assert run.checkpoints == [8, 10, 12] and run.discriminator.count_params() > 0


def test_another_run_in_the_folder_is_not_taken_for_it(folder, finished_run):
    run = load_run(folder)
    before = images(run)
    shutil.rmtree(folder)
    shutil.copytree(finished_run, folder, copy_function=shutil.copyfile)
    np.testing.assert_array_equal(images(run), before)
    for needs_it in (lambda: run.discriminator, lambda: run.evaluate(20)):
        with pytest.raises(
            UserError, match="a different checkpoint of step 12 .* load the run again"
        ):
            needs_it()
    for path in (folder / "checkpoints").glob("ckpt-12.*"):
        path.unlink()
    with pytest.raises(UserError, match="no checkpoint of step 12; available: 8, 10"):
        _ = run.discriminator


def test_classes_are_those_that_were_loaded(tmp_path, finished_run):
    import dcgan_tf

    images_of = np.random.default_rng(0).integers(0, 255, (40, 28, 28), np.uint8)
    np.savez(tmp_path / "mnist.npz", x_train=images_of, y_train=np.arange(40, dtype=np.uint8) % 3)
    config = dcgan_tf.Config(
        data_dir=tmp_path,
        conditional=True,
        base_filters=2,
        batch_size=8,
        max_steps=1,
        eval_every=0,
        precision="float32",
        convolutions="native",
    )
    run = dcgan_tf.train(config, tmp_path / "run")
    assert [*run.classes.names] == ["0", "1", "2"]
    before = run.sample(4, label=2).array
    shutil.rmtree(tmp_path / "run")
    np.testing.assert_array_equal(run.sample(4, label=2).array, before)
    with pytest.raises(UserError, match="not one of the run's classes"):
        run.sample(4, label=3)
