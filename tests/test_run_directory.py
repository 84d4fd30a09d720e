import json
import subprocess
import sys

import numpy as np
import pytest

from dcgan_tf.cli.errors import UserError
from dcgan_tf.config import Config
from dcgan_tf.run_directory import RunDirectory, open_run
from tests.conftest import ROOT

IMAGES = np.zeros((50, 28, 28, 1), np.uint8)


def open_and_close(path, config=None, images=IMAGES, resume=True):
    with open_run(path, config or Config(), images, resume) as run:
        return run


def test_new_run_holds_its_config_and_what_made_it(tmp_path):
    run = open_and_close(tmp_path / "a" / "b", Config(seed=3))
    config, images = run.read_config()
    assert config == Config(seed=3) and images["number"] == 50
    made_with = json.loads(run.config_file.read_text())["made_with"]
    assert made_with.keys() == {"python", "tensorflow", "keras", "device"}


def test_more_epochs_go_on_and_are_written_down(tmp_path):
    open_and_close(tmp_path)
    assert open_and_close(tmp_path, Config(epochs=70)).read_config()[0].epochs == 70


def test_other_settings_are_refused_with_the_differences(tmp_path):
    run = open_and_close(tmp_path)
    before = run.config_file.read_bytes()
    with pytest.raises(UserError, match="--beta_1 was 0.9, is 0.5; --seed was 0, is 1"):
        open_and_close(tmp_path, Config(seed=1, beta_1=0.5))
    assert run.config_file.read_bytes() == before


def test_other_images_are_refused(tmp_path):
    open_and_close(tmp_path)
    with pytest.raises(UserError, match="the images were 50 of 28×28×1"):
        open_and_close(tmp_path, images=IMAGES + 1)


def test_noresume_refuses_a_run(tmp_path):
    open_and_close(tmp_path, resume=False)
    with pytest.raises(UserError, match="holds a run already"):
        open_and_close(tmp_path, resume=False)


def test_folder_of_other_things_is_refused_and_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="is not a run directory"):
        open_and_close(tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "dear"
    with pytest.raises(UserError, match="is a file"):
        open_and_close(tmp_path / "letter.txt")
    with pytest.raises(NotADirectoryError):
        open_and_close(tmp_path / "letter.txt" / "run")


def test_what_a_kill_left_of_the_first_config_is_not_in_the_way(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / ".config.json.part").write_text("{")
    assert open_and_close(tmp_path).read_config()[0] == Config()


def test_nothing_is_left_of_a_run_that_could_not_be_made(tmp_path, monkeypatch):
    monkeypatch.setattr(RunDirectory, "write_config", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        open_and_close(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", "null", '{"seed": 0}', '{"images": {}, "made_with": {}}', "\0"]
)
def test_bad_config_is_named(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"config.json can't be used"):
        RunDirectory(tmp_path).read_config()


def test_folder_without_config_is_no_run(tmp_path):
    with pytest.raises(UserError, match="has no config.json"):
        RunDirectory(tmp_path).read_config()


def test_second_process_is_kept_out_until_the_first_ends(tmp_path):
    holder = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import numpy as np
from dcgan_tf.config import Config
from dcgan_tf.run_directory import open_run
from pathlib import Path
with open_run(Path({str(tmp_path)!r}), Config(), np.zeros((50, 28, 28, 1), np.uint8), True):
    print("open", flush=True)
    sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "open\n"
    with pytest.raises(UserError, match="in use by another process"):
        open_and_close(tmp_path)
    process.kill()
    process.wait()
    open_and_close(tmp_path)
