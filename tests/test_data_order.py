"""The order of the images: another in each epoch and for each seed, and that of older runs."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.data import epoch_order, make_batches
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.settings.config import Config

FIXTURES = Path(__file__).parent / "fixtures"


def order(num_images, seed=0, epoch=0):
    return epoch_order(Config(seed=seed), tf.constant(epoch, tf.int64), num_images).numpy()


def indices(num_images, config, start, stop, **kwargs):
    """Which images are in each batch: those are of one shade each, which is their index."""
    images = np.arange(num_images, dtype=np.uint8)[:, None, None, None]
    batches = make_batches(images, config, start, stop, **kwargs)
    return [
        np.rint(batch.numpy().ravel() * 127.5 + 127.5).astype(int).tolist() for batch in batches
    ]


@pytest.mark.parametrize("num_images", [90, 451, 3_611, 60_000, 300_000])
def test_order_is_a_permutation_that_the_whole_seed_and_epoch_decide(num_images):
    drawn = [
        order(num_images, seed, epoch)
        for seed, epoch in ((0, 3), (0, 259), (256, 3), (0, 3 + 2**16), (2**31 - 1, 3), (3, 0))
    ]
    for each in drawn:
        np.testing.assert_array_equal(np.sort(each), np.arange(num_images))
    for i, one in enumerate(drawn):
        assert not any((one == other).mean() > 0.1 for other in drawn[i + 1 :])


def test_images_are_left_out_of_epochs_evenly():
    """90 images in batches of 32: each is used in 64 of 90 epochs, by fair draws."""
    epochs = 2_000
    config = Config(batch_size=32, epochs=epochs)
    used = np.bincount(np.concatenate(indices(90, config, 0, 2 * epochs)), minlength=90)
    share = 64 / 90
    deviation = np.sqrt(epochs * share * (1 - share))
    assert used.sum() == 64 * epochs
    # Of 90 normal values, one in 300 samples has one beyond 4.5 deviations.
    assert np.abs(used - epochs * share).max() < 4.5 * deviation


def test_any_step_can_be_the_first():
    config = Config(batch_size=7, seed=5)
    whole = indices(50, config, 0, 40)
    for start, stop in ((0, 3), (6, 8), (13, 40), (39, 40)):
        assert indices(50, config, start, stop) == whole[start:stop]
    for epoch in range(5):
        images = np.concatenate(whole[7 * epoch : 7 * epoch + 7])
        assert len(set(images)) == 49


def test_replicas_share_each_batch():
    config = Config(batch_size=8, loss="wasserstein", weight_clip=0.1, discriminator_steps=2)
    whole = indices(50, config, 0, 5)
    first, second = (
        indices(50, config, 0, 5, replicas=range(i, i + 1), num_replicas=2) for i in (0, 1)
    )
    for batch, a, b in zip(whole, first, second):
        assert [*a[:4], *b[:4], *a[4:], *b[4:]] == batch
    both = indices(50, config, 0, 5, replicas=range(2), num_replicas=2)
    assert both[::2] == first and both[1::2] == second


@pytest.mark.parametrize("fixture", ["run_format_1", "run_format_2", "run_format_3"])
def test_older_runs_keep_their_order(fixture):
    """Also beyond the 256 epochs after which it repeats; worked out by TensorFlow's own cipher."""
    config, _ = RunDirectory(FIXTURES / fixture / "run").read_config()
    assert config.ordering == 1 and Config().ordering == 2
    config = dataclasses.replace(config, batch_size=8, discriminator_steps=1, flip=False)
    for step in (0, 7, 300 * 6 + 4):
        epoch, place = divmod(step, 6)
        positions = tf.range(place * 8, place * 8 + 8, dtype=tf.int64)
        wanted = tf.random.experimental.index_shuffle(
            positions, [config.seed, epoch], max_index=tf.constant(49, tf.int64)
        )
        assert indices(50, config, step, step + 1) == [wanted.numpy().tolist()]
