import math

import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.history import History


def test_epochs_are_means_of_their_steps():
    history = History()
    history.append(np.array([[1, 2, 0.5, 0.25]]), math.nan, 4.0)
    history.append(np.array([[3, 4, 0.7, 0.35], [5, 9, 0.9, 0.15]]), 0.5, 2.0)
    first, second = history.epochs(steps_per_epoch=2, batch_size=8)
    # Epoch 1 is steps 1 and 2; only step 2 was timed: 8 images in half a second.
    assert first[:2] == (1, 2)
    assert first[2:] == pytest.approx((2, 3, 0.6, 0.3, 16, 5))
    # Epoch 2 is step 3 so far: the block's two steps took 2 seconds, each 1.
    assert second[:2] == (2, 3)
    assert second[2:] == pytest.approx((5, 9, 0.9, 0.15, 16, 1))
    assert history.last_epoch(steps_per_epoch=2, batch_size=8) == second


def test_speed_is_unknown_where_the_only_step_was_traced():
    history = History()
    history.append(np.ones((1, 4)), math.nan, 4.0)
    (row,) = history.epochs(steps_per_epoch=2, batch_size=8)
    assert math.isnan(row.images_per_second) and row.seconds == 4


def make_history(step_seconds=0.5):
    history = History()
    history.append(np.arange(12.0).reshape(3, 4), step_seconds, 6.0)
    return history


def test_checkpoint_round_trip_with_times_from_their_file(tmp_path):
    history = make_history()
    prefix = tf.train.Checkpoint(history=history).write(str(tmp_path / "x"))
    history.append(np.ones((5, 4)), 0.1, 5.0)
    history.save_times(tmp_path / "times.npy")
    restored = History()
    tf.train.Checkpoint(history=restored).read(prefix).assert_consumed()
    restored.load_times(tmp_path / "times.npy")
    assert np.array_equal(restored.metrics, np.arange(12.0).reshape(3, 4))
    assert restored.times.tolist() == [[0.5, 2.0]] * 3


@pytest.mark.parametrize("content", [None, b"", b"no array"])
def test_times_that_are_lost_are_unknown(tmp_path, content):
    if content is not None:
        (tmp_path / "times.npy").write_bytes(content)
    history = History()
    history.deserialize(make_history().serialize())
    history.load_times(tmp_path / "times.npy")
    (row,) = history.epochs(steps_per_epoch=4, batch_size=8)
    assert row.gen_loss == 4 and math.isnan(row.images_per_second) and row.seconds == 0


def test_equal_metrics_have_equal_bytes_whatever_the_times():
    assert make_history(0.5).serialize() == make_history(0.7).serialize()
