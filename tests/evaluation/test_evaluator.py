import dataclasses

import imageio.v3 as iio
import numpy as np
import pytest

from dcgan_tf.datasets.loading import load_held_out, load_images, load_training_labels, shrink
from dcgan_tf.evaluation.evaluator import Evaluator, evenly_spaced
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from tests.conftest import write_idx, write_labels


@pytest.fixture(scope="module")
def digits():
    """MNIST's training digits."""
    return load_images(Config())


@pytest.fixture(scope="module")
def evaluator(digits):
    return Evaluator(Config(), digits, 2000)


@pytest.fixture(scope="module")
def fresh(evaluator):
    """2,000 test digits that are not among those compared with."""
    held_out = load_held_out(Config())
    chosen = {image.tobytes() for image in evaluator.held_out}
    return np.stack([image for image in held_out if image.tobytes() not in chosen][:2000])


@pytest.fixture(scope="module")
def fresh_scores(evaluator, fresh):
    """The scores of `fresh`."""
    return evaluator.scores(fresh)


def test_identical_images_have_no_distance(evaluator):
    scores = evaluator.scores(evaluator.held_out)
    assert scores["frechet_distance"] == pytest.approx(0, abs=1e-6)
    assert scores["precision"] == scores["recall"] == scores["coverage"] == 1
    assert scores["classes_missed"] == 0 and scores["classifier_score"] > 9


def test_real_images_are_the_baseline_and_noise_is_far_above_it(evaluator, fresh, fresh_scores):
    baseline, other = evaluator.baseline, fresh_scores
    noise = evaluator.scores(np.random.default_rng(0).integers(0, 256, fresh.shape, np.uint8))
    assert baseline["precision"] > 0.7 and baseline["recall"] > 0.7
    assert other["frechet_distance"] < 3 * baseline["frechet_distance"]
    assert noise["frechet_distance"] > 100 * baseline["frechet_distance"]
    assert noise["precision"] < 0.01 and noise["coverage"] < 0.01


def test_distance_grows_with_noise_and_with_dropped_classes(evaluator, fresh, fresh_scores):
    rng = np.random.default_rng(0)
    noisy = [
        np.clip(fresh + rng.normal(0, deviation, fresh.shape), 0, 255).astype(np.uint8)
        for deviation in (20, 80)
    ]
    classes = evaluator.feature_extractor(fresh).probabilities.argmax(axis=1)
    dropped = [fresh[classes >= first] for first in (1, 6)]
    for sets in (noisy, dropped):
        found = [fresh_scores, *(evaluator.scores(images) for images in sets)]
        distances = [scores["frechet_distance"] for scores in found]
        assert distances == sorted(distances) and distances[2] > 10 * distances[0]
        kernel = [scores["kid"] for scores in found]
        assert kernel == sorted(kernel)
    assert [scores["classes_missed"] for scores in found] == [0, 1, 6]
    assert found[2]["recall"] < found[0]["recall"] - 0.2


def test_a_generator_of_one_digit(evaluator, fresh):
    scores = evaluator.scores(fresh[:1].repeat(500, axis=0))
    assert scores["classes_missed"] == 9 and scores["recall"] == 0
    assert max(scores["class_distribution"]) == 1
    assert scores["classifier_score"] == pytest.approx(1)


def test_copies_of_training_images_are_found_out(digits, fresh):
    digits = digits[:6000]
    evaluator = Evaluator(Config(), digits, 500)
    copies = digits[::60].copy()
    figures, distances, which = evaluator.memorization(copies)
    assert figures.distance == 0 and figures.closer == 1
    assert np.array_equal(digits[which], copies) and not distances.any()
    honest, _, _ = evaluator.memorization(fresh[:500])
    assert honest.closer < 0.04
    assert honest.distance == pytest.approx(honest.held_out_distance, rel=0.1)


def test_mirrored_copies_are_found_if_training_mirrors(digits):
    digits = digits[:6000]
    flipping = Evaluator(Config(flip=True), digits, 200)
    figures, distances, _ = flipping.memorization(digits[::30, :, ::-1])
    assert figures.closer == 1 and distances.max() < 2  # they are mirrored, then shrunk


def test_copies_are_found_even_if_held_out_images_are_copies(digits, fresh):
    held_out = np.concatenate([fresh[:95], digits[:5]])
    evaluator = Evaluator(Config(), digits[:6000], held_out=held_out)
    figures, _, _ = evaluator.memorization(digits[5:25])
    assert figures.closer == 1


def test_few_images_give_a_warning(evaluator, digits):
    assert evaluator.warning() is None
    assert (
        "300 images are too few for the covariances of 96 features"
        in Evaluator(Config(), digits, 300).warning()
    )


def test_few_images_of_a_class_give_a_warning(digits):
    config = Config(conditional=True)
    labels = load_training_labels(config, digits)
    evaluator = Evaluator(config, digits, 400, labels=labels)
    warning = evaluator.warning()
    fewest = np.bincount(evaluator.real_labels).min()
    assert fewest < 40 and f"a class has only {fewest} images" in warning


def test_stacked_digits_have_a_thousand_classes():
    config = Config(dataset="stacked_mnist")
    stacked = load_images(config)
    scores = Evaluator(config, stacked, 1000).baseline
    assert len(scores["class_distribution"]) == 1000
    # 1,000 draws miss 1000 · (1 − 1/1000)^1000 = 368 of 1,000 equal classes, give or take 10.
    assert 330 < scores["classes_missed"] < 410


@pytest.mark.parametrize("number, reason", [(0, "no t10k-images-idx3-ubyte"), (19, "has only 19")])
def test_training_images_stand_in_for_too_few_held_out_ones(
    tmp_path, mnist, number, reason, caplog
):
    write_idx(tmp_path / "train-images-idx3-ubyte", mnist[:60])
    if number:
        write_idx(tmp_path / "t10k-images-idx3-ubyte", mnist[100 : 100 + number])
    config = Config(data_dir=str(tmp_path), batch_size=10)
    found = Evaluator(config, load_images(config), 25)
    assert found.compared_with == "training"
    (warning,) = caplog.messages
    assert reason in warning and "one half of the training images" in warning
    # Two halves without an image in common, of the same number.
    sets = [{image.tobytes() for image in images} for images in (found.held_out, found.training)]
    assert len(sets[0]) == len(sets[1]) == 25 and not sets[0] & sets[1]
    assert (sets[0] | sets[1]) <= {image.tobytes() for image in mnist[:60]}

    with pytest.raises(UserError, match=f"{reason}.* only 39 training images .*: at least 40"):
        Evaluator(config, load_images(config)[:39], 25)


@pytest.mark.parametrize("held_out, compared_with", [(0.0, "training"), (0.5, "held-out")])
def test_labels_are_those_of_the_images_beside_them(tmp_path, held_out, compared_with):
    """A folder whose classes are shades: 0, 100 and 200."""
    for number, name in enumerate(("cat", "dog", "eel")):
        (tmp_path / name).mkdir()
        for i in range(20 + 10 * number):
            pixels = np.full((8, 8), 100 * number, np.uint8)
            iio.imwrite(tmp_path / name / f"{i:02}.png", pixels)
    config = Config(
        dataset="folder",
        data_dir=str(tmp_path),
        conditional=True,
        held_out=held_out,
        image_size=8,
        batch_size=8,
        cache_dir=str(tmp_path / ".cache"),
    )
    images = load_images(config)
    evaluator = Evaluator(config, images, 25, labels=load_training_labels(config, images))
    assert evaluator.compared_with == compared_with
    sets = ((evaluator.held_out, evaluator.real_labels), evaluator.reference)
    for some, numbers in sets:
        assert len(some) == 25
        np.testing.assert_array_equal(some[:, 0, 0, 0], 100 * numbers)
    assert evaluator.scores(*sets[0])["class_distances"] == pytest.approx([0, 0, 0], abs=1e-6)


def test_held_out_images_without_labels_are_refused_before_a_training(tmp_path, mnist):
    for name in ("train", "t10k"):
        write_idx(tmp_path / f"{name}-images-idx3-ubyte", mnist[:50])
    write_labels(tmp_path / "train-labels-idx1-ubyte", np.arange(50) % 10)
    config = Config(data_dir=str(tmp_path), conditional=True, batch_size=8)
    images = load_images(config)
    labels = load_training_labels(config, images)
    with pytest.raises(UserError, match="no t10k-labels-idx1-ubyte"):
        Evaluator(config, images, 25, labels=labels)
    write_labels(tmp_path / "t10k-labels-idx1-ubyte", np.arange(49) % 10)
    with pytest.raises(UserError, match="50 held-out images but 49 labels for them"):
        Evaluator(config, images, 25, labels=labels)


def test_held_out_digits_are_the_test_digits_at_the_size_of_the_run(mnist):
    held_out = load_held_out(Config())
    trained_on = {image.tobytes() for image in mnist}
    assert held_out.shape == (10_000, 28, 28, 1)
    assert not any(image.tobytes() in trained_on for image in held_out[:500])
    config = dataclasses.replace(Config(), image_size=32)
    assert load_held_out(config).shape == (10_000, 32, 32, 1)


def test_spread_and_shrink():
    images = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)
    assert evenly_spaced(images, 4).ravel().tolist() == [0, 3, 6, 9]
    assert len(evenly_spaced(images, 100)) == 10
    assert shrink(images, 16).shape == (10, 1, 1, 1)
    shrunk = shrink(np.full((2, 64, 12, 3), 7, np.uint8), 16)
    assert shrunk.tolist() == np.full((2, 16, 12, 3), 7).tolist()
