"""Every command on a run whose images stay on disk: a large folder, or TFRecords."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dcgan_tf.commands import evaluate, export, features, sample, tfrecords, train
from dcgan_tf.datasets import folder
from dcgan_tf.evaluation import feature_extractors
from dcgan_tf.evaluation.feature_extractors import FeatureExtractor, Features
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.serving.web_app import make_app
from tests.conftest import one_sentence, thorough, train_command


def pixels(config):
    """In InceptionV3's place: 64 pixels as features."""
    return FeatureExtractor(
        "pixels", 7, lambda images: Features(images[:, ::4, ::4, 0].reshape(len(images), -1), None)
    )


@pytest.fixture(params=["folder", *thorough("tfrecords")])
def flags(request, run_main, mnist, tmp_path, monkeypatch):
    """Those that name 200 digits, of which a fifth or so is held out."""
    monkeypatch.setattr(folder, "MEMORY_LIMIT", 0)
    monkeypatch.setitem(feature_extractors.FEATURE_EXTRACTORS, "inception", pixels)
    source = tmp_path / "digits"
    source.mkdir()
    for i in range(200):
        Image.fromarray(mnist[i]).save(source / f"{i:03}.png")
    given = ["--dataset=folder", f"--data_dir={source}", "--image_size=28"]
    given += [f"--cache_dir={tmp_path / 'cache'}", "--held_out=0.2"]
    if request.param == "folder":
        return given
    assert run_main(tfrecords, *given, f"--output={tmp_path / 'records'}")[0] == 0
    return ["--dataset=tfrecords", f"--data_dir={tmp_path / 'records'}"]


@pytest.mark.thorough
def test_every_command_takes_them(run_main, flags, tmp_path):
    run_dir, picture = tmp_path / "run", tmp_path / "out.png"
    small = ["--epochs=1", "--eval_every=1", "--base_filters=4", "--checkpoint_steps=20"]
    code, _, err = run_main(train, *train_command(run_dir, "", *small, *flags)[2:])
    assert code == 0 and err == "", err
    assert "frechet_baseline" in (run_dir / "metrics.csv").read_text()
    views = [[], ["--nearest"], ["--top_activations"], ["--latent_walk=2", "--frames=4"]]
    for view in views:
        count = ["--num_images=4"] if view in views[:2] else []
        code, _, err = run_main(
            sample, f"--run_dir={run_dir}", f"--output={picture}", *count, *view
        )
        assert code == 0 and err == "", err
        assert Image.open(picture).width >= 4 * 28
        picture.unlink()
    code, _, err = run_main(evaluate, f"--run_dir={run_dir}", "--num_images=20")
    assert code == 0 and err == "", err
    found = json.loads((run_dir / "evaluation.json").read_text())
    assert (
        found["feature_extractor"].startswith("pixels and edges")
        and found["real"]["frechet_distance"] > 0
    )
    (run_dir / "closest.png").unlink()
    (run_dir / "closest.png").mkdir()  # as good as one that can't be written
    code, out, err = run_main(evaluate, f"--run_dir={run_dir}", "--num_images=20")
    assert code == 1 and "Fréchet distance" in out and "closest.png" in err and one_sentence(err)
    code, _, err = run_main(features, f"--run_dir={run_dir}")
    assert code == 1 and one_sentence(err)
    assert "has no labels" in err or "is not in a class folder" in err
    code, _, err = run_main(export, f"--run_dir={run_dir}", f"--output={tmp_path / 'export'}")
    assert code == 0, err
    client = make_app(RunDirectory(run_dir)).test_client()
    assert client.get("/api/images?seed=1&first=0&count=2").status_code == 200
    output = f"--output={tmp_path / 'again'}"
    assert run_main(tfrecords, *flags, output)[0] == 0
    assert json.loads((tmp_path / "again" / "test.json").read_text())["shape"][1:] == [28, 28, 1]


@pytest.mark.thorough
def test_views_of_other_images_than_those_of_the_run_are_refused(run_main, flags, tmp_path, mnist):
    small = ["--max_steps=1", "--eval_every=0", "--base_filters=4"]
    assert run_main(train, *train_command(tmp_path / "run", "", *small, *flags)[2:])[0] == 0
    for path in (tmp_path / "digits").iterdir():
        Image.fromarray(np.stack([mnist[1]] * 3, axis=-1)).save(path)
    if "--dataset=tfrecords" in flags:
        (tmp_path / "records").rename(tmp_path / "before")
        colors = ["--dataset=folder", f"--data_dir={tmp_path / 'digits'}", "--held_out=0.2"]
        colors += [f"--cache_dir={tmp_path / 'cache'}", f"--output={tmp_path / 'records'}"]
        assert run_main(tfrecords, *colors)[0] == 0
    for view in ("--nearest", "--top_activations"):
        code, _, err = run_main(sample, f"--run_dir={tmp_path / 'run'}", view)
        assert code == 1 and one_sentence(err), err
        assert "does not hold the images that --run_dir" in err
    (source,) = (flag.split("=")[1] for flag in flags if flag.startswith("--data_dir"))
    Path(source).rename(tmp_path / "moved")
    code, _, err = run_main(evaluate, f"--run_dir={tmp_path / 'run'}")
    assert code == 1 and one_sentence(err) and f"trained on {source}, which is missing" in err
