"""The pretrained generators: their files, their page, and the commands that use them."""

import dataclasses
import os
import random
import re
import shlex
import shutil
from pathlib import Path

import imageio.v3 as iio
import keras
import numpy as np
import pytest

import dcgan_tf
from dcgan_tf.commands import evaluate, export, features, sample, train
from dcgan_tf.commands.flags import parse_given
from dcgan_tf.datasets.loading import shrink
from dcgan_tf.evaluation.classifier import classify, load_classifier
from dcgan_tf.evaluation.evaluator import MEMORY_SIZE, Evaluator
from dcgan_tf.pretrained import generators as table
from dcgan_tf.pretrained.generators import FILES, PRETRAINED, pretrained_run, with_discriminator
from dcgan_tf.pretrained.weights import load_weights, save_weights, weights_step
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.run.schedule import Schedule
from dcgan_tf.serving import export_formats
from dcgan_tf.serving.web_app import make_app
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from tests.conftest import ROOT, one_sentence
from tests.faults.mutation import mutated

FOLDER = ROOT / "dcgan_tf" / "pretrained"
PAGE = (ROOT / "docs" / "pretrained.md").read_text()
STEPS = {"mnist": 28110, "fashion_mnist": 18740, "cifar10": 23430, "faces": 26320}
SHAPES = {"cifar10": (32, 32, 3), "faces": (64, 64, 3)}
SMALL_RUN = ROOT / "tests" / "fixtures" / "run_format_2" / "run"  # of 3 steps
MB = 10**6

# Of Keras, as it writes a model.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")


@pytest.fixture(params=PRETRAINED)
def name(request):
    return request.param


@pytest.fixture
def few_formats(monkeypatch):
    """Has exports be quick to make: by Keras, and as a run directory."""
    for slow in export_formats.FORMATS.keys() - {"generator.keras", "run"}:
        monkeypatch.delitem(export_formats.FORMATS, slow)


@pytest.fixture
def exported(run_main, few_formats, tmp_path):
    """The small run, as a run directory with the generator alone."""
    code, out, err = run_main(export, f"--run_dir={SMALL_RUN}", f"--output={tmp_path / 'export'}")
    assert code == 0 and f"{tmp_path}/export/run: within" in out, err
    return (tmp_path / "export" / "run").rename(tmp_path / "exported")


def files_of(name):
    return sorted(FILES if name in with_discriminator() else FILES[:2])


def mtimes(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_there_is_a_row_for_every_folder_and_they_are_small():
    folders = {path.name: path for path in FOLDER.iterdir() if (path / "config.json").exists()}
    assert folders.keys() == PRETRAINED.keys()
    sizes = []
    for name in folders:
        assert sorted(path.name for path in folders[name].iterdir()) == files_of(name)
        sizes += [path.stat().st_size for path in folders[name].iterdir()]
    assert max(sizes) <= 2.5 * MB and sum(sizes) <= 8 * MB


def test_page_has_a_card_for_every_row():
    cards = re.split(r"^## `(\w+)`$", PAGE, flags=re.MULTILINE)[1:]
    assert cards[::2] == list(PRETRAINED)
    for name, card in zip(cards[::2], cards[1::2]):
        assert PRETRAINED[name] in card
        size = sum(path.stat().st_size for path in (FOLDER / name).iterdir())
        assert f"{size:,} bytes" in card
        for word in ("data", "license", "trained with", "made by", "Fréchet distance", "baseline"):
            assert word in card, (name, word)
        assert "can't" in card


def test_configs_have_no_path_of_the_machine_that_trained_them(name):
    assert "/" not in (FOLDER / name / "config.json").read_text()


def test_the_command_on_the_page_gives_the_settings_that_it_was_trained_with(name):
    card = PAGE.split(f"## `{name}`")[1]
    command = re.search(r"\| trained with \| `dcgan (train [^`]*)`", card)[1]
    (given,) = parse_given(None, Config, argv=shlex.split(command))
    trained, images = RunDirectory(FOLDER / name).read_config()
    again = Config.from_flags(given)
    ends = [Schedule.of(config, images["number"]).last_step for config in (trained, again)]
    assert ends[0] == ends[1] and f"{STEPS[name]:,} steps" in card
    old, new = (dataclasses.asdict(config) for config in (trained, again))
    # What the machine, the version or an equal preset of another name decides, and how the number
    # of steps is given.
    others = {"precision", "convolutions", "reading", "ordering", "preset", "epochs", "max_steps"}
    # 0 and None turn a setting off.
    changed = {setting for setting in old if (old[setting] or None) != (new[setting] or None)}
    assert changed <= others


@pytest.mark.parametrize("file", FILES[:2])
def test_a_damaged_one_is_refused(name, file, monkeypatch, run_main, tmp_path):
    monkeypatch.setattr(table, "__file__", str(tmp_path / "table.py"))
    copy = shutil.copytree(FOLDER / name, tmp_path / name)
    assert pretrained_run(name) == copy
    content = bytearray((copy / file).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / file).write_bytes(content)
    code, _, err = run_main(sample, f"--pretrained={name}", f"--output={tmp_path / 's.png'}")
    assert code == 1 and "is damaged" in err and one_sentence(err)
    (copy / file).unlink()
    with pytest.raises(UserError, match="is damaged"):
        pretrained_run(name)
    assert not (tmp_path / "s.png").exists()


def test_pictures_of_the_page_are_its_samples(name, run_main, tmp_path):
    output = tmp_path / "grid.png"
    flags = [f"--pretrained={name}", "--num_images=64", f"--output={output}"]
    code, out, err = run_main(sample, *flags)
    assert (
        code == 0
        and err == ""
        and f"64 images of seed 0, from step {STEPS[name]}: {output}\n" == out
    )
    picture = ROOT / "docs" / "images" / f"pretrained_{name}.png"
    assert f"images/{picture.name}" in PAGE
    difference = np.abs(iio.imread(output).astype(int) - iio.imread(picture))
    assert difference.mean() < 0.5  # processors round bfloat16 differently


def test_digits_are_digits(run_main, tmp_path):
    images = np.asarray(dcgan_tf.load_pretrained("mnist").sample(1000, seed=5))
    classes = np.bincount(classify(load_classifier(), images), minlength=10)
    assert classes.min() > 40 and classes.max() < 200


def test_a_seven_is_a_seven(run_main, tmp_path):
    output = tmp_path / "sevens.npz"
    flags = ["--pretrained=mnist", "--label=7", "--num_images=500", f"--output={output}"]
    assert run_main(sample, *flags)[0] == 0
    with np.load(output) as archive:
        sevens = archive["images"].reshape(-1, 28, 28, 1)
    assert (classify(load_classifier(), sevens) == 7).mean() > 0.95


def test_first_sample_of_a_clone_needs_no_run_and_no_flag(run_main, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, err = run_main(sample)
    assert code == 0 and err == "" and out.startswith("drawing from --pretrained mnist\n")
    assert iio.imread("samples.png").shape == (4 * 86 + 2, 4 * 86 + 2)
    assert [path.name for path in tmp_path.iterdir()] == ["samples.png"]


def test_without_a_flag_the_newest_run_is_sampled(run_main, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for age, run in enumerate(("b", "a", "c")):
        shutil.copytree(SMALL_RUN, Path("runs") / run)
        os.utime(Path("runs") / run / "checkpoints" / "checkpoint", (9000 - age, 9000 - age))
    (Path("runs") / "new").mkdir()
    (Path("runs") / "new" / "config.json").touch()
    expected = "drawing from --run_dir runs/b\n16 images of seed 0, from step 3: samples.png\n"
    assert run_main(sample) == (0, expected, "")
    assert run_main(sample, "--checkpoint=3") == (0, expected, "")
    assert f"from step {STEPS['mnist']}: samples.png" in run_main(sample, "--pretrained=mnist")[1]


def test_views_work_with_it(run_main, tmp_path):
    view = tmp_path / "view.png"
    for flag in ("--interpolate=1,2", "--latent_walk=3", "--arithmetic=1-2+3", "--truncation=0.5"):
        code, out, err = run_main(sample, "--pretrained=mnist", f"--output={view}", flag)
        assert code == 0 and f"from step {STEPS['mnist']}: {view}" in out, err


def test_exporting_it_gives_its_own_files(name, few_formats, run_main, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, err = run_main(export, f"--pretrained={name}")
    assert code == 0 and "generator.keras: within 0 of 255" in out, err
    config, *weights = (tmp_path / "export" / "run" / file for file in files_of(name))
    assert config.read_bytes() == (FOLDER / name / config.name).read_bytes()
    for path in weights:
        # Not the bytes of a .npz: versions of Python differ in the headers of a .zip.
        with np.load(path) as made, np.load(FOLDER / name / path.name) as shipped:
            assert made.files == shipped.files
            for array in made.files:
                assert made[array].dtype == shipped[array].dtype
                np.testing.assert_array_equal(made[array], shipped[array])


@pytest.mark.thorough
def test_every_format_of_it_draws_what_it_draws(name, run_main, tmp_path):
    """Or the command would refuse."""
    code, out, err = run_main(export, f"--pretrained={name}", f"--output={tmp_path / 'export'}")
    assert code == 0 and out.count("of 255 of the generator's") >= 5, err


def test_evaluating_it_writes_nothing_into_its_folder(run_main, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    few = property(lambda self: shrink(self.training[:2000], MEMORY_SIZE))  # of 60,000
    monkeypatch.setattr(Evaluator, "shrunk_training", few)
    before = mtimes(FOLDER)
    code, out, err = run_main(evaluate, "--pretrained=mnist", "--num_images=50")
    assert code == 0 and f"step {STEPS['mnist']}" in out, err
    assert "written: evaluation.json, closest.png" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["closest.png", "evaluation.json"]
    assert mtimes(FOLDER) == before


def test_page_serves_it():
    client = make_app(RunDirectory(pretrained_run("mnist"))).test_client()
    described = client.get("/api/run").get_json()
    assert described["name"] == "mnist" and described["checkpoints"] == [str(STEPS["mnist"])]
    assert described["epochs"] == described["plots"] == []
    assert len(client.get("/api/images?count=3").get_json()) == 3


def test_it_is_a_run_in_python(name):
    run = dcgan_tf.load_pretrained(name)
    assert run.step == STEPS[name] and run.checkpoints == [run.step]
    assert np.asarray(run.sample(2)).shape == (2, *SHAPES.get(name, (28, 28, 1)))
    if name not in with_discriminator():
        with pytest.raises(UserError, match="only has a generator: use"):
            _ = run.discriminator
    with pytest.raises(UserError, match="'digits'.* mnist, fashion_mnist, cifar10, faces"):
        dcgan_tf.load_pretrained("digits")


def test_errors_of_what_it_cannot_do_are_one_sentence(run_main, monkeypatch, exported, tmp_path):
    output = f"--output={tmp_path / 's.png'}"
    for command, flags, expected in (
        (
            sample,
            ["--pretrained=mnist", "--top_activations"],
            "a discriminator that sees images only",
        ),
        (
            sample,
            ["--pretrained=mnist", "--checkpoint=best"],
            f"only has the models of step {STEPS['mnist']}, not best",
        ),
        (sample, ["--pretrained=faces9"], "--pretrained must be one of mnist"),
        (sample, ["--pretrained=mnist", f"--run_dir={exported}"], "use only one"),
        (sample, [f"--run_dir={exported}", "--checkpoint=10"], "models of step 3, not 10"),
        (features, ["--pretrained=mnist"], "pretrained"),
        (
            train,
            [f"--run_dir={exported}", "--epochs=3"],
            "without the state that is needed to resume",
        ),
    ):
        flags = [*flags, output] if command is sample else flags
        code, _, err = run_main(command, *flags)
        assert code == 1 and expected in err and one_sentence(err), (flags, err)
    assert not (tmp_path / "s.png").exists()


def test_an_exported_run_has_the_samples_of_the_run(run_main, exported, tmp_path):
    assert sorted(path.name for path in exported.iterdir()) == sorted(FILES)
    drawn = []
    for name, run in (("whole", SMALL_RUN), ("exported", exported)):
        output = tmp_path / f"{name}.npz"
        code, _, err = run_main(sample, f"--run_dir={run}", f"--output={output}", "--seed=3")
        assert code == 0 and err == ""
        with np.load(output) as archive:
            drawn.append(archive["images"].astype(int))
    assert np.abs(drawn[0] - drawn[1]).max() <= 1 < drawn[0].std()


def test_a_damaged_export_is_one_sentence(run_main, exported, tmp_path):
    weights = exported / "generator.npz"
    whole = weights.read_bytes()
    changed = bytearray(whole)
    changed[len(changed) // 2] ^= 1
    for content in (bytes(changed), whole[: len(whole) // 2], b"", b"nonsense"):
        weights.write_bytes(content)
        code, _, err = run_main(sample, f"--run_dir={exported}", f"--output={tmp_path / 's.png'}")
        assert code == 1 and "generator.npz is damaged" in err and one_sentence(err)
    config = exported / "config.json"
    weights.write_bytes(whole)
    config.write_text(config.read_text().replace('"base_filters": 2', '"base_filters": 4'))
    code, _, err = run_main(sample, f"--run_dir={exported}", f"--output={tmp_path / 's.png'}")
    assert code == 1 and "not from this run" in err and one_sentence(err)


def test_damaged_weights_are_named_whatever_the_parser_raises(tmp_path):
    rng, model = random.Random(1), keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    path = tmp_path / "generator.npz"
    save_weights(path, model, 7)
    whole, refused = path.read_bytes(), 0
    for _ in range(1000):
        path.write_bytes(mutated(whole, rng))
        try:
            load_weights(path, model)
            weights_step(path)
        except UserError as error:
            assert str(error).startswith(f"{path} is damaged") and "\n" not in str(error)
            refused += 1
    assert refused > 800
