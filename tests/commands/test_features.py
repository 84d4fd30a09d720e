import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from sklearn.svm import LinearSVC

from dcgan_tf.commands import features, train
from dcgan_tf.evaluation import linear_probe
from dcgan_tf.models import make_discriminator
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from tests.conftest import RESOLVED, one_sentence


def test_activations_by_hand():
    # One filter that doubles, on 8×8 pixels: the greatest of each 2×2 field, then LeakyReLU.
    convolution = layers.Conv2D(2, 1, use_bias=False)
    stack = [layers.Input((8, 8, 1)), convolution, layers.LeakyReLU(0.5), layers.Flatten()]
    model = keras.Sequential([*stack, layers.Dense(1)])
    convolution.set_weights([np.array([[[[2.0, -2.0]]]], np.float32)])
    image = np.zeros((1, 8, 8, 1), np.float32)
    image[0, 0, 1], image[0, 7, 7], image[0, 2, 2] = 3, -1, -4
    found = linear_probe.pooled_activations(model, tf.constant(image)).numpy()
    found = found.reshape(4, 4, 2)
    expected = np.zeros((4, 4, 2))
    expected[0, 0, 0] = 6  # where the pixel is 3, and −6 in the other filter is below 0
    expected[3, 3, 1], expected[1, 1, 1] = 2, 8
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    "preset, size, filters, count",
    [
        # Filters 4 and 8 (and 16, 32), 4×4 fields each, or all there are.
        ("tutorial", 28, 4, 16 * (4 + 8)),
        ("paper", 64, 4, 16 * (4 + 8 + 16 + 32)),
        ("blocks", 32, 4, 16 * (4 + 8)),
        # A convolution of one filter is no logit.
        ("tutorial", 8, 1, 16 * 1),
        ("paper", 32, 1, 16 * (1 + 2 + 4)),
    ],
)
def test_number_of_features(preset, size, filters, count):
    config = Config.from_flags({"preset": preset, "base_filters": filters})
    model = make_discriminator(config, (size, size, 1))
    found = linear_probe.pooled_activations(model, tf.zeros([3, size, size, 1]))
    assert found.shape == (3, count)


def test_labeled_images_are_spread_over_the_classes():
    labels = np.repeat(np.arange(3), [50, 20, 30])
    chosen = linear_probe.pick_labeled(labels, 50, 0)
    assert len(set(chosen)) == 50
    assert np.bincount(labels[chosen]).tolist() == [17, 17, 16]
    assert np.bincount(labels[linear_probe.pick_labeled(labels, 75, 0)]).tolist() == [28, 20, 27]
    assert set(linear_probe.pick_labeled(labels, 100, 0)) == set(range(100))
    with pytest.raises(UserError, match="`labels` 101: there are only 100 images"):
        linear_probe.pick_labeled(labels, 101, 0)
    for count, alike in ((1, labels), (9, labels[:50])):
        with pytest.raises(UserError, match=f"`labels` {count}: .* images of at least two classes"):
            linear_probe.pick_labeled(alike, count, 0)


def test_a_linear_machine_finds_a_line():
    points = np.random.default_rng(0).standard_normal((400, 2))
    labels = (points @ [1, 2] > 0).astype(int)
    found = linear_probe.probe(points[:200], labels[:200], points[200:], labels[200:])
    assert found > 0.9


@pytest.mark.parametrize("classes, images", [(2, 300), (5, 300), (5, 16)])
def test_support_vector_machines_are_those_of_liblinear(classes, images):
    rng = np.random.default_rng(classes)
    features = rng.uniform(-1, 1, (images, 20)).astype(np.float32)
    labels = (features[:, :classes] + rng.normal(0, 0.3, (images, classes))).argmax(axis=1)
    weights = linear_probe.fit_svm(features, labels)
    theirs = LinearSVC(C=linear_probe.REGULARIZATION, tol=1e-8, dual=False).fit(features, labels)
    expected = np.append(theirs.coef_, theirs.intercept_[:, np.newaxis], axis=1).T
    np.testing.assert_allclose(weights[:, -len(theirs.coef_) :], expected, atol=1e-3)
    found = (linear_probe.with_ones(features) @ weights).argmax(axis=1)
    np.testing.assert_array_equal(found, theirs.predict(features))


def test_no_matrix_is_as_wide_as_there_are_features_where_images_are_few(monkeypatch):
    """The paper's discriminator has 15,360: their covariances alone would take 1.9 GB."""
    decomposed, cholesky = [], np.linalg.cholesky

    def decompose(matrix):
        decomposed.append(len(matrix))
        return cholesky(matrix)

    monkeypatch.setattr("numpy.linalg.cholesky", decompose)
    features = np.random.default_rng(0).uniform(-1, 1, (20, 3000)).astype(np.float32)
    weights = linear_probe.fit_svm(features, np.arange(20) % 2)
    assert weights.shape == (3001, 2) and decomposed == [20]


@pytest.mark.thorough
def test_generated_images_are_added_where_the_classifier_is_sure(monkeypatch):
    """Of two shades, ten images have labels; 300 more are drawn likewise."""
    monkeypatch.setattr(linear_probe, "CLASSIFIER_STEPS", 60)
    rng = np.random.default_rng(0)

    def draw(count):
        labels = np.arange(count, dtype=np.uint8) % 2
        noise = rng.integers(-40, 40, (count, 8, 8, 1))
        images = np.where(labels, 60, 180)[:, None, None, None] + noise
        return images.astype(np.uint8), labels

    (images, labels), (generated, _), (test, test_labels) = map(draw, (10, 300, 200))
    found = linear_probe.train_with_pseudo_labels(images, labels, generated, test, test_labels, 0)
    assert found.accuracy_without > 0.9 and found.accuracy_with > 0.9 and found.added > 200


def test_command_prints_five_accuracies(run_main, labeled_digits, tmp_path, monkeypatch):
    monkeypatch.setattr(linear_probe, "CLASSIFIER_STEPS", 4)
    run_dir = tmp_path / "run"
    flags = ["--max_steps=2", "--batch_size=8", "--base_filters=4", *RESOLVED]
    data = f"--data_dir={labeled_digits}"
    assert run_main(train, data, f"--run_dir={run_dir}", *flags)[0] == 0
    flags = [f"--run_dir={run_dir}", "--labels=200", "--generated=20"]
    code, out, err = run_main(features, *flags)
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0] == "200 labeled images, 1,500 test images"
    assert lines[4].startswith("classifier, on the labels only") and len(lines) == 6
    names = ("raw pixels", "untrained discriminator", "discriminator of step 2")
    for line, name in zip(lines[1:4], names, strict=True):
        assert line.startswith(name) and float(line.split("%")[0].split()[-1]) > 50
    images = labeled_digits / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-1] + b"\7")
    code, _, err = run_main(features, *flags)
    assert code == 1 and "does not hold the images that --run_dir" in err and one_sentence(err)


def test_a_folder_that_is_no_run_is_refused(run_main, tmp_path):
    code, _, err = run_main(features, f"--run_dir={tmp_path}")
    assert code == 1 and "not a run directory" in err and one_sentence(err)


def test_a_run_without_labels_is_refused(run_main, tmp_path):
    config = Config.from_flags({"dataset": "stacked_mnist"})
    described = {"number": 60000, "shape": [28, 28, 3], "sha256": ""}
    RunDirectory(tmp_path).write_config(config, described)
    code, _, err = run_main(features, f"--run_dir={tmp_path}")
    assert code == 1 and "stacked_mnist, which has no labels" in err and one_sentence(err)
