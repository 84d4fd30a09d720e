"""The counts of the experiment on mode collapse, on samples with known modes."""

import math

import numpy as np
import pytest

import dcgan_tf
from dcgan_tf.commands.flags import parse_given
from dcgan_tf.datasets.named import MNIST_FILE
from dcgan_tf.evaluation.classifier import classify, load_classifier
from dcgan_tf.settings.config import Config
from experiments import mode_collapse


@pytest.mark.parametrize("remedy", mode_collapse.REMEDIES)
def test_flags_of_every_remedy_fit_together(remedy):
    flags = f"train {mode_collapse.COMMON} {mode_collapse.REMEDIES[remedy]}".split()
    (given,) = parse_given(None, Config, argv=flags)
    assert Config.from_flags(given).base_filters == 16


def test_stacked_digits_are_counted_by_their_three_labels():
    with np.load(MNIST_FILE) as archive:
        digits, labels = archive["x_test"][:1000, ..., np.newaxis], archive["y_test"][:1000]
    classifier = load_classifier()
    right = classify(classifier, digits) == labels
    one_of_each = [np.flatnonzero(right & (labels == digit))[0] for digit in range(10)]
    # Red tells ten modes apart, blue is always 7: ten modes, each with a tenth of the samples.
    channels = digits[one_of_each], digits[one_of_each[::-1]], digits[[one_of_each[7]] * 10]
    modes, divergence = mode_collapse.covered(classifier, np.concatenate(channels, axis=-1))
    assert modes == 10
    assert divergence == pytest.approx(math.log(100))


def test_runs_are_sampled_in_the_proportions_of_their_clusters(monkeypatch, tmp_path, mnist):
    digits = np.repeat(mnist[:20, ..., np.newaxis], 3, axis=-1)
    settings = {"dataset": "arrays", "clusters": 2, "label_input": "projection", "eval_every": 0}
    config = Config(**settings, base_filters=2, batch_size=4, max_steps=1)
    train = lambda flags, run: dcgan_tf.train(config, run.path, images=digits)  # noqa: E731
    monkeypatch.setattr(mode_collapse, "RUNS", tmp_path)
    monkeypatch.setattr(mode_collapse, "SAMPLES", 10)
    monkeypatch.setattr(mode_collapse, "STAGES", ())
    monkeypatch.setattr(mode_collapse, "train", train)
    monkeypatch.setattr(mode_collapse, "covered", lambda classifier, images: (len(images), 0.5))
    assert mode_collapse.count_over("clusters", 0, 1, classifier=None) == {1: (10, 0.5)}
    assert (tmp_path / "clusters_0.csv").read_text().strip() == "1,10,0.5"


def test_table_has_the_stages_that_all_seeds_have(monkeypatch, tmp_path, capsys):
    for seed, stages in enumerate([(300, 1000), (1000, 2500)]):
        counts = "".join(f"{steps},{steps // 10 + seed},0.5\n" for steps in stages)
        (tmp_path / f"bce_{seed}.csv").write_text(counts)
    monkeypatch.setattr(mode_collapse, "RUNS", tmp_path)
    monkeypatch.setattr(mode_collapse, "PICTURE", tmp_path / "curves.png")
    monkeypatch.setattr(mode_collapse, "SAMPLES", 100)
    monkeypatch.setattr("sys.argv", ["mode_collapse", "bce", "--seeds=2", "--steps=1000"])
    mode_collapse.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if "--loss bce" in line]
    assert rows == ["| `--loss bce` | 1,000 | 100, 101 | 0.50, 0.50 |"]
