"""Conditional runs from the command line: resumed, and sampled by class."""

import base64
import json
import shutil
import sys

import imageio.v3 as iio
import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.neighbors import KNeighborsClassifier

from dcgan_tf import load_run
from dcgan_tf.commands import sample, train
from dcgan_tf.data import to_uint8
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.sampling.noise import seeded_noise
from dcgan_tf.serving.web_app import make_app
from dcgan_tf.settings.errors import UserError
from tests.conftest import ROOT, finish, fork, one_sentence, train_command, write_labels
from tests.test_resume import assert_same_run

FLAGS = ["--conditional", "--base_filters=4"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory, digits_dir, mnist_labels):
    """The 50 digits, with their labels."""
    folder = shutil.copytree(digits_dir, tmp_path_factory.mktemp("labeled") / "digits")
    write_labels(folder / "train-labels-idx1-ubyte", mnist_labels[:50])
    return folder


def flags(run_dir, digits, *more):
    return train_command(run_dir, digits, *FLAGS, *more)[2:]


@pytest.fixture(scope="module")
def run(tmp_path_factory, digits):
    """A conditional run of 12 steps, made by a process of its own."""
    run_dir = tmp_path_factory.mktemp("runs") / "conditional"
    code, out, err = finish(train_command(run_dir, digits, *FLAGS), how=fork)
    assert code == 0 and "mnist: 50 images of 28×28×1 in 10 classes" in out, err
    return run_dir


def drawn(run_main, run, *flags):
    """Images that `sample.py` draws, as signed integers, and the line that it prints."""
    output = run.parent / "drawn.npz"
    code, out, err = run_main(sample, f"--run_dir={run}", f"--output={output}", *flags)
    assert code == 0, err
    with np.load(output) as archive:
        return archive["images"].astype(int), out


def test_conditional_run_that_was_stopped_ends_as_if_it_had_not_been(
    run_main, run, digits, tmp_path
):
    stopped = tmp_path / "stopped"
    assert run_main(train, *flags(stopped, digits, "--max_steps=7"))[0] == 0
    assert run_main(train, f"--run_dir={stopped}", "--epochs=2")[0] == 0
    assert_same_run(stopped, run)


def test_grids_have_a_class_a_row_and_images_of_a_class_are_the_same_everywhere(
    run_main, run, tmp_path
):
    images, out = drawn(run_main, run, "--label=7", "--num_images=6")
    assert "6 images of class 7 of seed 0, from step 12" in out
    other, _ = drawn(run_main, run, "--label=3", "--num_images=6")
    assert np.abs(images - other).max() > 1
    assert np.abs(drawn(run_main, run, "--label=7", "--num_images=2")[0] - images[:2]).max() <= 1
    rows, out = drawn(run_main, run, "--label=all", "--num_images=6")
    assert rows.shape == (60, 28, 28, 1) and "6 images of each of 10 classes" in out
    assert np.abs(rows[42:48] - images).max() <= 1 and np.abs(rows[18:24] - other).max() <= 1
    output = tmp_path / "grid.png"
    flags = [f"--run_dir={run}", "--label=all", "--num_images=6", f"--output={output}"]
    assert run_main(sample, *flags)[0] == 0
    grid, last = iio.imread(output), iio.imread(run / "samples" / "epoch_0002.png")
    assert grid.shape == last.shape and np.abs(grid.astype(int) - last).max() <= 1
    assert grid.shape[0] > grid.shape[1]
    # Without a label, each image has one of its own.
    mixed, _ = drawn(run_main, run, "--num_images=30")
    labels = RunDirectory(run).read_classes().draw(0, range(30))
    seven = drawn(run_main, run, "--label=7", "--num_images=30")[0]
    same = np.abs(mixed - seven).max(axis=(1, 2, 3)) <= 1
    assert same.tolist() == (labels == 7).tolist() and 0 < same.sum() < 30


@pytest.mark.parametrize("flag", ["--interpolate=3,7", "--arithmetic=3-1+2", "--latent_walk=3"])
def test_views_are_of_a_class(run_main, run, tmp_path, flag):
    pictures = []
    for label in (["--label=7"], ["--label=3"], []):
        output = tmp_path / "view.png"
        code, _, err = run_main(sample, f"--run_dir={run}", f"--output={output}", flag, *label)
        assert code == 0, err
        pictures.append(iio.imread(output))
    assert not np.array_equal(pictures[0], pictures[1])


def test_a_run_in_python_has_the_samples_of_the_command(run_main, run):
    loaded = load_run(run)
    mixed, _ = drawn(run_main, run)
    seven, _ = drawn(run_main, run, "--label=7")
    np.testing.assert_array_equal(loaded.sample(), mixed)
    np.testing.assert_array_equal(loaded.sample(label="7"), seven)
    path = loaded.interpolate(loaded.noise([3, 5], label="7"), frames=2)
    assert np.abs(path.array[[0, 2]].astype(int) - seven[[3, 5]]).max() <= 1
    with pytest.raises(UserError, match="`label` x is not one of the run's classes"):
        loaded.sample(label="x")


def test_labels_that_there_are_not_get_one_sentence(run_main, run, finished_run, tmp_path):
    output = f"--output={tmp_path / 'x.png'}"
    for flags, expected in (
        ([f"--run_dir={run}", "--label=12"], "--label 12 is not one of the run's classes: 0, 1, 2"),
        ([f"--run_dir={run}", "--label=3", "--top_activations"], "use an unconditional --run_dir"),
        ([f"--run_dir={run}", "--label=all", "--nearest"], "--nearest draws images of one class"),
        ([f"--run_dir={finished_run}", "--label=7"], "--label 7 needs a conditional run"),
        ([f"--run_dir={finished_run}", "--label=all"], "--label all needs a conditional run"),
        (
            [f"--run_dir={finished_run}", "--label=7", "--latent_walk=3"],
            "needs a conditional run",
        ),
    ):
        code, _, err = run_main(sample, output, *flags)
        assert code == 1 and expected in err and one_sentence(err), err
    assert not (tmp_path / "x.png").exists()


def test_run_is_resumed_only_with_the_same_labels(run_main, run, digits, tmp_path):
    other = shutil.copytree(digits, tmp_path / "other")
    content = bytearray((other / "train-labels-idx1-ubyte").read_bytes())
    content[8], content[9] = content[9], content[8]
    (other / "train-labels-idx1-ubyte").write_bytes(content)
    code, _, err = run_main(train, f"--run_dir={run}", f"--data_dir={other}", "--epochs=3")
    assert code == 1 and one_sentence(err) and err.count("labels") == 2


def test_classes_are_kept_with_the_run(run_main, run, mnist_labels, tmp_path):
    config = json.loads((run / "config.json").read_text())
    counts = np.bincount(mnist_labels[:50])
    assert config["images"]["classes"] == {str(i): count for i, count in enumerate(counts)}
    config["images"]["classes"]["5"] = "many"
    (tmp_path / "config.json").write_text(json.dumps(config))
    code, _, err = run_main(sample, f"--run_dir={tmp_path}", f"--output={tmp_path / 'x.png'}")
    assert code == 1 and "config.json can't be used" in err and one_sentence(err)


@pytest.fixture(scope="module")
def client(run):
    return make_app(RunDirectory(run)).test_client()


def shown(response):
    """The picture that an answer is."""
    assert response.status_code == 200, response.get_json()
    return iio.imread(response.data).astype(int)


def test_page_shows_the_images_of_a_class_that_sample_draws(client, run_main, run):
    assert client.get("/api/run").get_json()["classes"] == [*map(str, range(10))]
    seven = drawn(run_main, run, "--label=7", "--num_images=16")[0][..., 0]
    found = client.get("/api/images?seed=0&count=16&label=7").get_json()
    for each in found:
        picture = iio.imread(base64.b64decode(each["png"].split(",")[1])).astype(int)
        assert np.abs(picture - seven[each["number"]]).max() <= 1
    assert np.abs(shown(client.get("/api/image.png?number=5&label=7")) - seven[5]).max() <= 1
    three = shown(client.get("/api/image.png?number=2&label=3"))
    mixed = drawn(run_main, run, "--num_images=16")[0][..., 0]
    assert np.abs(shown(client.get("/api/image.png?number=5")) - mixed[5]).max() <= 1
    path = "/api/interpolation.png?from=5&to=2&from_label=7&to_label=3"
    for fraction, end in (("0", seven[5]), ("1.0", three)):
        assert np.abs(shown(client.get(f"{path}&fraction={fraction}")) - end).max() <= 1
    middle = shown(client.get(f"{path}&fraction=0.5"))
    assert all(np.abs(middle - end).max() > 1 for end in (seven[5], three))
    path = "/api/arithmetic.png?a=5&b=2&c=2&a_label=7&b_label=3&c_label=3"
    assert np.abs(shown(client.get(path)) - seven[5]).max() <= 1


def test_page_refuses_labels_that_there_are_not(client, finished_run):
    refused = client.get("/api/images?label=ten")
    assert refused.status_code == 400
    assert "label must be one of 0, 1, 2" in refused.get_json()["error"]
    other = make_app(RunDirectory(finished_run)).test_client()
    assert other.get("/api/run").get_json()["classes"] == []
    refused = other.get("/api/interpolation.png?to_label=3")
    assert refused.status_code == 400 and "the run has no classes" in refused.get_json()["error"]


def test_exported_generator_has_the_label_as_an_input(run_main, run, tmp_path):
    command = [sys.executable, "-m", "dcgan_tf", "export", f"--run_dir={run}"]
    code, out, err = finish([*command, f"--output={tmp_path / 'export'}"], how=fork)
    assert code == 0, err
    assert "100 values and a label from 0 to 9; its images" in out and out.count("within") == 6
    config, _ = RunDirectory(run).read_config()
    noise, labels = seeded_noise(config, 0, range(3)), np.array([7, 7, 7], np.int32)
    images = drawn(run_main, run, "--label=7", "--num_images=3")[0]
    model = keras.saving.load_model(tmp_path / "export" / "generator.keras")
    assert np.abs(to_uint8(model([noise, labels])) - images).max() <= 1
    module = tf.saved_model.load(str(tmp_path / "export" / "saved_model"))
    serve = module.signatures["serving_default"]
    served = serve(noise=tf.constant(noise), label=tf.constant(labels))["images"].numpy()
    assert np.abs(served - images).max() <= 1
    again = drawn(run_main, tmp_path / "export" / "run", "--label=7", "--num_images=3")[0]
    assert np.abs(again - images).max() <= 4


@pytest.mark.long
def test_digits_are_the_ones_that_were_asked_for(tmp_path, mnist, mnist_labels):
    """Five epochs on MNIST, judged by nearest neighbors among real digits, 95% accurate."""
    run_dir = tmp_path / "run"
    command = [sys.executable, str(ROOT / "train.py"), "--preset=fast", "--conditional"]
    code, _, err = finish([*command, "--epochs=5", f"--run_dir={run_dir}"], timeout=1800)
    assert code == 0, err
    judge = KNeighborsClassifier().fit(mnist[:10000].reshape(10000, -1), mnist_labels[:10000])
    run = load_run(run_dir)
    for label in range(10):
        found = judge.predict(run.sample(100, label=str(label)).array.reshape(100, -1))
        assert (found == label).mean() > 0.5, label
