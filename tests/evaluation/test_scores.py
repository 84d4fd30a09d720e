"""A metric is one row, which all tables and plots read."""

import json

import numpy as np
import pytest

from dcgan_tf.commands import evaluate
from dcgan_tf.conditional.labels import Classes
from dcgan_tf.evaluation import evaluator
from dcgan_tf.evaluation import scores as table
from dcgan_tf.evaluation.evaluator import to_json
from dcgan_tf.evaluation.feature_extractors import FeatureExtractor, Features
from dcgan_tf.reporting.history import History
from dcgan_tf.reporting.plots import draw_evaluations
from dcgan_tf.reporting.progress import describe_evaluation

TOY = table.Metric(
    "difference of the means",
    lambda both: float(abs(both.real.mean() - both.generated.mean())),
    in_training=True,
    baseline="toy_baseline",
    scale=10,
    digits=1,
    panel=table.Panel("difference"),
)


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(table.METRICS, "toy", TOY)


def make_evaluator(images, metrics, probabilities=None):
    """Compares images with themselves; their features are their pixels."""

    def extract(images):
        flat = images.reshape(len(images), -1).astype(np.float32)
        return Features(flat, None if probabilities is None else probabilities[: len(flat)])

    extractor = FeatureExtractor("pixels", 1000, extract)
    both = evaluator.LabeledImages(images, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluator, "find_held_out", lambda *_: (both, both, "held-out"))
        return evaluator.Evaluator(None, images, 1000, metrics, extractor)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 200, (100, 2, 2, 1), np.uint8)


def test_a_toy_metric_is_one_row(toy, images):
    evaluator = make_evaluator(images, ["precision", "toy"])
    scores = evaluator.scores(images + 3)
    assert scores["toy"] == pytest.approx(3, rel=1e-5) and evaluator.baseline["toy"] == 0

    found = {
        "feature_extractor": "pixels",
        "num_images": 100,
        "compared_with": "held-out",
        "num_held_out": 100,
        "warning": None,
        "real": to_json(evaluator.baseline),
        "checkpoints": {
            7: to_json(scores)
            | {"memorization": {"distance": 1.0, "held_out_distance": 2.0, "closer": 0.5}}
        },
    }
    lines = evaluate.table(json.loads(json.dumps(found))).splitlines()
    assert lines[1].split() == ["generated", "real"]
    assert lines[3].split() == ["difference", "of", "the", "means", "30.0", "0.0"]

    made = table.Evaluation(7, {"precision": 0.5, "toy": 3.0, "toy_baseline": 0.25})
    assert made.columns() == {"precision": 0.5, "toy": 3.0, "toy_baseline": 0.25}
    assert describe_evaluation(made) == (
        "precision 0.500  difference of the means 30.0 (real images 2.5)"
    )
    history = History()
    history.evaluations = [made]
    history.deserialize(history.serialize())
    assert history.evaluations == [made]
    panels = draw_evaluations(history.evaluations, 7).axes
    assert [axes.get_ylabel() for axes in panels] == ["fraction of images", "difference"]
    assert panels[1].lines[0].get_ydata().tolist() == [3]


def test_values_that_training_records(monkeypatch, images):
    evaluator = make_evaluator(images, table.IN_TRAINING, np.eye(3)[np.arange(100) % 2])
    monkeypatch.setattr(evaluator, "samples", lambda generator: images)
    made = evaluator.evaluation(7, None)
    assert {*made.columns()} >= {
        *("frechet_distance", "frechet_baseline", "precision", "recall", "classes_missed"),
        *("class_0", "class_1", "class_2"),
    }
    assert made.values["classes_missed"] == 1
    assert made.values["class_distribution"].tolist() == [0.5, 0.5, 0]


def test_metrics_of_classes_are_left_out_without_classes(images):
    scores = make_evaluator(images, table.METRICS).scores(images)
    others = {name for name, metric in table.METRICS.items() if not metric.of_classes}
    assert scores.keys() == others - {"class_distances"} and len(others) < len(table.METRICS)


@pytest.mark.parametrize("classes, known", [(2, True), (3, False)])
def test_labels_of_classes_that_the_extractor_does_not_know_are_not_compared(
    images, classes, known
):
    labels = np.arange(100) % 2
    compared = make_evaluator(images, ["label_agreement"], np.eye(2)[labels])
    compared.classes = Classes(["a", "b", "c"][:classes], [1] * classes)
    assert compared.scores(images, labels) == ({"label_agreement": 1.0} if known else {})


def test_classes_beyond_the_runs_own_are_called_by_their_numbers():
    """A run of zeros and ones, by a classifier of three digits."""
    scores = {"class_distribution": [0.5, 0.25, 0.25]}
    figures = {"distance": 1.0, "held_out_distance": 2.0, "closer": 0.5}
    found = {
        "feature_extractor": "digits",
        "num_images": 4,
        "compared_with": "held-out",
        "num_held_out": 4,
        "warning": None,
        "classes": ["zero", "one"],
        "real": scores,
        "checkpoints": {7: scores | {"memorization": figures}},
    }
    rows = [line.split()[2:] for line in evaluate.table(found).splitlines()[2:5]]
    cells = [["50.0%"] * 2, ["25.0%"] * 2, ["25.0%"] * 2]
    assert rows == [[name, *row] for name, row in zip(("zero", "one", "2"), cells)]


def test_metrics_that_need_more_images_are_left_out(images):
    """There are 99 images, and 100 are needed."""
    of_few = make_evaluator(images[:99], ["frechet_distance", "kid", "recall"]).scores(images[:99])
    assert of_few.keys() == {"frechet_distance"}
    of_few_generated = make_evaluator(images, ["frechet_distance", "kid"]).scores(images[:99])
    assert of_few_generated.keys() == {"frechet_distance"}
    found = {
        "feature_extractor": "pixels",
        "num_images": 10_000,
        "compared_with": "training",
        "num_held_out": 27,
        "warning": None,
        "real": to_json(of_few),
        "checkpoints": {7: to_json(of_few), 9: to_json(of_few)},
    }
    lines = evaluate.table(found).splitlines()
    assert lines[1].split() == ["step", "7", "step", "9", "real"]
    assert "no images are held out, so copies of training images can't be detected" in lines
    assert lines[-1] == (
        "left out because they need more than 27 images: "
        "KID × 1000, precision, recall, density, coverage"
    )


def test_shared_results_of_metrics_are_computed_once(monkeypatch, images):
    calls = []

    def manifolds(*_):
        calls.append(1)
        return table.Manifolds(1, 2, 3, 4)

    monkeypatch.setattr(table, "manifolds", manifolds)
    scores = make_evaluator(images, ["precision", "recall", "density", "coverage"]).scores(images)
    assert list(scores.values()) == [1, 2, 3, 4] and len(calls) == 1


def test_labels_by_hand():
    """The features of two classes are shifted by 3 and 4, so their distances are 9 and 16."""
    rng = np.random.default_rng(0)
    real, labels = rng.normal(size=(40, 2)), np.repeat([0, 1], 20)
    moved = real + np.where(labels == 0, 3, 4)[:, np.newaxis] * [1, 0]
    probabilities = np.eye(2)[np.where(np.arange(40) < 10, 1, labels)]
    both = table.Comparison(real, moved, probabilities, labels, labels, 2)
    np.testing.assert_allclose(both.class_distances, [9, 16], atol=1e-6)
    assert both.label_agreement == 30 / 40
    lonely = table.Comparison(real, moved[:21], None, labels, labels[:21], 3)  # none of the last
    assert np.isnan(lonely.class_distances).tolist() == [False, True, True]
