"""Clusters of images as labels, in runs from the command line."""

import json
import math
import sys

import imageio.v3 as iio
import keras
import numpy as np
import pytest

from dcgan_tf import load_run
from dcgan_tf.commands import evaluate, sample, train
from dcgan_tf.conditional.clusters import find_centers, nearest_centers, oriented_gradients
from dcgan_tf.data import to_uint8
from dcgan_tf.reporting.images import image_grid
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.presets import PRESETS
from dcgan_tf.starting import image_clusters
from dcgan_tf.starting.image_clusters import (
    SIDE,
    assign,
    find_clusters,
    read_clusters,
    shapes_of,
)
from tests.conftest import finish, fork, one_sentence, train_command, write_idx
from tests.test_resume import assert_same_run

FLAGS = ["--clusters=5", "--label_input=projection", "--base_filters=4"]


def ramps(counts, size, seed=0):
    """Images, uint8 [N, size, size, 1], that get brighter in one of a few directions, 45° apart.

    Returns:
        The images, so many of each direction, in any order, and the index of each one's direction.
    """
    rng = np.random.default_rng(seed)
    kinds = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    angles = np.deg2rad(45 * kinds + rng.uniform(5, 15, len(kinds)))[:, np.newaxis, np.newaxis]
    down, right = np.mgrid[:size, :size] - size // 2
    images = np.rint(128 + 2 * (np.cos(angles) * right + np.sin(angles) * down))
    return images.astype(np.uint8)[..., np.newaxis], kinds


def slow_oriented_gradients(image):
    """Histograms of oriented gradients of one channel, pixel by pixel."""
    height, width = image.shape
    histograms = np.zeros((height // 4, width // 4, 8))
    padded = np.pad(image.astype(float), 1, mode="reflect", reflect_type="odd")  # as at the edges
    for row in range(height):
        for column in range(width):
            down = (padded[row + 2, column + 1] - padded[row, column + 1]) / 2
            right = (padded[row + 1, column + 2] - padded[row + 1, column]) / 2
            degrees = math.degrees(math.atan2(down, right)) % 180
            histograms[row // 4, column // 4, int(degrees // 22.5) % 8] += math.hypot(down, right)
    return np.sqrt(histograms)


def test_oriented_gradients_are_those_of_a_slow_reference():
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 12, 2), np.uint8)
    found = oriented_gradients(images)
    assert found.shape == (3, 2, 3, 2, 8) and found.dtype == np.float32
    for image, histograms in zip(images, found):
        for channel in range(2):
            expected = slow_oriented_gradients(image[..., channel])
            np.testing.assert_allclose(histograms[:, :, channel], expected, rtol=1e-5, atol=1e-4)


def test_a_ramp_has_one_orientation():
    down, right = np.mgrid[:8, :8]
    image = np.uint8(4 * down + 3 * right)[np.newaxis, :, :, np.newaxis]
    histograms = oriented_gradients(image)[0, :, :, 0]
    # 16 gradients of length 5, at 53°: between 45° and 67.5°.
    np.testing.assert_allclose(histograms[..., 2], np.sqrt(16 * 5), rtol=1e-6)
    np.testing.assert_array_equal(np.delete(histograms, 2, axis=2), 0)
    # The opposite direction has the same orientation.
    np.testing.assert_array_equal(oriented_gradients(255 - image)[0, :, :, 0], histograms)


def test_clusters_are_those_of_similar_images_the_largest_first():
    images, kinds = ramps([20, 70, 10, 50], size=8)
    features = oriented_gradients(images)
    centers = find_centers(features, 4, seed=0)
    order = np.array([1, 3, 0, 2])  # of the kinds, by their counts
    means = [features[kinds == kind].mean(axis=0) for kind in order]
    np.testing.assert_allclose(centers, means, atol=1e-3)
    np.testing.assert_array_equal(order[nearest_centers(features, centers)], kinds)


def test_each_image_is_in_the_cluster_whose_center_is_nearest(mnist):
    features = oriented_gradients(mnist[:2000, ..., np.newaxis])
    centers = find_centers(features, 20, seed=3)
    ids = nearest_centers(features, centers)
    distances = [((features - center) ** 2).sum(axis=(1, 2, 3, 4)) for center in centers]
    np.testing.assert_array_equal(ids, np.argmin(distances, axis=0))
    counts = np.bincount(ids)
    assert len(counts) == 20 and (np.diff(counts) <= 0).all()
    np.testing.assert_array_equal(find_centers(features, 20, seed=3), centers)


def test_most_digits_in_a_cluster_are_the_same(mnist, mnist_labels):
    def purity(features):
        ids = nearest_centers(features, find_centers(features, 30, seed=0))
        majorities = [np.bincount(labels[ids == cluster]).max() for cluster in range(30)]
        return sum(majorities) / len(labels)

    images, labels = mnist[:4000, ..., np.newaxis], mnist_labels[:4000]
    assert purity(oriented_gradients(images)) > 0.85
    assert purity(images) < 0.8


def test_if_fewer_images_differ_there_are_fewer_clusters():
    features = np.repeat([0.0, 200.0, 100.0], [5, 3, 4])[:, None] + np.zeros(64)
    centers = find_centers(features, 6, seed=0)
    np.testing.assert_allclose(centers[:, 0], [0, 100, 200], atol=1e-3)


@pytest.mark.parametrize("size", [SIDE // 2, 2 * SIDE])
def test_images_are_compared_at_one_size(size, tmp_path):
    images, kinds = ramps([5, 9], size)
    found = find_clusters(Config(clusters=2), images, RunDirectory(tmp_path / "new"))
    assert found.centers.shape == (2, 8, 8, 1, 8)
    np.testing.assert_array_equal(found.ids, 1 - kinds)
    assert found.labels.classes.names == ["0", "1"] and found.labels.classes.counts == [9, 5]
    again = find_clusters(Config(clusters=2), images)
    np.testing.assert_array_equal(again.ids, found.ids)
    with pytest.raises(UserError, match="`clusters` 15 is more than the 14 training images"):
        find_clusters(Config(clusters=15), images)


def test_clusters_of_an_older_run_are_of_pixels():
    """Their centers are means of small images."""
    images, _ = ramps([5, 9], 2 * SIDE)
    images[:3] //= 2  # darker, and of any orientation
    means = np.stack([images[3:].mean(axis=0), images[:3].mean(axis=0)])[:, ::2, ::2]
    ids = assign(images, means.astype(np.float32))
    np.testing.assert_array_equal(ids, [1] * 3 + [0] * 11)


@pytest.fixture(scope="module")
def run(tmp_path_factory, digits_dir):
    """A run of 12 steps on digits in five clusters, made by a process of its own."""
    run_dir = tmp_path_factory.mktemp("runs") / "clusters"
    command = train_command(run_dir, digits_dir, *FLAGS)
    code, out, err = finish(command, how=fork)
    assert code == 0 and "mnist: 50 images of 28×28×1 in 5 clusters" in out, err
    return run_dir


def test_resumed_run_keeps_its_clusters(run_main, run, digits_dir, tmp_path, monkeypatch):
    """It ends as if it had not been stopped, though no cluster could be found again."""
    stopped = tmp_path / "stopped"
    flags = [*train_command(stopped, digits_dir, *FLAGS)[2:]]
    assert run_main(train, *flags, "--max_steps=3")[0] == 0
    monkeypatch.setattr(image_clusters, "find_centers", None)
    monkeypatch.setattr(image_clusters, "nearest_centers", None)
    code, out, err = run_main(train, f"--run_dir={stopped}", "--epochs=2")
    assert code == 0 and "resumed after step" in out, err
    assert_same_run(stopped, run)


def test_images_without_a_label_have_the_clusters_proportions(run_main, run, mnist):
    numbers, centers = read_clusters(run / "clusters.npz")
    assert len(centers) == 5
    features = shapes_of(mnist[:50, ..., None])
    np.testing.assert_array_equal(nearest_centers(features, centers), numbers)
    loaded = load_run(run)
    assert loaded.classes.counts == tuple(np.bincount(numbers))
    labels = loaded.noise(range(2000))[:, 100:].argmax(axis=1)
    np.testing.assert_allclose(np.bincount(labels) / 2000, np.bincount(numbers) / 50, atol=0.04)
    output = run.parent / "drawn.npz"
    for flags in ([], ["--label=3"]):
        assert run_main(sample, f"--run_dir={run}", f"--output={output}", *flags)[0] == 0
        with np.load(output) as archive:
            label = flags[0][-1] if flags else None
            np.testing.assert_array_equal(archive["images"], loaded.sample(label=label))
    grid = iio.imread(run / "samples" / "epoch_0002.png").astype(int)
    assert np.abs(grid - image_grid(loaded.sample().array)).max() <= 1
    reals = iio.imread(run / "samples" / "reals.png")
    np.testing.assert_array_equal(reals, image_grid(mnist[:16, ..., None]))


def test_run_is_evaluated_as_one_without_labels(run_main, run, tmp_path):
    code, out, err = run_main(evaluate, f"--run_dir={run}", "--num_images=25")
    assert code == 0 and "class distribution, 9" in out and "requested" not in out, err
    found = json.loads((run / "evaluation.json").read_text())
    assert found["classes"] == [] and "class_distances" not in found["real"]


def test_run_that_starts_from_another_keeps_its_clusters(run, digits_dir, mnist, tmp_path):
    """Each image of the other run is in the same cluster, although the seed differs."""
    folder = tmp_path / "more"
    folder.mkdir()
    write_idx(folder / "train-images-idx3-ubyte", mnist[30:90])
    other = tmp_path / "run"
    command = train_command(other, folder, *FLAGS, f"--init_from={run}", "--seed=7")
    code, out, err = finish([*command, "--max_steps=2"], how=fork)
    assert code == 0 and "at step 12" in out, err
    theirs, ours = (read_clusters(each / "clusters.npz") for each in (run, other))
    np.testing.assert_array_equal(ours.ids[:20], theirs.ids[30:])
    np.testing.assert_array_equal(ours.centers, theirs.centers)


def test_exported_generator_takes_a_cluster(run, tmp_path):
    command = [sys.executable, "-m", "dcgan_tf", "export", f"--run_dir={run}"]
    code, out, err = finish([*command, f"--output={tmp_path / 'export'}"], how=fork)
    assert code == 0 and "a label from 0 to 4; its images" in out and out.count("within") == 6, err
    model = keras.saving.load_model(tmp_path / "export" / "generator.keras")
    noise, label = load_run(run).noise(range(3))[:, :100], np.full(3, 4, np.int32)
    images = load_run(run).sample(3, label=4).array
    assert np.abs(to_uint8(model([noise, label])).astype(int) - images).max() <= 1


def test_damaged_clusters_get_one_sentence(run_main, run, digits_dir, tmp_path):
    (tmp_path / "config.json").write_bytes((run / "config.json").read_bytes())
    (tmp_path / "clusters.npz").write_bytes((run / "clusters.npz").read_bytes()[:-30])
    code, _, err = run_main(train, f"--run_dir={tmp_path}", f"--data_dir={digits_dir}")
    assert code == 1 and "clusters.npz is damaged" in err and one_sentence(err)


def test_clusters_of_a_preset_can_be_left_out():
    assert Config.from_preset("digits").clusters == 50
    assert not Config.from_preset("digits", clusters=0).learns_labels
    for clusters in (1, -1, 1001):
        with pytest.raises(
            UserError, match="`clusters` must be 0, or a whole number from 2 to 1000"
        ):
            Config(clusters=clusters)


def test_labels_of_two_origins_are_refused(monkeypatch):
    monkeypatch.setitem(PRESETS, "paper", PRESETS["paper"] | {"clusters": 5})
    assert Config.from_preset("paper").clusters == 5
    assert Config.from_preset("paper", conditional=True).clusters is None
    with pytest.raises(UserError, match="`clusters` replaces them: use only one"):
        Config(clusters=5, conditional=True)
