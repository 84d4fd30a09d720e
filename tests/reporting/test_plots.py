import imageio.v3 as iio
import numpy as np
import pytest

from dcgan_tf.evaluation.scores import Evaluation
from dcgan_tf.reporting import plots
from dcgan_tf.train_step import StepScalars


def test_losses_plot_of_one_step_and_of_many(tmp_path):
    for steps in (1, 500):
        plots.plot_losses(tmp_path / "losses.png", np.full((steps, 7), 0.5), 100)
        plot = iio.imread(tmp_path / "losses.png")
        assert (
            plot.shape[:2] == (600, 900)
            and len(np.unique(plot[..., :3].reshape(-1, 3), axis=0)) > 5
        )


@pytest.mark.parametrize("lowest, bottom", [(0.1, 0), (-3.0, -3.0)])
def test_losses_are_within_the_axes_whatever_their_sign(lowest, bottom):
    metrics = np.full((50, 7), 0.5)
    metrics[20, 1] = lowest
    axes = plots.draw_losses(StepScalars(*metrics.T), 10).axes[0]
    low, high = axes.get_ylim()
    assert low <= bottom and high > 0.5
    assert (low == 0) == (lowest >= 0)


def test_evaluations_plot_of_one_evaluation_and_of_many(tmp_path):
    for count, classes in ((1, 0), (5, 10), (3, 1000)):
        made = [
            Evaluation(
                10 * i,
                {
                    "frechet_distance": 9.0 / (i + 1),
                    "frechet_baseline": 0.1,
                    "precision": 0.5,
                    "recall": 0.4,
                }
                | ({"class_distribution": np.full(classes, 0.1)} if classes else {}),
            )
            for i in range(count)
        ]
        plots.plot_evaluations(tmp_path / "plot.png", made, 10)
        panels = 3 if classes == 10 else 2
        assert iio.imread(tmp_path / "plot.png").shape[:2] == (300 * panels, 900)


def test_curves_of_classes_have_the_names_of_the_run():
    values = {"frechet_distance": 9.0, "frechet_baseline": 0.1, "precision": 0.5, "recall": 0.4}
    made = [Evaluation(10, values | {"class_distribution": np.array([0.5, 0.3, 0.2])})]
    for names, labels in (((), ["0", "1", "2"]), (("cat", "dog"), ["cat", "dog", "2"])):
        legend = plots.draw_evaluations(made, 10, names).axes[-1].get_legend()
        assert [text.get_text() for text in legend.get_texts()] == labels


def test_evaluations_by_other_features_are_not_in_one_plot():
    values = {"frechet_distance": 9.0, "frechet_baseline": 0.1, "precision": 0.5, "recall": 0.4}
    made = [Evaluation(10, values), Evaluation(20, values | {"frechet_distance": 3.0}, "two_toys")]
    figure = plots.draw_evaluations(made, 10)
    assert figure.get_suptitle() == "by two toys"
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[2, 3]]
    assert plots.draw_evaluations(made[:1], 10).get_suptitle() == ""
