import contextlib
import errno
import gc
import io

import imageio.v3 as iio
import numpy as np
import pytest

from dcgan_tf.reporting.images import as_picture, image_grid, save_gif, save_png, save_training_gif


def test_grid_arranges_images_by_rows_and_enlarges_without_smoothing():
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 28, 28, 1), np.uint8)
    grid = image_grid(images, border=2)
    # 3 columns, 2 rows, tiles of 28·3 = 84 and a border of 2 on every side.
    assert grid.shape == (2 * 86 + 2, 3 * 86 + 2)
    for i in range(5):
        top, left = i // 3 * 86 + 2, i % 3 * 86 + 2
        assert (grid[top : top + 84, left : left + 84] == i).all()
    assert (grid[:2] == 255).all() and (grid[:, :2] == 255).all()
    assert (grid[88:, 2 * 86 + 2 :] == 255).all()


def test_color_grid_keeps_its_channels():
    images = np.zeros((4, 64, 64, 3), np.uint8)
    images[..., 0] = 200
    grid = image_grid(images)
    assert grid.ndim == 3 and grid[5, 5].tolist() == [200, 0, 0]


def test_transparency_is_checkered_in_a_grid_and_kept_in_a_picture():
    images = np.zeros((4, 24, 36, 4), np.uint8)
    images[:, :, 12:] = (200, 100, 0, 255)
    grid = image_grid(images, zoom=1, border=2)
    assert grid.shape == (2 * 26 + 2, 2 * 38 + 2, 3)
    tile = grid[2:26, 2:38]
    assert {int(value) for value in np.unique(tile[:, :12])} == {205, 255}
    assert (tile[:6, :6] == 205).all() and (tile[:6, 6:12] == 255).all()
    assert (tile[:, 12:] == (200, 100, 0)).all()
    picture = as_picture(images[0], zoom=2)
    assert picture.shape == (48, 72, 4) and picture[0, 0, 3] == 0 and picture[0, 71, 3] == 255


def test_small_rectangles_are_enlarged_by_their_longer_side():
    assert image_grid(np.zeros((1, 10, 42, 1), np.uint8), border=0).shape == (20, 84)


def test_gif_has_every_picture_in_order_and_loops(tmp_path):
    pictures = [np.full((20, 20), level, np.uint8) for level in (10, 90, 250)]
    save_gif(tmp_path / "a.gif", pictures, 60)
    assert iio.imread(tmp_path / "a.gif", index=None)[:, 0, 0, 0].tolist() == [10, 90, 250]
    assert iio.immeta(tmp_path / "a.gif")["loop"] == 0
    assert [iio.immeta(tmp_path / "a.gif", index=i)["duration"] for i in range(3)] == [60] * 3


def test_training_gif_has_every_frame_in_order_and_shows_the_last_longer(tmp_path):
    frames = []
    for level in (10, 90, 250):
        frames.append(tmp_path / f"{level}.png")
        save_png(frames[-1], np.full((20, 20), level, np.uint8))
    save_training_gif(tmp_path / "training.gif", frames)
    gif = iio.imread(tmp_path / "training.gif", index=None)
    assert gif[:, 0, 0, 0].tolist() == [10, 90, 250]
    assert iio.immeta(tmp_path / "training.gif")["loop"] == 0
    durations = [iio.immeta(tmp_path / "training.gif", index=i)["duration"] for i in range(3)]
    assert durations == [200, 200, 3000]


def test_training_gif_of_many_epochs_leaves_some_out(tmp_path, monkeypatch):
    monkeypatch.setattr("dcgan_tf.reporting.images.MAX_FRAMES", 3)
    frames = [tmp_path / f"{i}.png" for i in range(9)]
    for i, frame in enumerate(frames):
        save_png(frame, np.full((4, 4), 20 * i, np.uint8))
    save_training_gif(tmp_path / "training.gif", frames)
    gif = iio.imread(tmp_path / "training.gif", index=None)
    assert gif[:, 0, 0, 0].tolist() == [0, 80, 160]


def test_training_gif_of_one_frame(tmp_path):
    save_png(tmp_path / "a.png", np.zeros((20, 20), np.uint8))
    save_training_gif(tmp_path / "training.gif", [tmp_path / "a.png"])
    assert len(iio.imread(tmp_path / "training.gif", index=None)) == 1


def test_damaged_frames_and_those_of_another_size_are_left_out(tmp_path, caplog):
    frames = [tmp_path / f"{name}.png" for name in ("damaged", "small", "whole")]
    frames[0].write_bytes(b"no picture")
    save_png(frames[1], np.zeros((5, 5), np.uint8))
    save_png(frames[2], np.zeros((20, 20), np.uint8))
    save_training_gif(tmp_path / "training.gif", frames)
    assert len(iio.imread(tmp_path / "training.gif", index=None)) == 1
    assert "damaged.png is damaged and left out of the GIF" in caplog.text
    save_training_gif(tmp_path / "none.gif", frames[:1])
    assert not (tmp_path / "none.gif").exists()


def test_columns_of_a_grid():
    grid = image_grid(np.zeros((6, 4, 4, 1), np.uint8), border=1, zoom=1, columns=3)
    assert grid.shape == (2 * 5 + 1, 3 * 5 + 1)


def test_a_gif_on_a_full_disk_gives_one_error(tmp_path, monkeypatch):
    """imageio's writer would try again as it is deleted, and print the second error."""
    errors = []
    monkeypatch.setattr("sys.unraisablehook", errors.append)

    class Full(io.BytesIO):
        def write(self, content):
            raise OSError(errno.ENOSPC, "No space left on device")

    @contextlib.contextmanager
    def full_disk(path):
        with Full() as file:
            yield file

    monkeypatch.setattr("dcgan_tf.reporting.images.atomic_write", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_gif(tmp_path / "a.gif", [np.zeros((20, 20), np.uint8)] * 2, 100)
    gc.collect()
    assert errors == []
