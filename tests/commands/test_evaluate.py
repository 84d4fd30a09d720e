"""The evaluation of a run by command, and within a training."""

import csv
import json
import shutil
import sys

import imageio.v3 as iio
import numpy as np
import pytest

from dcgan_tf.commands import evaluate, sample, train
from dcgan_tf.evaluation import classifier
from dcgan_tf.reporting import diagnostics
from dcgan_tf.run import schedule
from tests.conftest import RESOLVED, ROOT, fork, one_sentence, write_idx
from tests.reporting.test_tensorboard import logged
from tests.test_resume import table


@pytest.fixture(scope="module")
def copy_of_mnist(tmp_path_factory):
    """50 training digits and 100 test digits, as IDX files."""
    folder = tmp_path_factory.mktemp("digits")
    with np.load(ROOT / "dcgan_tf" / "datasets" / "mnist.npz") as mnist:
        write_idx(folder / "train-images-idx3-ubyte", mnist["x_train"][:50])
        write_idx(folder / "t10k-images-idx3-ubyte", mnist["x_test"][:100])
    return folder


FLAGS = ["--batch_size=8", "--base_filters=8", "--eval_every=1", "--learning_rate=0.002", *RESOLVED]


@pytest.fixture
def train_run(run_main, copy_of_mnist, tmp_path, few_evaluated):
    """Trains 5 epochs of 6 steps, evaluated after each; returns the folder and the output."""

    def call(*flags, run_dir=tmp_path / "run"):
        code, out, err = run_main(
            train, f"--data_dir={copy_of_mnist}", f"--run_dir={run_dir}", *FLAGS, *flags
        )
        assert code == 0, err
        return run_dir, out

    return call


def rows(run_dir):
    with (run_dir / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_training_is_evaluated_and_its_best_checkpoint_kept(train_run, run_main, tmp_path):
    run_dir, out = train_run("--epochs=5")
    found = rows(run_dir)
    distances = [float(row["frechet_distance"]) for row in found]
    assert len(distances) == 5 and out.count("Fréchet distance") == 5
    assert sum(float(found[0][f"class_{i}"]) for i in range(10)) == pytest.approx(1, abs=1e-4)
    assert logged(run_dir / "tensorboard")["evaluation/recall"] == [6, 12, 18, 24, 30]
    assert iio.imread(run_dir / "evaluations.png").shape[:2] == (900, 900)
    best = int(found[int(np.argmin(distances))]["step"])
    names = {path.name for path in (run_dir / "checkpoints").glob("*.index")}
    assert names == {f"ckpt-{step}.index" for step in {best, 18, 24, 30}}
    code, out, _ = run_main(
        sample, f"--run_dir={run_dir}", "--checkpoint=best", f"--output={tmp_path / 'best.png'}"
    )
    assert code == 0 and f"from step {best}:" in out

    # The command finds, of the same number of images, what the training found.
    code, out, err = run_main(
        evaluate, f"--run_dir={run_dir}", "--checkpoint=all", "--num_images=300"
    )
    assert code == 0, err
    report = json.loads((run_dir / "evaluation.json").read_text())
    assert report["checkpoints"].keys() == {str(step) for step in {best, 18, 24, 30}}
    for step, scores in report["checkpoints"].items():
        (row,) = (row for row in found if row["step"] == step)
        for name in ("frechet_distance", "precision", "recall", "classes_missed", "class_3"):
            value = scores["class_distribution"][3] if name == "class_3" else scores[name]
            assert float(row[name]) == pytest.approx(value, rel=1e-4)
    assert "100 images are too few for the covariances of 96 features" in out
    assert iio.imread(run_dir / "closest.png").ndim == 2


def test_resume_after_an_evaluation_ends_as_if_there_had_been_no_stop(train_run, tmp_path):
    whole, _ = train_run("--epochs=2")
    parts = tmp_path / "parts"
    # What a stop at the end of an epoch leaves: a checkpoint without the epoch's evaluation.
    train_run("--epochs=2", "--max_steps=6", "--eval_every=0", run_dir=parts)
    assert "frechet_distance" not in rows(parts)[0]
    train_run("--epochs=2", run_dir=parts)
    assert [row[:9] + row[11:] for row in table(whole)] == [
        row[:9] + row[11:] for row in table(parts)
    ]


# In a process of its own: two `MirroredStrategy`s in one disturb each other's collectives.
TWO_DEVICES = """
import sys
import tensorflow as tf
from dcgan_tf.commands.program import run
from dcgan_tf.commands import train
from dcgan_tf.evaluation import feature_extractors

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
feature_extractors.SMALL_STEPS = 100
sys.argv = {argv}
run(train.main)
"""


@pytest.mark.thorough
def test_two_devices_are_evaluated_with_the_classifier_of_one(zeros_and_ones, tmp_path):
    flags = ["--dataset=folder", f"--data_dir={zeros_and_ones}", "--conditional", *FLAGS]
    flags += ["--epochs=1", "--nogenerator_batch_norm", "--batch_size=250", "--image_size=28"]
    weights, distances = [], []
    for strategy in ("one", "mirrored"):
        cache, run_dir = tmp_path / "caches" / strategy, tmp_path / strategy
        argv = ["train.py", *flags, f"--strategy={strategy}", f"--run_dir={run_dir}"]
        process = fork(
            [sys.executable, "-c", TWO_DEVICES.format(argv=argv)], XDG_CACHE_HOME=str(cache)
        )
        out, err = process.communicate()
        assert process.returncode == 0 and out.count("training a classifier") == 1, err
        assert ("2 × CPU" in out) == (strategy == "mirrored"), out
        (path,) = cache.rglob("*.npz")
        weights.append(classifier.load_classifier(path, classes=2).get_weights())
        distances.append(float(rows(run_dir)[0]["frechet_distance"]))
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert distances[0] == pytest.approx(distances[1], rel=0.01)


def test_health_is_told_once(train_run, monkeypatch, caplog):
    monkeypatch.setattr(diagnostics, "WINDOW", 6)
    monkeypatch.setattr(diagnostics, "COLLAPSED_SPREAD", 99.0)
    train_run("--epochs=4", "--eval_every=0")
    (line,) = [record.getMessage() for record in caplog.records if "collapse" in record.message]
    assert "since step 7 " in line


def test_mistakes(run_main, finished_run, tmp_path):
    run_dir = shutil.copytree(finished_run, tmp_path / "run")
    for flags, expected in (
        ([], "--run_dir is required"),
        ([f"--run_dir={tmp_path}"], "is not a run directory"),
        ([f"--run_dir={run_dir}", "--checkpoint=best"], "no best checkpoint"),
        ([f"--run_dir={run_dir}", "--checkpoint=last"], "must be the step of a checkpoint"),
        ([f"--run_dir={run_dir}", "--num_images=5"], "--num_images must be a whole number from 20"),
    ):
        code, _, err = run_main(evaluate, *flags)
        assert code == 1 and expected in err and one_sentence(err)
    shutil.rmtree(run_dir / "checkpoints")
    code, _, err = run_main(evaluate, f"--run_dir={run_dir}", "--checkpoint=all")
    assert code == 1 and "no checkpoint yet" in err
    assert not (run_dir / "evaluation.json").exists()


def test_a_run_that_cannot_be_evaluated_is_refused_before_it_is_made(
    run_main, mnist, tmp_path, monkeypatch, caplog
):
    write_idx(tmp_path / "train-images-idx3-ubyte", mnist[:30])
    flags = [f"--data_dir={tmp_path}", *FLAGS]
    code, _, err = run_main(train, f"--run_dir={tmp_path / 'run'}", *flags)
    assert code == 1 and "only 30 training images" in err and one_sentence(err)
    assert not (tmp_path / "run").exists()
    # Unless nobody asked for an evaluation.
    monkeypatch.setattr(schedule, "EVAL_EPOCHS", 1)
    monkeypatch.setattr(schedule, "EVAL_STEPS", 1)
    flags.remove("--eval_every=1")
    code, out, err = run_main(train, f"--run_dir={tmp_path / 'run'}", "--epochs=1", *flags)
    assert code == 0 and "epoch 1/1" in out
    assert "not evaluated" in caplog.text and "only 30 training images" in caplog.text


def test_all_checkpoints_but_damaged_ones_are_evaluated(finished_run, run_main, tmp_path, caplog):
    run_dir = shutil.copytree(finished_run, tmp_path / "run")
    steps = ["8", "10", "12"]
    evaluated = [evaluate, f"--run_dir={run_dir}", "--checkpoint=all", "--num_images=40"]
    for damaged in steps[1::-1]:
        (data,) = (run_dir / "checkpoints").glob(f"ckpt-{damaged}.data*")
        data.write_bytes(data.read_bytes()[:-999])
        steps.remove(damaged)
        code, _, err = run_main(*evaluated)
        assert code == 0 and f"ckpt-{damaged} is damaged and not used" in caplog.text, err
        assert [*json.loads((run_dir / "evaluation.json").read_text())["checkpoints"]] == steps
    (run_dir / "checkpoints" / "ckpt-12.index").write_bytes(b"")
    code, _, err = run_main(*evaluated)
    assert code == 1 and "has no intact checkpoint" in err.splitlines()[-1]
