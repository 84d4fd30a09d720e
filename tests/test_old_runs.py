"""Runs of every format there was are read, sampled from and gone on with, now and later.

Each folder of `fixtures` has a run of 3 steps (`run/`) that the version of its format made, and the
images that this version drew: after step 3 (`step_3.npz`), and after it went on to step 6.
"""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.commands import sample, train
from dcgan_tf.reporting.history import History
from dcgan_tf.run.checkpoints import Checkpoints
from dcgan_tf.run.run_directory import FORMAT, RunDirectory
from dcgan_tf.settings.config import Config
from tests.conftest import ROOT

FIXTURES = ROOT / "tests" / "fixtures"
FORMATS = sorted(path.name for path in FIXTURES.iterdir())
SETTINGS = {
    "base_filters": 2,
    "noise_dim": 8,
    "batch_size": 64,
    "max_steps": 3,
    "ema_decay": 0.5,
    "learning_rate": 0.02,
    "negative_slope": 0.2,
    "precision": "float32",
    "convolutions": "subpixel",
    "eval_every": 0,
    "device": "cpu",
    "reading": 1,
    "ordering": 1,
}


@pytest.fixture(params=FORMATS)
def old(request, tmp_path):
    """A copy of one fixture."""
    return shutil.copytree(FIXTURES / request.param, tmp_path / "old")


def drawn(run_main, run_dir, *flags):
    """16 images that `sample.py` draws from a run, as signed integers."""
    output = run_dir.parent / "drawn.npz"
    code, _, err = run_main(sample, f"--run_dir={run_dir}", f"--output={output}", *flags)
    assert code == 0 and err == ""
    return images(output)


def images(path):
    with np.load(path) as archive:
        return archive["images"].astype(int)


def assert_same_pixels(ours, theirs):
    """Pixels may differ by one gray level, since processors round differently."""
    assert ours.shape == theirs.shape == (16, 28, 28, 1)
    assert np.abs(ours - theirs).max() <= 1 < theirs.std()


def test_there_is_a_run_of_every_format():
    assert [f"run_format_{number}" for number in range(1, FORMAT + 1)] == FORMATS


def test_settings_are_those_of_the_run(old):
    config, described = RunDirectory(old / "run").read_config()
    assert config == Config(**SETTINGS)
    assert (described["number"], described["shape"]) == (60000, [28, 28, 1])


def test_old_run_has_the_same_samples_and_the_same_end(old, run_main):
    run_dir = old / "run"
    assert_same_pixels(drawn(run_main, run_dir), images(old / "step_3.npz"))
    code, out, err = run_main(train, f"--run_dir={run_dir}", "--max_steps=6")
    assert code == 0 and err == "" and "resumed after step 3, to step 6" in out
    assert_same_pixels(drawn(run_main, run_dir), images(old / "step_6.npz"))
    assert_same_pixels(drawn(run_main, run_dir, "--checkpoint=3"), images(old / "step_3.npz"))
    before, after = (keys(run_dir / "checkpoints" / f"ckpt-{step}") for step in (3, 6))
    assert before == after and len(before) > 60
    assert json.loads((run_dir / "config.json").read_text())["format"] == FORMAT
    # The devices are those of the machine that goes on with it.
    changed = {"max_steps": 6, "device": "auto", "strategy": "auto"}
    assert RunDirectory(run_dir).read_config()[0] == Config(**SETTINGS | changed)


def keys(prefix):
    """The names and shapes of the values of a checkpoint."""
    return tf.train.load_checkpoint(str(prefix)).get_variable_to_shape_map()


def test_evaluations_of_an_old_run_are_read(run_main, tmp_path):
    old = shutil.copytree(FIXTURES / "run_format_1", tmp_path / "old")
    assert_same_pixels(
        drawn(run_main, old / "evaluated", "--checkpoint=best"), images(old / "evaluated.npz")
    )
    history = History()
    run = RunDirectory(old / "evaluated")
    assert Checkpoints(run.checkpoints, tf.train.Checkpoint(history=history)).restore() == 3
    (evaluation,) = history.evaluations
    assert evaluation.step == 3 and len(history.metrics) == 3
    assert evaluation.values["frechet_distance"] == pytest.approx(368.234, abs=0.001)
    assert evaluation.values["precision"] == evaluation.values["recall"] == 0
    assert evaluation.values["class_distribution"].tolist() == [0] * 8 + [1] + [0]
