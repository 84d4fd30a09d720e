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


def test_checkpoint_round_trip(tmp_path):
    history = History()
    history.append(np.arange(12.0).reshape(3, 4), 0.5, 2.0)
    prefix = tf.train.Checkpoint(history=history).write(str(tmp_path / "x"))
    restored = History()
    tf.train.Checkpoint(history=restored).read(prefix).assert_consumed()
    assert np.array_equal(restored.rows, history.rows)
