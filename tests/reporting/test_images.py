import imageio.v3 as iio
import numpy as np

from dcgan_tf.reporting import images
from dcgan_tf.reporting.history import Evaluation


def test_to_uint8_has_one_contrast_and_rounds():
    values = np.array([-1.5, -1, -0.5, 0, 1 / 127.5, 1, 2], np.float32)
    assert images.to_uint8(values).tolist() == [0, 0, 64, 128, 128, 255, 255]


def test_to_uint8_undoes_the_pipelines_scale():
    pixels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(images.to_uint8((pixels.astype(np.float32) - 127.5) / 127.5), pixels)


def test_grid_puts_images_row_by_row_enlarged_without_smoothing():
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 28, 28, 1), np.uint8)
    grid = images.image_grid(images, border=2)
    # 3 columns, 2 rows, tiles of 28·3 = 84 and a border of 2 on every side.
    assert grid.shape == (2 * 86 + 2, 3 * 86 + 2)
    for i in range(5):
        top, left = i // 3 * 86 + 2, i % 3 * 86 + 2
        assert (grid[top : top + 84, left : left + 84] == i).all()
    assert (grid[:2] == 255).all() and (grid[:, :2] == 255).all()
    assert (grid[88:, 2 * 86 + 2 :] == 255).all()


def test_colour_grid_keeps_its_channels():
    images = np.zeros((4, 64, 64, 3), np.uint8)
    images[..., 0] = 200
    grid = images.image_grid(images)
    assert grid.ndim == 3 and grid[5, 5].tolist() == [200, 0, 0]


def test_gif_has_every_frame_in_order_and_repeats(tmp_path):
    frames = []
    for level in (10, 90, 250):
        frames.append(tmp_path / f"{level}.png")
        images.save_png(frames[-1], np.full((20, 20), level, np.uint8))
    images.save_gif(tmp_path / "film.gif", frames)
    film = iio.imread(tmp_path / "film.gif", index=None)
    assert film[:, 0, 0, 0].tolist() == [10, 90, 250]
    assert iio.immeta(tmp_path / "film.gif")["loop"] == 0
    durations = [iio.immeta(tmp_path / "film.gif", index=i)["duration"] for i in range(3)]
    assert durations == [200, 200, 3000]


def test_gif_of_one_frame(tmp_path):
    images.save_png(tmp_path / "a.png", np.zeros((20, 20), np.uint8))
    images.save_gif(tmp_path / "film.gif", [tmp_path / "a.png"])
    assert len(iio.imread(tmp_path / "film.gif", index=None)) == 1


def test_losses_plot_of_one_step_and_of_many(tmp_path):
    for steps in (1, 500):
        images.plot_losses(tmp_path / "losses.png", np.full((steps, 4), 0.5), 100)
        plot = iio.imread(tmp_path / "losses.png")
        assert (
            plot.shape[:2] == (600, 900)
            and len(np.unique(plot[..., :3].reshape(-1, 3), axis=0)) > 5
        )


def test_evaluations_plot_of_one_evaluation_and_of_many(tmp_path):
    for count, classes in ((1, 0), (5, 10), (3, 1000)):
        made = [
            Evaluation(10 * i, 9.0 / (i + 1), 0.1, 0.5, 0.4, np.full(classes, 0.1))
            for i in range(count)
        ]
        images.plot_evaluations(tmp_path / "plot.png", made, 10)
        panels = 3 if classes == 10 else 2
        assert iio.imread(tmp_path / "plot.png").shape[:2] == (300 * panels, 900)


def test_columns_of_a_grid():
    grid = images.image_grid(np.zeros((6, 4, 4, 1), np.uint8), border=1, zoom=1, columns=3)
    assert grid.shape == (2 * 5 + 1, 3 * 5 + 1)
