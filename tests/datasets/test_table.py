"""The table of datasets: a row is all that the program needs to know about a dataset."""

import subprocess
import sys

import numpy as np
import pytest

from dcgan_tf.commands import sample, train
from dcgan_tf.datasets.loading import load_held_out, load_images, load_labels
from dcgan_tf.settings.choices import DATASETS, Dataset
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from tests.conftest import RESOLVED

FLAT = {"train": np.arange(12, dtype=np.uint8), "test": np.arange(100, 104, dtype=np.uint8)}


def load_flat_images(settings, split):
    return np.broadcast_to(FLAT[split][:, None, None, None], (len(FLAT[split]), 16, 16, 1))


def load_flat_labels(settings, split):
    return FLAT[split] % 10


def flat_names(settings):
    return ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


@pytest.fixture
def toy(monkeypatch):
    """A dataset of flat images, 12 and 4, added as one row."""
    row = Dataset(f"{__name__}:load_flat_images", f"{__name__}:load_flat_labels", "inception")
    monkeypatch.setitem(DATASETS, "toy", row)
    return row


def test_a_new_row_can_be_loaded_and_resized(toy):
    config = Config(dataset="toy", image_size=8, batch_size=4)
    assert load_images(config).shape == (12, 8, 8, 1)
    assert np.array_equal(load_held_out(config)[:, 0, 0, 0], FLAT["test"])
    assert load_labels(config, "test").tolist() == [0, 1, 2, 3]


def test_a_new_row_is_trained_on(toy, run_main, tmp_path):
    run_dir = tmp_path / "run"
    flags = ["--base_filters=4", "--batch_size=4", "--max_steps=2", "--eval_every=0", *RESOLVED]
    code, out, err = run_main(train, "--dataset=toy", f"--run_dir={run_dir}", *flags)
    assert code == 0, err
    assert "12 images of 16×16×1" in out and (run_dir / "checkpoints").is_dir()


def test_classes_of_a_new_row_are_chosen_by_name(toy, run_main, tmp_path, monkeypatch):
    monkeypatch.setitem(DATASETS, "toy", toy._replace(class_names=f"{__name__}:flat_names"))
    run_dir, output = tmp_path / "run", tmp_path / "images.npz"
    flags = ["--base_filters=4", "--batch_size=4", "--max_steps=2", "--eval_every=0", *RESOLVED]
    code, out, err = run_main(
        train, "--dataset=toy", "--conditional", f"--run_dir={run_dir}", *flags
    )
    assert code == 0 and "16×16×1 in 10 classes" in out, err
    for label, expected in (("seven", 0), ("7", 1)):
        code, out, err = run_main(
            sample, f"--run_dir={run_dir}", f"--label={label}", f"--output={output}"
        )
        assert code == expected
    assert "--label 7 is not one of the run's classes: zero, one, two" in err


def test_labels_of_a_row_without_labels_are_an_error(toy, monkeypatch):
    monkeypatch.setitem(DATASETS, "toy", toy._replace(load_labels=None))
    with pytest.raises(UserError, match="`dataset` toy has no labels"):
        load_labels(Config(dataset="toy"), "train")


def test_settings_are_read_without_tensorflow():
    code = (
        "import sys, dcgan_tf.settings.config; print({'tensorflow', 'keras'} & sys.modules.keys())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (found.stdout, found.stderr) == ("set()\n", "")
