import re
import time
from concurrent.futures import ThreadPoolExecutor

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format
from PIL import Image
from scipy import ndimage

from dcgan_tf.datasets.loading import load_images, resize
from dcgan_tf.datasets.named import MNIST_FILE
from dcgan_tf.datasets.passed import Passed, passing
from dcgan_tf.evaluation import classifier, feature_extractors
from dcgan_tf.evaluation.metrics import frechet_distance
from dcgan_tf.settings.choices import DATASETS
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from tests.conftest import thorough


@pytest.fixture(scope="module")
def test_digits():
    with np.load(MNIST_FILE) as archive:
        return archive["x_test"][:1500, ..., np.newaxis], archive["y_test"][:1500]


def test_every_dataset_has_a_feature_extractor():
    named = {dataset.feature_extractor for dataset in DATASETS.values()}
    assert named == feature_extractors.FEATURE_EXTRACTORS.keys() - {"inception"}


@pytest.mark.parametrize("size", [28, 56])
def test_digits_are_known_at_any_size(test_digits, size):
    digits, labels = test_digits
    features, probabilities = feature_extractors.make_feature_extractor(Config())(
        resize(digits, (size, size))
    )
    assert features.shape == (1500, 96) and features.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert (probabilities.argmax(axis=1) == labels).mean() > 0.97


def test_stacked_digits_are_one_class_of_three_digits(test_digits):
    digits, labels = test_digits
    a, b, c = digits[:400], digits[400:800], digits[800:1200]
    extractor = feature_extractors.make_feature_extractor(Config(dataset="stacked_mnist"))
    features, probabilities = extractor(np.concatenate([a, b, c], axis=-1))
    expected = 100 * labels[:400].astype(int) + 10 * labels[400:800] + labels[800:1200]
    assert features.shape == (400, 288) and probabilities.shape == (400, 1000)
    assert (probabilities.argmax(axis=1) == expected).mean() > 0.95


@pytest.fixture
def passed(test_digits, monkeypatch, tmp_path):
    """Digits below 3 as arrays, with 150 held out and a separate cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(feature_extractors, "SMALL_STEPS", 60)
    digits, ids = test_digits
    digits, ids = resize(digits[ids < 3], (40, 36)), ids[ids < 3].astype(int)

    def call(ids=ids, held_out=150):
        images = {"train": digits[held_out:], "test": digits[:held_out]}
        return Passed(images, {"train": ids[held_out:], "test": ids[:held_out]}, ["0", "1", "2"])

    return call


LABELED = Config(dataset="arrays", conditional=True)


def test_processes_at_once_train_one_classifier(passed, monkeypatch):
    trained = []

    def slowly(images, labels, epochs, classes):
        trained.append(0)
        time.sleep(1)
        return classifier.make_classifier(images.shape[1:], classes)

    monkeypatch.setattr(feature_extractors, "train_classifier", slowly)
    digits = passed().images["train"]
    ids = passed().labels["train"]
    with ThreadPoolExecutor(2) as pool:
        kept = [
            pool.submit(feature_extractors.kept_classifier, "digits", digits, ids, 3, 1)
            for _ in range(2)
        ]
    ours, theirs = (each.result().get_weights() for each in kept)
    assert len(trained) == 1
    assert all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_a_damaged_classifier_is_trained_again(passed, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(
        feature_extractors,
        "train_classifier",
        lambda images, *_, classes: classifier.make_classifier(images.shape[1:], classes),
    )
    digits, ids = passed().images["train"], passed().labels["train"]
    for _ in range(2):
        feature_extractors.kept_classifier("digits", digits, ids, 3, 1)
    (kept,) = tmp_path.rglob("classifier-digits-*.npz")
    kept.write_bytes(kept.read_bytes()[:1000])
    feature_extractors.kept_classifier("digits", digits, ids, 3, 1)
    assert capsys.readouterr().out.count("training a classifier of digits once") == 2


def test_labels_that_can_be_learned_have_their_own_classifier(passed, monkeypatch):
    with passing(passed()):
        extractor = feature_extractors.make_feature_extractor(LABELED)
        monkeypatch.setattr(feature_extractors, "train_classifier", None)  # it is kept
        again = feature_extractors.make_feature_extractor(LABELED)
    images, labels = passed().images["test"], passed().labels["test"]
    features, probabilities = extractor(images)
    accuracy = (probabilities.argmax(axis=1) == labels).mean()
    assert features.shape == (150, 96) and probabilities.shape == (150, 3) and accuracy > 0.9
    assert extractor.name == again.name == f"classifier of the labels, {accuracy:.2%} accuracy"
    assert extractor.features == "" and np.array_equal(again(images).features, features)


def test_labels_that_say_nothing_leave_pixels_and_edges(passed, test_digits):
    with passing(passed(np.random.default_rng(0).integers(0, 2, 1500))):
        extractor = feature_extractors.make_feature_extractor(LABELED)
    assert extractor.features == "pixels_and_edges"
    assert re.search(
        r"; a classifier of the labels has \d\d\.\d\d% accuracy, too low$", extractor.name
    )


@pytest.mark.parametrize("conditional, held_out", [(False, 150), (True, 99), (True, 0)])
def test_no_classifier_is_trained_without_labels_or_with_few_held_out_images(
    passed, monkeypatch, conditional, held_out
):
    monkeypatch.setattr(feature_extractors, "train_classifier", None)
    with passing(passed(held_out=held_out)):
        config = Config(dataset="arrays", conditional=conditional)
        extractor = feature_extractors.make_feature_extractor(config)
    assert extractor.name == "pixels and edges (no learned features: not FID)"


def test_pixels_and_edges_are_what_numpy_and_pillow_compute():
    extractor = feature_extractors.make_feature_extractor(Config(dataset="folder", data_dir="x"))
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 1), np.uint8)
    features, probabilities = extractor(images)
    assert features.shape == (5, 64) and features.dtype == np.float32 and probabilities is None

    layer = (images[..., 0].astype(np.float32) - 127.5) / 127.5
    gray = means(layer, 4).reshape(5, 16)
    np.testing.assert_allclose(features[:, :48], gray.repeat(3, axis=1), atol=1e-6)
    for start in (48, 52, 56, 60):
        size, coarser = layer.shape[1], means(layer, layer.shape[1] // 2)
        enlarged = [
            Image.fromarray(each).resize((size, size), Image.Resampling.BILINEAR)
            for each in coarser
        ]
        energy = means((layer - np.stack(enlarged)) ** 2, 2).reshape(5, 4)
        np.testing.assert_allclose(
            features[:, start : start + 4],
            feature_extractors.BAND_SCALE * np.log(energy + feature_extractors.MIN_ENERGY),
            rtol=1e-4,
        )
        layer = coarser


def means(images, size):
    """The means of size × size parts of images, [N, H, W]."""
    part = images.shape[1] // size
    return images.reshape(-1, size, part, size, part).mean(axis=(2, 4))


@pytest.mark.parametrize("size", [33, *thorough(28)])
def test_distance_by_pixels_and_edges_grows_with_blur_noise_color_and_repetition(size):
    """Digits on colored backgrounds at any size, with each distortion at three strengths."""
    extractor = feature_extractors.make_feature_extractor(Config(dataset="tfrecords"))
    digits = load_images(Config())
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 128, (600, 1, 1, 3))
    images = resize((digits[:600] // 2 + ground).astype(np.uint8), (size, size))
    held_out, others = images[:300], images[300:].astype(float)

    def distance(changed):
        changed = np.clip(changed, 0, 255).astype(np.uint8)
        return frechet_distance(extractor(held_out).features, extractor(changed).features)

    real = distance(others)
    for faulty in (
        [ndimage.gaussian_filter(others, (0, s, s, 0)) for s in (1, 2, 4)],
        [others + rng.normal(0, deviation, others.shape) for deviation in (20, 40, 80)],
        [others + np.array([shift, 0, -shift]) for shift in (20, 40, 60)],
        [others[rng.integers(0, kinds, 300)] for kinds in (16, 4, 1)],
    ):
        distances = [distance(changed) for changed in faulty]
        assert 1.5 * real < distances[0] < distances[1] < distances[2]


@pytest.mark.thorough
def test_inception_has_the_weights_of_the_given_file_or_none(tmp_path, monkeypatch):
    inception = keras.applications.InceptionV3(include_top=False, pooling="avg", weights=None)
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:  # the format of keras.applications' own files
        legacy_h5_format.save_weights_to_hdf5_group(file, inception)
    images = np.random.default_rng(0).integers(0, 256, (3, 20, 20, 1), np.uint8)
    config = Config(dataset="folder", data_dir="x", inception_weights=str(path))
    features, probabilities = feature_extractors.make_feature_extractor(config)(images)
    assert features.shape == (3, 2048) and probabilities is None
    gray = images.repeat(3, axis=-1) / 127.5 - 1
    large = keras.ops.image.resize(gray, (299, 299)).numpy()
    np.testing.assert_allclose(features, inception(large, training=False), atol=1e-4)

    path.write_bytes(b"no weights")
    for weights, message in ((path, "can't be used"), (tmp_path / "absent.h5", "can't be used")):
        config = Config(dataset="folder", data_dir="x", inception_weights=str(weights))
        with pytest.raises(UserError, match=message) as error:
            feature_extractors.make_feature_extractor(config)
        assert "\n" not in str(error.value)

    def no_network(**_):
        raise OSError("no network")

    monkeypatch.setattr(keras.applications, "InceptionV3", no_network)
    with pytest.raises(UserError, match=r"downloaded \(no network\): pass a file as `inception_w"):
        feature_extractors.make_feature_extractor(
            Config(dataset="folder", data_dir="x", inception_weights="imagenet")
        )
