"""The web page after its run is deleted or replaced by another run."""

import shutil

import numpy as np
import pytest

from dcgan_tf import load_run
from dcgan_tf.commands import train
from dcgan_tf.run import checkpoints
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.serving.web_app import make_app
from tests.conftest import RESOLVED
from tests.serving.test_web_app import picture

FLAGS = ["--max_steps=2", "--batch_size=8", "--base_filters=2", "--eval_every=0", *RESOLVED]


@pytest.fixture
def make_run(run_main, labeled_digits, tmp_path):
    """Trains a run of two steps; returns its folder."""

    def make(name, *flags):
        data = [f"--data_dir={labeled_digits}", f"--run_dir={tmp_path / name}"]
        code, _, err = run_main(train, *data, *FLAGS, *flags)
        assert code == 0, err
        return tmp_path / name

    return make


@pytest.mark.thorough
def test_a_run_that_is_trained_again_under_its_name(make_run, tmp_path):
    first = make_run("first")
    others = [make_run("seed", "--seed=5"), make_run("uniform", "--noise=uniform")]
    others.append(make_run("classes", "--conditional", "--noise_dim=7"))
    client = make_app(RunDirectory(first)).test_client()
    before = picture(client.get("/api/image.png?seed=1"))
    assert client.get("/api/run").get_json()["classes"] == []
    for other in others:
        shutil.rmtree(first)
        gone = client.get("/api/image.png?seed=1")
        assert gone.status_code == 400 and "is not a run directory" in gone.get_json()["error"]
        shutil.copytree(other, first)
        expected = make_app(RunDirectory(other)).test_client()
        assert client.get("/api/run").get_json() == expected.get("/api/run").get_json() | {
            "name": "first"
        }
        image = picture(client.get("/api/image.png?seed=1"))
        assert np.array_equal(image, picture(expected.get("/api/image.png?seed=1")))
        assert not np.array_equal(image, before)
    assert len(client.get("/api/run").get_json()["classes"]) == 10
    assert picture(client.get("/api/image.png?seed=1&label=7")).shape == (28, 28)


def test_generators_are_kept_while_their_files_are_the_same(make_run, monkeypatch):
    run = make_run("run")
    loaded = []
    from dcgan_tf.serving import web_app

    load = web_app.load_generator
    monkeypatch.setattr(
        web_app, "load_generator", lambda *which: loaded.append(which) or load(*which)
    )
    client = make_app(RunDirectory(run)).test_client()
    at_start = len(loaded)
    for seed in range(3):
        picture(client.get(f"/api/image.png?seed={seed}"))
    RunDirectory(run).write_config(*RunDirectory(run).read_config())  # as a run that goes on does
    picture(client.get("/api/image.png"))
    assert len(loaded) == at_start


def test_a_training_deletes_checkpoints_while_the_newest_is_asked_for(
    make_run, monkeypatch, caplog
):
    run = make_run("run", "--max_steps=4", "--checkpoint_steps=1")
    client = make_app(RunDirectory(run)).test_client()
    expected = client.get("/api/image.png").data
    folder = run / "checkpoints"
    read_back = checkpoints.read_back

    def step_on(prefix):
        """Puts a newer checkpoint in place of the newest, which is being read."""
        monkeypatch.setattr(checkpoints, "read_back", read_back)
        old = prefix.rpartition("-")[2]
        new = str(int(old) + 1)
        for path in folder.glob(f"ckpt-{old}.*"):
            path.rename(path.with_name(path.name.replace(old, new)))
        listed = folder / "checkpoint"
        listed.write_text(listed.read_text().replace(f"-{old}", f"-{new}"))
        read_back(prefix)

    monkeypatch.setattr(checkpoints, "read_back", step_on)
    client = make_app(RunDirectory(run)).test_client()  # loads the newest
    assert client.get("/api/image.png").data == expected
    assert client.get("/api/run").get_json()["checkpoints"] == ["2", "3", "5"]
    monkeypatch.setattr(checkpoints, "read_back", step_on)
    assert load_run(run).step == 6
    assert "is damaged" not in caplog.text
