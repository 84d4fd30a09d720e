"""The pipeline: batches of resized, mirrored and scaled images."""

import imageio.v3 as iio
import numpy as np
import pytest

from dcgan_tf import data
from dcgan_tf.datasets import loading
from dcgan_tf.datasets.disk_images import DiskImages
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError


def test_folder_of_images_trains_like_an_array(tmp_path, mnist):
    """The batches of images on disk are those of the same images in memory."""
    for i, digit in enumerate(mnist[:20]):
        iio.imwrite(tmp_path / f"{i:02d}.png", digit)
    config = Config(
        dataset="folder", data_dir=str(tmp_path), image_size=28, batch_size=4, held_out=0.0
    )
    images = loading.load_images(config)
    assert np.array_equal(images[..., 0], mnist[:20])
    (tmp_path / "pixels").write_bytes(images.tobytes())
    on_disk = DiskImages([tmp_path / "pixels"], images.shape)
    pairs = zip(*(data.make_batches(x, config, 3, 9) for x in (images, on_disk)), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)
    with pytest.raises(UserError, match="`dataset` folder needs `data_dir`"):
        loading.load_images(Config(dataset="folder"))


def test_flipping_mirrors_half_of_the_images_and_can_be_repeated(mnist):
    images = mnist[:256, ..., np.newaxis]
    plain = next(iter(data.make_batches(images, Config(), 1, 2))).numpy()
    flipped = next(iter(data.make_batches(images, Config(flip=True), 1, 2))).numpy()
    again = next(iter(data.make_batches(images, Config(flip=True), 1, 2))).numpy()
    same = (flipped == plain).all(axis=(1, 2, 3))
    mirrored = (flipped == plain[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same | mirrored).all() and 90 < mirrored.sum() < 166
    assert np.array_equal(flipped, again)


def test_scale_maps_the_ends_to_minus_one_and_one():
    pixels = np.array([[[[0], [255]]]], np.uint8)
    assert data.scale(pixels).numpy().ravel().tolist() == [-1.0, 1.0]


def numbered_images(count):
    """Images whose pixels all equal the index of the image, which identifies it in a batch."""
    return np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 28, 28, 1), np.uint8)


def members(batches):
    return [np.rint(b[:, 0, 0, 0].numpy() * 127.5 + 127.5).astype(int).tolist() for b in batches]


def test_an_epoch_shows_each_image_once_in_full_batches_and_in_an_order_of_its_own():
    config = Config(batch_size=8, seed=5)
    batches = members(data.make_batches(numbered_images(50), config, 0, 12))
    assert [len(batch) for batch in batches] == [8] * 12
    first, second = np.ravel(batches[:6]).tolist(), np.ravel(batches[6:]).tolist()
    assert len(set(first)) == len(set(second)) == 48
    assert first != second and first != sorted(first)
    left_out = [set(range(50)) - set(epoch) for epoch in (first, second)]
    assert left_out[0] != left_out[1]
    assert members(data.make_batches(numbered_images(50), config, 0, 12)) == batches
    other = Config(batch_size=8, seed=6)
    assert members(data.make_batches(numbered_images(50), other, 0, 6)) != batches[:6]


def test_batches_can_start_in_the_middle_of_an_epoch():
    config = Config(batch_size=8)
    whole = members(data.make_batches(numbered_images(50), config, 0, 12))
    assert members(data.make_batches(numbered_images(50), config, 9, 12)) == whole[9:]
    ahead = data.make_batches(numbered_images(50), config, 9, 12, device="/CPU:0")
    assert members(ahead) == whole[9:]


def test_every_image_is_equally_likely_in_every_place():
    batches = members(data.make_batches(numbered_images(10), Config(batch_size=2), 0, 1500))
    counts = np.bincount(np.ravel(batches[::5]), minlength=10)
    # 600 draws over 10 images: chi-squared with 9 degrees of freedom, 27.9 at p = 0.001.
    assert ((counts - 60) ** 2 / 60).sum() < 27.9


def test_to_uint8_has_one_contrast_and_rounds():
    values = np.array([-1.5, -1, -0.5, 0, 1 / 127.5, 1, 2], np.float32)
    assert data.to_uint8(values).tolist() == [0, 0, 64, 128, 128, 255, 255]


def test_to_uint8_undoes_scale():
    pixels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(data.to_uint8((pixels.astype(np.float32) - 127.5) / 127.5), pixels)
    assert np.array_equal(data.to_uint8(data.scale(pixels)), pixels)


def test_no_tuner_sleeps_while_a_run_that_is_stopped_waits_for_it(mnist):
    """After 50 s of batches, giving them up took 32 s with the tuner, and 1 s without."""
    images = mnist[:64, ..., np.newaxis]
    batches = data.make_batches(images, Config(batch_size=8), 0, 10)
    assert batches.options().autotune.enabled is False


def test_fewer_images_than_a_step_takes_are_refused(mnist):
    config = Config(batch_size=8, discriminator_steps=2)
    with pytest.raises(UserError, match="15 images are too few: a step needs 16"):
        data.make_batches(mnist[:15, ..., np.newaxis], config, 0, 1)
