import io
import math

import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.evaluation.scores import Evaluation
from dcgan_tf.reporting.history import History
from dcgan_tf.train_step import StepScalars


def test_epochs_are_means_of_their_steps():
    history = History()
    history.append(np.array([[1, 2, 0.5, 0.25, 10, 20, 0.8]]), math.nan, 4.0)
    later = [[3, 4, 0.7, 0.35, 12, 22, 1.0], [5, 9, 0.9, 0.15, 14, 24, 1.1]]
    history.append(np.array(later), 0.5, 2.0)
    first, second = history.epochs(steps_per_epoch=2, batch_size=8)
    # Epoch 1 is steps 1 and 2; only step 2 was timed: 8 images in half a second.
    assert first[:2] == (1, 2)
    assert first.means == pytest.approx((2, 3, 0.6, 0.3, 11, 21, 0.9))
    assert first[3:] == pytest.approx((16, 5))
    # Epoch 2 is step 3 so far: the block's two steps took 2 seconds, each 1.
    assert second[:2] == (2, 3)
    assert second.means == pytest.approx((5, 9, 0.9, 0.15, 14, 24, 1.1))
    assert second[3:] == pytest.approx((16, 1))
    assert history.last_epoch(steps_per_epoch=2, batch_size=8) == second


def test_speed_is_unknown_if_the_only_step_was_traced():
    history = History()
    history.append(np.ones((1, 7)), math.nan, 4.0)
    (row,) = history.epochs(steps_per_epoch=2, batch_size=8)
    assert math.isnan(row.images_per_second) and row.seconds == 4


def make_history(step_seconds=0.5):
    history = History()
    history.append(np.arange(21.0).reshape(3, 7), step_seconds, 6.0)
    return history


def test_checkpoint_round_trip_with_times_from_their_file(tmp_path):
    history = make_history()
    prefix = tf.train.Checkpoint(history=history).write(str(tmp_path / "x"))
    history.append(np.ones((5, 7)), 0.1, 5.0)
    history.save_times(tmp_path / "times.npy")
    restored = History()
    tf.train.Checkpoint(history=restored).read(prefix).assert_consumed()
    restored.load_times(tmp_path / "times.npy")
    assert np.array_equal(restored.metrics, np.arange(21.0).reshape(3, 7))
    assert restored.times.tolist() == [[0.5, 2.0]] * 3


@pytest.mark.parametrize("content", [None, b"", b"no array"])
def test_lost_times_are_unknown(tmp_path, content):
    if content is not None:
        (tmp_path / "times.npy").write_bytes(content)
    history = History()
    history.deserialize(make_history().serialize())
    history.load_times(tmp_path / "times.npy")
    (row,) = history.epochs(steps_per_epoch=4, batch_size=8)
    assert row.means.gen_loss == 7 and math.isnan(row.images_per_second) and row.seconds == 0


def test_bytes_depend_on_metrics_and_not_on_times():
    assert make_history(0.5).serialize() == make_history(0.7).serialize()


def test_columns_of_an_epoch_are_the_fields_of_its_scalars():
    (row,) = make_history().epochs(steps_per_epoch=3, batch_size=8)
    names = ["epoch", "step", *StepScalars._fields, "images_per_second", "seconds"]
    assert list(row.columns()) == names and row.columns()["disc_loss"] == 8


def evaluation(step, distance, distribution=()):
    values = {
        "frechet_distance": distance,
        "frechet_baseline": 0.5,
        "precision": 0.25,
        "recall": 0.125,
    }
    if len(distribution):
        missed = sum(fraction == 0 for fraction in distribution)
        values |= {"classes_missed": missed, "class_distribution": np.array(distribution)}
    return Evaluation(step, values)


@pytest.mark.parametrize("distribution", [[], [0.0, 1.0], [0.0] * 900 + [0.01] * 100])
def test_evaluations_are_restored_from_a_checkpoint_and_ranked(distribution):
    history = make_history()
    assert history.by_quality() == []
    for step, distance in ((10, 3.0), (20, 1.0), (30, 2.0)):
        history.evaluations.append(evaluation(step, distance, distribution))
    restored = History()
    restored.deserialize(history.serialize())
    assert restored.by_quality() == [20, 30, 10]
    assert restored.serialize() == history.serialize()
    found, made = restored.evaluation_of(30), history.evaluation_of(30)
    assert found.columns() == made.columns() and found.values.keys() == made.values.keys()
    assert np.array_equal(found.values.get("class_distribution", []), distribution)
    assert restored.evaluation_of(40) is None


def save_arrays(*arrays):
    """The bytes of a history: one .npy after the other."""
    file = io.BytesIO()
    for array in arrays:
        np.save(file, array)
    return file.getvalue()


def test_a_history_without_evaluations_has_the_bytes_of_earlier_versions():
    metrics = np.arange(21.0).reshape(3, 7)
    assert make_history().serialize() == save_arrays(metrics, np.array([]))


def test_evaluations_without_column_names_are_read():
    rows = [[10, 3.0, 0.5, 0.25, 0.125, 0, 1], [20, 2.0, 0.5, 0.25, 0.125, 0.5, 0.5]]
    history = History()
    history.deserialize(save_arrays(np.ones((3, 7)), np.array(rows)))
    assert history.by_quality() == [20, 10]
    assert history.evaluation_of(10).columns() == evaluation(10, 3.0, [0.0, 1.0]).columns()
    history.deserialize(save_arrays(np.ones((3, 7)), np.array(rows)[:, :5]))
    assert history.evaluation_of(20).columns() == evaluation(20, 2.0).columns()


def test_what_older_steps_and_evaluations_lack_is_nan():
    history = History()
    history.deserialize(save_arrays(np.ones((3, 5)), np.array([])))
    (row,) = history.epochs(steps_per_epoch=3, batch_size=8)
    assert row.means[:5] == (1,) * 5 and np.isnan(row.means[5:]).all()
    history.evaluations += [evaluation(10, 3.0), evaluation(20, 2.0, [0.0, 1.0])]
    history.deserialize(history.serialize())
    first = history.evaluation_of(10).columns()
    assert first["frechet_distance"] == 3 and np.isnan([first["class_0"], first["class_1"]]).all()


def test_evaluations_by_other_features_are_kept_apart():
    history = make_history()
    history.evaluations = [
        evaluation(10, 3.0, [0.0, 1.0]),
        evaluation(20, 1.0)._replace(features="toys"),
        evaluation(30, 2.0)._replace(features="toys"),
    ]
    assert history.by_quality() == [20, 30]
    restored = History()
    restored.deserialize(history.serialize())
    assert restored.serialize() == history.serialize()
    assert [made.columns() for made in restored.evaluations] == [
        made.columns() for made in history.evaluations
    ]
    assert restored.evaluation_of(20).columns() == {
        "frechet_distance_by_toys": 1.0,
        "frechet_baseline_by_toys": 0.5,
        "precision_by_toys": 0.25,
        "recall_by_toys": 0.125,
    }


def test_evaluations_with_other_held_out_images_are_not_ranked_with_the_last():
    history = make_history()
    history.evaluations = [evaluation(step, step / 10) for step in (10, 20, 30)]
    history.evaluations[0].values["frechet_baseline"] = 0.6  # was 0.5
    assert history.by_quality() == [20, 30]


def test_columns_of_an_evaluation():
    assert evaluation(1, 2.0).columns() == {
        "frechet_distance": 2.0,
        "frechet_baseline": 0.5,
        "precision": 0.25,
        "recall": 0.125,
    }
    ten = evaluation(1, 2.0, [0.0] * 9 + [1.0]).columns()
    assert ten["classes_missed"] == 9 and ten["class_8"] == 0 and ten["class_9"] == 1
    many = evaluation(1, 2.0, [0.0] * 900 + [0.01] * 100).columns()
    assert many["classes_missed"] == 900 and "class_0" not in many
