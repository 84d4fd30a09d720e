"""The computations of the experiment with generated digits, checked by hand."""

import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.evaluation import metrics
from experiments import classifier_from_generated as experiment


def gray(values):
    """Images of two pixels, of these gray levels."""
    return np.array(values, np.uint8).reshape(-1, 1, 2, 1)


def test_nearest_neighbors_by_hand(monkeypatch):
    references = gray([[0, 0], [100, 0], [0, 200]]), np.array([5, 6, 7])
    # Squared distances to the three, in units of 100: the first is 16, 36, 256 away, the second
    # 3600, 1600, 7600; the third is just nearer to [0, 200] than to [0, 0].
    test = gray([[40, 0], [60, 0], [0, 101], [100, 1]]), np.array([5, 6, 0, 6])
    assert experiment.nearest_neighbor_error(references, test) == 0.25
    monkeypatch.setattr(metrics, "NEAREST_CHUNK", 2)
    assert experiment.nearest_neighbor_error(references, test) == 0.25


def test_classifier_agrees_above_a_probability_of_a_half():
    probabilities = np.array([[0.6, 0.4], [0.6, 0.4], [0.5, 0.5]])
    agrees = experiment.agrees(probabilities, np.array([0, 1, 0]))
    assert agrees.tolist() == [True, False, False]


def test_batches_are_concatenated():
    images, labels = experiment.joined(
        (tf.zeros([2, 1]), tf.constant([3, 4])), (tf.ones([1, 1]), tf.constant([5]))
    )
    assert images.numpy().tolist() == [[0], [0], [1]] and labels.numpy().tolist() == [3, 4, 5]


def test_table_has_means_sample_deviations_and_gains_seed_by_seed():
    gained = {"labeled": 0, "augmented": 0.01, "generated": 0.03, "both": 0.02}
    results = {
        (labels, seed, method): value + seed / 50 + gained[method]
        for labels, value in ((1000, 0.9), (100, 0.8))
        for seed in (0, 1, 2)
        for method in experiment.METHODS
    }
    results[100, 3, "labeled"] = 0.1  # a seed that was interrupted
    lines = experiment.table(results).splitlines()
    assert lines[2] == (
        "| 100 | 82.00 ± 2.00 | 83.00 ± 2.00 | 85.00 ± 2.00 | 84.00 ± 2.00 "
        "| 3.00 ± 0.00 | 1.00 ± 0.00 |"
    )
    assert lines[3].startswith("| 1,000 | 92.00 ± 2.00 |")
    assert len({line.count("|") for line in lines}) == 1
    assert experiment.spread(np.array([0.5])) == "50.00 ± 0.00"


def test_augmented_digits_stay_near_and_get_a_black_margin():
    images = np.full((8, 28, 28, 1), -1, np.float32)
    images[:, 10:18, 10:18] = 1
    changed = np.asarray(experiment.augmentations()(images, training=True))
    assert changed.min() == pytest.approx(-1, abs=1e-4) and changed.max() > 0.9
    assert (changed[:, :4] == -1).all() and (changed[:, 13:15, 13:15] > -1).all()
    assert not np.array_equal(changed[0], changed[1])
