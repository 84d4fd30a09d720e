import contextlib
import dataclasses
import json
import shutil
import sys

import numpy as np
import pytest

import dcgan_tf
from dcgan_tf.commands import train
from dcgan_tf.files.atomic_files import make_folders
from dcgan_tf.run.open_run import open_run
from dcgan_tf.run.run_directory import FORMAT, RunDirectory, as_started
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from tests.conftest import fork, one_sentence, train_command

IMAGES = np.zeros((50, 28, 28, 1), np.uint8)


def open_and_close(path, config=None, images=IMAGES, resume=True):
    with open_run(path, config or Config(), images, resume) as run:
        return run


def test_new_run_holds_its_config_and_what_made_it(tmp_path):
    run = open_and_close(tmp_path / "a" / "b", Config(seed=3))
    config, images = run.read_config()
    assert config == Config(seed=3) and images["number"] == 50
    values = json.loads(run.config_file.read_text())
    assert values["format"] == FORMAT and values["made_with"]["dcgan_tf"] == dcgan_tf.__version__
    assert values["made_with"].keys() == {
        "dcgan_tf",
        "python",
        "tensorflow",
        "keras",
        "device",
        "cpu_kernels",
    }


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(
    "settings, epochs, weights",
    [
        ({}, 5, None),
        ({"dataset": "stacked_mnist"}, 5, None),
        ({"data_dir": "mine"}, 0, None),
        ({"dataset": "cifar10"}, 0, None),
        ({"dataset": "folder"}, 0, None),
        ({"dataset": "folder", "eval_every": 3}, 3, "imagenet"),
        ({"dataset": "tfrecords", "eval_every": 3, "inception_weights": "file"}, 3, "file"),
    ],
)
def test_an_older_run_is_evaluated_as_it_was(tmp_path, number, settings, epochs, weights):
    run = open_and_close(tmp_path, Config(**settings))
    assert run.read_config()[0] == Config(**settings)
    values = json.loads(run.config_file.read_text()) | {"format": number}
    run.config_file.write_text(json.dumps(values))
    as_then = {"eval_every": epochs, "inception_weights": weights}
    assert run.read_config()[0] == Config(**settings | as_then)


@pytest.mark.parametrize(
    "name, value, expected",
    [
        ("cpu_kernels", "another's", "with the kernels of another's so far, and resumes with"),
        ("tensorflow", "2.17.0", "with TensorFlow 2.17.0 so far, and resumes with 2."),
        ("python", "3.9.0", None),
        ("cpu_kernels", None, None),  # as versions before this one wrote it
    ],
)
def test_a_run_that_resumes_with_other_numerics_warns(tmp_path, caplog, name, value, expected):
    run = open_and_close(tmp_path)
    open_and_close(tmp_path)
    assert not caplog.records
    values = json.loads(run.config_file.read_text())
    values["made_with"].pop(name)
    values["made_with"] |= {name: value} if value else {}
    run.config_file.write_text(json.dumps(values))
    open_and_close(tmp_path)
    assert len(caplog.records) == (expected is not None) and (expected or "") in caplog.text


def test_a_run_resumes_with_more_epochs_and_records_them(tmp_path):
    open_and_close(tmp_path)
    assert open_and_close(tmp_path, Config(epochs=70)).read_config()[0].epochs == 70


def test_the_error_of_other_settings_lists_the_differences(tmp_path):
    run = open_and_close(tmp_path)
    before = run.config_file.read_bytes()
    with pytest.raises(UserError, match="`beta_1` was 0.9, is 0.5; `seed` was 0, is 1"):
        open_and_close(tmp_path, Config(seed=1, beta_1=0.5))
    assert run.config_file.read_bytes() == before


def test_other_images_are_refused(tmp_path):
    open_and_close(tmp_path)
    with pytest.raises(UserError, match="other images: 50 of 28×28×1"):
        open_and_close(tmp_path, images=IMAGES + 1)


def test_noresume_refuses_a_run(tmp_path):
    open_and_close(tmp_path, resume=False)
    with pytest.raises(UserError, match="already holds a run"):
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


def test_a_partial_config_of_a_killed_run_does_not_matter(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / ".config.json.part").write_text("{")
    assert open_and_close(tmp_path).read_config()[0] == Config()


def test_nothing_is_left_of_a_run_that_could_not_be_made(tmp_path, monkeypatch):
    monkeypatch.setattr(RunDirectory, "write_config", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        open_and_close(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_start_keeps_the_files_of_others(tmp_path, monkeypatch):
    def write_config(run, *_):
        (run.path / "letter.txt").write_text("dear")
        raise ZeroDivisionError

    monkeypatch.setattr(RunDirectory, "write_config", write_config)
    with pytest.raises(ZeroDivisionError):
        open_and_close(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / "letter.txt").read_text() == "dear"


def test_a_failed_start_keeps_the_run_of_another_process(tmp_path, monkeypatch):
    """The other one takes the folder that this one has just made."""
    path = tmp_path / "a" / "run"
    with contextlib.ExitStack() as other:

        def make_folders_too_late(path):
            made = make_folders(path)
            monkeypatch.undo()
            other.enter_context(open_run(path, Config(), IMAGES, True))
            return made

        monkeypatch.setattr("dcgan_tf.run.open_run.make_folders", make_folders_too_late)
        with pytest.raises(UserError, match="in use by another process"):
            open_and_close(path)
        assert RunDirectory(path).read_config()[0] == Config()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", "null", '{"seed": 0}', '{"images": {}, "made_with": {}}', "\0"]
)
def test_a_bad_config_is_an_error(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"config.json can't be used"):
        RunDirectory(tmp_path).read_config()


@pytest.mark.parametrize(
    "change, expected",
    [
        ({"format": 4}, "its format 4: use that version, or a newer one"),
        ({"sped": 2, "sneed": 1}, "its sneed, sped: use that version, or a newer one"),
    ],
)
def test_a_run_of_a_newer_version_is_refused_with_its_version(tmp_path, change, expected):
    run = open_and_close(tmp_path)
    values = json.loads(run.config_file.read_text())
    values["made_with"]["dcgan_tf"] = "9.8.7"
    run.config_file.write_text(json.dumps(values | change))
    with pytest.raises(UserError, match=f"dcgan_tf 9.8.7 wrote it, but .* {expected}"):
        run.read_config()


@pytest.mark.parametrize(
    "shape",
    [
        *([], [28, 28], [28, 28, -1], [28, 28, 1, 1], "28", [28, 28, 2], [28, 28, 5]),
        *([2**31, 2**31, 3], [10**30, 10**30, 1]),
    ],
)
def test_an_impossible_image_shape_is_an_error(tmp_path, shape):
    run = open_and_close(tmp_path)
    values = json.loads(run.config_file.read_text())
    values["images"]["shape"] = shape
    run.config_file.write_text(json.dumps(values))
    with pytest.raises(UserError, match="config.json can't be used: .* is not a shape of images"):
        run.read_config()


@pytest.mark.parametrize("name", ["runs [old]", "a\\b"])
def test_folder_in_which_tensorflow_finds_no_checkpoint_is_refused(tmp_path, name):
    with pytest.raises(UserError, match="use another folder"):
        open_and_close(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_frames_are_the_runs_own(tmp_path):
    run = RunDirectory(tmp_path)
    assert run.frames() == {}
    run.samples.mkdir()
    for name in ("reals.png", "epoch_best.png", "epoch_0002 (copy).png", "epoch_00003.png"):
        (run.samples / name).touch()
    assert run.frames() == {}
    for epoch in (0, 12345, 2, 10):
        run.frame(epoch).touch()
    assert [*run.frames()] == [0, 2, 10, 12345]
    assert [path.name for path in run.frames().values()] == [
        *("init.png", "epoch_0002.png", "epoch_0010.png", "epoch_12345.png")
    ]


def test_a_run_without_its_checkpoints_does_not_start_over(tmp_path):
    run = open_and_close(tmp_path)
    run.metrics_file.write_text("epoch,step\n1,6\n")
    run.samples.mkdir()
    run.frame(1).touch()
    open_and_close(tmp_path)  # was killed before its first checkpoint
    run.frame(2).touch()
    with pytest.raises(UserError, match="its checkpoints are gone"):
        open_and_close(tmp_path)
    (run.checkpoints / "ckpt-12.index").touch()
    open_and_close(tmp_path)
    shutil.rmtree(run.checkpoints)
    run.frame(2).unlink()
    with pytest.raises(UserError, match="its checkpoints are gone"):
        open_and_close(tmp_path)


def test_a_folder_without_a_config_is_not_a_run(tmp_path):
    with pytest.raises(UserError, match="has no config.json"):
        RunDirectory(tmp_path).read_config()


def test_a_second_process_is_refused_until_the_first_ends(tmp_path):
    holder = f"""
import time
import numpy as np
from dcgan_tf.settings.config import Config
from dcgan_tf.run.open_run import open_run
from pathlib import Path
with open_run(Path({str(tmp_path)!r}), Config(), np.zeros((50, 28, 28, 1), np.uint8), True):
    print("open", flush=True)
    time.sleep(600)
"""
    process = fork([sys.executable, "-c", holder])
    assert process.stdout.readline() == "open\n"
    with pytest.raises(UserError, match="in use by another process"):
        open_and_close(tmp_path)
    process.kill()
    process.communicate()
    open_and_close(tmp_path)


@pytest.fixture(scope="module")
def small_run(tmp_path_factory, digits_dir):
    """The folder and the flags of a run of 6 steps per epoch, stopped within its first."""
    run_dir = tmp_path_factory.mktemp("small") / "run"
    flags = ["--base_filters=2", "--max_steps=3", "--precision=bfloat16"]
    return run_dir, train_command(run_dir, digits_dir, *flags)[2:]


@pytest.mark.thorough
def test_a_run_resumes_from_its_folder_alone(run_main, small_run):
    run_dir, flags = small_run
    alone = f"--run_dir={run_dir}"
    assert run_main(train, *flags)[0] == 0
    config, _ = RunDirectory(run_dir).read_config()
    code, out, err = run_main(train, alone)
    assert code == 0 and err == "" and "to train longer, use a larger --max_steps" in out
    assert RunDirectory(run_dir).read_config()[0] == config

    picture = RunDirectory(run_dir).samples / "epoch_best.png"
    picture.write_text("the user's own")
    code, out, _ = run_main(train, alone, "--epochs=1", "--precision=auto", "--seed=0")
    assert code == 0 and "resumed after step 3, to step 6" in out
    config = dataclasses.replace(config, epochs=1, max_steps=None)
    assert RunDirectory(run_dir).read_config()[0] == config
    assert picture.read_text() == "the user's own"

    code, out, _ = run_main(train, alone, "--preset=tutorial", "--epochs=2", "--max_steps=7")
    assert code == 0 and "resumed after step 6, to step 7" in out

    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    for given, expected in (
        (["--preset=fast"], "--preset was tutorial, is fast"),
        (["--seed=1", "--leaky_slope=0.2"], "--negative_slope was 0.3, is 0.2; --seed was 0, is 1"),
        (["--precision=float32"], "--precision was bfloat16, is float32"),
        (["--gradient_penalty=1", "--pack=3"], "--gradient_penalty was None, is 1.0; --pack was 1"),
        (["--epochs=0"], "--epochs must be a whole number from 1"),
        (["--noresume"], "already holds a run"),
    ):
        code, _, err = run_main(train, alone, *given)
        assert code == 1 and expected in err and one_sentence(err), given
    assert before == {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}


def test_rules_other_than_those_of_the_run_are_refused(tmp_path):
    run = RunDirectory(tmp_path)
    run.write_config(Config(), {"number": 1, "shape": [28, 28, 1], "sha256": ""})
    assert as_started(Config(epochs=3), run) == Config(epochs=3)
    with pytest.raises(UserError, match="`ordering` was 2, is 1"):
        as_started(Config(ordering=1), run)
