import imageio.v3 as iio
import numpy as np

from dcgan_tf.reporting import plots
from dcgan_tf.reporting.history import Evaluation


def test_losses_plot_of_one_step_and_of_many(tmp_path):
    for steps in (1, 500):
        plots.plot_losses(tmp_path / "losses.png", np.full((steps, 4), 0.5), 100)
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
        plots.plot_evaluations(tmp_path / "plot.png", made, 10)
        panels = 3 if classes == 10 else 2
        assert iio.imread(tmp_path / "plot.png").shape[:2] == (300 * panels, 900)
