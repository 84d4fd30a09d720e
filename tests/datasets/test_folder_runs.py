"""Runs that learn a folder: they report its pictures, and older runs keep their images."""

import json
import logging
import unicodedata

import numpy as np
import pytest
from PIL import Image

from dcgan_tf.commands import evaluate, sample, train
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.settings.config import Config
from tests.conftest import RESOLVED, one_sentence, thorough
from tests.datasets.test_folder import blocks, noise, save

TINY = ["--dataset=folder", "--base_filters=2", "--batch_size=4", "--image_size=16", *RESOLVED]
TINY += ["--eval_every=0", "--noise_dim=4"]


@pytest.fixture(autouse=True)
def no_cache_of_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def pictures(tmp_path):
    """Two classes of 20 images, one with an extension that older runs do not read."""
    for i in range(20):
        save(tmp_path / "pictures" / "cat" / f"{i}.jpg", noise(16, 16, 3, seed=i))
        save(tmp_path / "pictures" / "dog" / f"{i}.jfif", noise(16, 16, 3, seed=i), format="JPEG")
    (tmp_path / "pictures" / "dog" / "a.heic").write_bytes(b"")
    return tmp_path / "pictures"


def described(run_dir):
    return json.loads((run_dir / "config.json").read_text())


@pytest.mark.thorough
def test_the_first_lines_and_the_config_count_the_pictures(pictures, run_main, tmp_path):
    run_dir = tmp_path / "run"
    flags = [*TINY, f"--data_dir={pictures}", f"--run_dir={run_dir}", "--conditional"]
    code, out, err = run_main(train, *flags, "--max_steps=1")
    assert code == 0, err
    files = described(run_dir)["images"]["files"]
    number = described(run_dir)["images"]["number"]
    assert files["found"] == 41 and files["left_out"] == {".heic": 1}
    assert files["trained"] == number and files["held_out"] == 40 - number > 0
    assert files["classes"]["dog"]["found"] == 21 and files["classes"]["cat"]["found"] == 20
    counts = f"41 found: {number} to train on, {40 - number} held out, 1 left out (1 .heic)"
    assert (
        f"pictures       {counts}" in out
        and "classes        cat (20 found: " in out
        and ", dog (21 found: " in out
    )
    code, out, err = run_main(train, *flags, "--max_steps=2")
    assert code == 0 and "resumed after step 1" in out
    (pictures / "cat" / "b.heic").write_bytes(b"")
    code, out, err = run_main(train, f"--run_dir={run_dir}", "--max_steps=3")
    assert code == 0 and "2 left out (2 .heic)" in out, "the images are the same"
    assert described(run_dir)["images"]["files"]["found"] == 42
    for module in (sample, evaluate):
        flags = ["--nearest", f"--output={tmp_path / 'a.png'}"] if module is sample else []
        code, _, err = run_main(module, f"--run_dir={run_dir}", *flags)
        assert code == 0 or "held out" in err or "fewer" in err or "at least" in err, err


def as_written_before(run_dir):
    """Removes what config.json lacked before the rules had versions."""
    values = described(run_dir)
    del values["reading"], values["ordering"], values["images"]["files"]
    (run_dir / "config.json").write_text(json.dumps(values))


@pytest.mark.parametrize("how", ["run_dir alone", "named by the settings", *thorough("flags")])
def test_an_older_run_goes_on_with_its_images(
    pictures, run_main, tmp_path, monkeypatch, caplog, how
):
    monkeypatch.chdir(tmp_path)
    flags = [*TINY, f"--data_dir={pictures}"]
    named = how == "named by the settings"
    config = Config.from_preset(
        dataset="folder",
        base_filters=2,
        batch_size=4,
        image_size=16,
        precision="float32",
        convolutions="native",
        noise_dim=4,
    )
    run_dir = tmp_path / (config.default_run_dir() if named else "run")
    where = [] if named else [f"--run_dir={run_dir}"]
    code, out, err = run_main(train, *flags, f"--run_dir={run_dir}", "--reading=1", "--max_steps=1")
    assert code == 0 and "20 .jfif" in caplog.text, err
    number = described(run_dir)["images"]["number"]
    assert number < 20
    as_written_before(run_dir)
    given = where if how == "run_dir alone" else [*flags, *where]
    caplog.clear()
    code, out, err = run_main(train, *given, "--max_steps=2")
    assert code == 0 and "resumed after step 1" in out, err
    assert "20 .jfif: `reading=1`, the rules of older runs" in caplog.text
    assert described(run_dir)["reading"] == described(run_dir)["ordering"] == 1
    assert described(run_dir)["images"]["number"] == number
    if how != "run_dir alone":
        code, _, err = run_main(train, *given, "--reading=2", "--max_steps=2")
        assert code == 1 and "--reading was 1, is 2" in err
    code, _, err = run_main(
        sample, f"--run_dir={run_dir}", "--nearest", f"--output={tmp_path}/a.png"
    )
    assert code == 0, err


def test_new_runs_have_the_newest_rules_and_older_ones_the_first():
    for config in (Config(dataset="folder"), Config.from_preset("small", dataset="folder")):
        assert (config.reading, config.ordering) == (2, 2)
    older = Config.from_file({"dataset": "folder"})
    assert (older.reading, older.ordering) == (1, 1)


@pytest.mark.thorough
def test_more_pictures_are_learned_in_a_new_run(pictures, run_main, tmp_path):
    run_dir = tmp_path / "run"
    flags = [*TINY, f"--data_dir={pictures}", "--held_out=0"]
    assert run_main(train, *flags, f"--run_dir={run_dir}", "--max_steps=1")[0] == 0
    save(pictures / "cat" / "more.png", blocks((1, 2, 3)))
    code, _, err = run_main(train, *flags, f"--run_dir={run_dir}", "--max_steps=2")
    assert code == 1 and one_sentence(err) and "other images: 40 of 16×16×3" in err
    assert f"start a new run from this one: --init_from={run_dir}, and another --run_dir" in err
    more = ["--max_steps=1", f"--run_dir={tmp_path / 'more'}", f"--init_from={run_dir}"]
    code, out, err = run_main(train, *flags, *more)
    assert code == 0 and "41 images" in out, err


@pytest.mark.thorough
def test_gray_saved_as_color_goes_on_from_an_older_run_by_its_rules(run_main, tmp_path):
    for i in range(8):
        save(tmp_path / "gray" / f"{i}.png", np.full((16, 16, 3), i, np.uint8))
    flags = [*TINY, f"--data_dir={tmp_path / 'gray'}", "--max_steps=1"]
    old = tmp_path / "old"
    assert run_main(train, *flags, f"--run_dir={old}", "--reading=1")[0] == 0
    more = [f"--run_dir={tmp_path / 'more'}", f"--init_from={old}"]
    code, _, err = run_main(train, *flags, *more)
    assert code == 1 and "16×16×3: not of 16×16×1" in err and "by --reading=1, the rules" in err
    code, _, err = run_main(train, *flags, *more, "--reading=1")
    assert code == 0, err


@pytest.mark.thorough
def test_a_label_is_found_in_either_form_of_unicode(run_main, tmp_path):
    forms = [unicodedata.normalize(form, "Käse") for form in ("NFC", "NFD")]
    for shade, name in enumerate([forms[1], "Brot"]):
        for i in range(8):
            save(tmp_path / "food" / name / f"{i}.png", np.full((16, 16), shade * 9 + i, np.uint8))
    run_dir, output = tmp_path / "run", tmp_path / "a.png"
    flags = [*TINY, f"--data_dir={tmp_path / 'food'}", f"--run_dir={run_dir}", "--conditional"]
    code, out, err = run_main(train, *flags, "--max_steps=1")
    assert code == 0 and "Brot (8 found" in out and f"{forms[0]} (8 found" in out, err
    assert [*described(run_dir)["images"]["classes"]] == ["Brot", forms[0]]
    for label in forms:
        code, _, err = run_main(
            sample, f"--run_dir={run_dir}", f"--label={label}", f"--output={output}"
        )
        assert code == 0, err


@pytest.mark.parametrize(
    "flag, expected",
    [
        (
            "--image_size=64x",
            "from 1 to 8192, or two as HEIGHTxWIDTH, not '64x'",
        ),
        ("--batch_size=1e3", "must be a whole number from 1 to 2147483647, not '1e3'"),
        ("--epochs=", "--epochs must be a whole number"),
        (
            "--steps_per_call=x: y",
            "must be a whole number from 1 to 2147483647, not 'x: y'",
        ),
        ("--learning_rate=fast", "--learning_rate must be a number above 0, not 'fast'"),
        ("--flip=perhaps", "--flip must be true or false, not 'perhaps'"),
    ],
)
def test_a_flag_says_what_it_takes(run_main, flag, expected):
    code, _, err = run_main(train, flag)
    assert code == 1 and expected in err and one_sentence(err)


@pytest.mark.thorough
def test_a_tilde_is_the_users_home(pictures, run_main, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    paths = ["--data_dir=~/pictures", "--run_dir=~/runs/mine", "--cache_dir=~/kept"]
    code, _, err = run_main(train, *TINY, *paths, "--max_steps=1")
    assert code == 0, err
    assert described(tmp_path / "runs" / "mine")["data_dir"] == str(pictures)
    code, _, err = run_main(
        train, "--run_dir=~/runs/mine", "--max_steps=2", "--data_dir=~/pictures"
    )
    assert code == 0, err
    more = ["--run_dir=~/runs/more", "--init_from=~/runs/mine", "--max_steps=1"]
    for _ in range(2):
        assert run_main(train, *TINY, *paths[:1], *more)[0] == 0
    code, _, err = run_main(sample, "--run_dir=~/runs/mine", "--output=~/drawn.png")
    assert code == 0 and (tmp_path / "drawn.png").exists(), err
    assert Config(data_dir="~/pictures").data_dir == str(pictures)


def test_a_projected_picture_is_read_by_the_runs_rules(run_main, tmp_path):
    for i in range(8):
        save(tmp_path / "gray" / f"{i}.png", np.full((16, 16), 30 * i, np.uint8))
    run_dir, output = tmp_path / "run", tmp_path / "a.png"
    flags = [*TINY, f"--data_dir={tmp_path / 'gray'}", f"--run_dir={run_dir}", "--max_steps=1"]
    assert run_main(train, *flags)[0] == 0
    for values in (np.full((16, 16), 255, np.uint8), np.full((16, 16), 4095, np.uint16)):
        save(tmp_path / "own.tif", Image.fromarray(values))
        flags = [f"--project={tmp_path / 'own.tif'}", f"--output={output}"]
        code, _, err = run_main(sample, f"--run_dir={run_dir}", *flags)
        assert code == 0, err
        assert np.asarray(Image.open(output).convert("L"))[5, 5] == 255
        output.unlink()


def test_warnings_come_once(pictures, run_main, tmp_path, caplog):
    flags = [*TINY, f"--data_dir={pictures}", f"--run_dir={tmp_path / 'run'}", "--conditional"]
    with caplog.at_level(logging.WARNING):
        assert run_main(train, *flags, "--max_steps=1")[0] == 0
    warnings = [record for record in caplog.records if "left out" in record.getMessage()]
    assert len(warnings) == 1
    assert RunDirectory(tmp_path / "run").read_config()[1]["files"]["found"] == 41
