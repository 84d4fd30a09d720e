import numpy as np
import pytest

from dcgan_tf.datasets import loading
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError


def test_the_error_of_fewer_images_than_a_batch_gives_both_counts(digits_dir):
    with pytest.raises(UserError, match="50 images to train on, fewer than `batch_size` 64"):
        loading.load_images(Config(data_dir=str(digits_dir), batch_size=64))


def test_resizing_keeps_flat_images_and_their_own_size(mnist):
    flat = np.full((3, 28, 28, 1), 77, np.uint8)
    assert (loading.resize(flat, (64, 64)) == 77).all()
    assert loading.resize(flat, (64, 64)).shape == (3, 64, 64, 1)
    assert loading.resize(flat, None) is flat and loading.resize(flat, (28, 28)) is flat
    digits = mnist[:1500, ..., np.newaxis]
    small = loading.resize(digits, (14, 14))
    # Antialiased halving keeps the mean; picking every second pixel would not keep a blur.
    assert abs(small.mean() - digits.mean()) < 0.5 and len(small) == 1500
