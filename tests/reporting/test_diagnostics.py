import dataclasses
import re

import numpy as np
import pytest

from dcgan_tf.evaluation.scores import Evaluation
from dcgan_tf.reporting import diagnostics
from dcgan_tf.settings.config import Config
from dcgan_tf.train_step import StepScalars
from tests.small import batches, make_trainer

WELL = {
    "gen_loss": 0.9,
    "disc_loss": 1.2,
    "d_real": 0.7,
    "d_fake": 0.4,
    "gen_gradient_norm": 0.5,
    "disc_gradient_norm": 0.8,
    "spread": 0.9,
}


def steps(count, **changes):
    assert tuple(WELL) == StepScalars._fields
    return np.tile(list((WELL | changes).values()), (count, 1))


SICK = {
    "discriminator wins": {"d_real": 0.999, "d_fake": 0.002},
    "collapse": {"spread": 0.05},
    "vanishing gradients": {"gen_gradient_norm": 1e-5},
    "divergence": {"disc_gradient_norm": 900.0},
}


@pytest.mark.parametrize("name", SICK)
def test_each_warning_is_given_once_with_its_first_step(name):
    watch = diagnostics.Diagnostics("bce", 0)
    warnings = []
    for count in (150, 450, 700, 900):
        # 500 steps are well, those after them are not.
        sick = max(0, count - 500)
        metrics = np.concatenate([steps(count - sick), steps(sick, **SICK[name])])
        warnings.append(list(watch.warnings(metrics)))
    assert warnings[0] == warnings[1] == warnings[3] == []
    (line,) = warnings[2]
    since = 651 if name == "collapse" else 501  # its window is shorter
    assert (
        line.startswith(f"{name}: since step {since} ")
        and re.search(r"`\w+`", line.split("what usually helps: ")[1])
        and line.endswith("(docs/training.md)")
    )


def test_a_healthy_run_and_a_short_one_have_no_diagnosis():
    assert not list(diagnostics.diagnose(steps(500), "bce"))
    assert not list(diagnostics.diagnose(steps(2 * diagnostics.WINDOW - 1, spread=0.0), "bce"))


def test_a_step_of_a_single_image_has_no_spread(mnist):
    trainer = make_trainer(mnist, batch_size=1)
    scalars = trainer.train_step(next(batches(trainer))).scalars
    assert np.isnan(scalars.spread) and np.isfinite(scalars[:-1]).all()
    assert not list(diagnostics.diagnose(steps(500, spread=float(scalars.spread)), "bce"))


def test_scores_of_a_critic_are_not_probabilities():
    metrics = steps(500, d_real=1.0, d_fake=0.0)
    assert [diagnosis.name for diagnosis in diagnostics.diagnose(metrics, "minimax")]
    assert not list(diagnostics.diagnose(metrics, "wasserstein"))


def test_steps_before_a_resume_give_no_warning_again():
    watch = diagnostics.Diagnostics("bce", 400)
    assert not list(watch.warnings(steps(449, spread=0.0)))
    assert list(watch.warnings(steps(450, spread=0.0)))
    assert not list(watch.warnings(steps(599, gen_gradient_norm=0.0)))
    assert list(watch.warnings(steps(600, gen_gradient_norm=0.0)))


# The spread of real runs from their first step on, the means of ten steps each.
HEALTHY = {
    "fast, digits": [
        *(0.33, 0.28, 0.33, 0.39, 0.37, 0.28, 0.51, 0.43, 0.58, 0.80, 0.74, 0.74, 0.78, 0.80, 0.77),
        *(0.79, 0.81, 0.80, 0.83, 0.84, 0.86, 0.87, 0.82, 0.80, 0.76, 0.89, 0.83, 0.88, 0.89, 0.77),
    ],
    "digits by their clusters": [
        *(0.27, 0.28, 0.31, 0.29, 0.26, 0.26, 0.30, 0.37, 0.43, 0.50, 0.54, 0.58, 0.62, 0.67, 0.71),
        *(0.76, 0.82, 0.84, 0.85, 0.86, 0.86, 0.87, 0.87, 0.90, 0.89, 0.90, 0.91, 0.91, 0.93, 0.92),
    ],
    "the same, by projection": [
        *(0.28, 0.25, 0.22, 0.22, 0.24, 0.22, 0.22, 0.23, 0.25, 0.25, 0.25, 0.26, 0.26, 0.27, 0.27),
        *(0.28, 0.29, 0.28, 0.29, 0.29, 0.30, 0.31, 0.31, 0.32, 0.32, 0.32, 0.33, 0.33, 0.34, 0.35),
    ],
    "the tutorial's settings, digits": [
        *(0.71, 0.64, 0.54, 0.42, 0.37, 0.30, 0.26, 0.25, 0.25, 0.27, 0.30, 0.30, 0.25, 0.20, 0.19),
        *(0.18, 0.16, 0.19, 0.23, 0.25, 0.25, 0.29, 0.26, 0.22, 0.19, 0.18, 0.19, 0.18, 0.19, 0.23),
        *(0.24, 0.22, 0.22, 0.22, 0.27, 0.35, 0.44, 0.47, 0.49, 0.52, 0.61, 0.61, 0.59, 0.45, 0.35),
        *(0.33, 0.35, 0.36, 0.35, 0.35),
    ],
    "clothes by class": [
        *(0.18, 0.16, 0.15, 0.16, 0.17, 0.21, 0.34, 0.36, 0.39, 0.37, 0.35, 0.36, 0.39, 0.41, 0.44),
    ],
    "photographs by class": [
        *(0.20, 0.14, 0.12, 0.11, 0.10, 0.11, 0.10, 0.12, 0.15, 0.27, 0.34, 0.37, 0.44, 0.45, 0.47),
    ],
    "photographs by their clusters": [
        *(0.20, 0.14, 0.13, 0.12, 0.10, 0.10, 0.11, 0.12, 0.20, 0.23, 0.31, 0.31, 0.31, 0.37, 0.39),
    ],
    "small, 60 faces": [
        *(0.24, 0.24, 0.24, 0.26, 0.23, 0.19, 0.23, 0.25, 0.25, 0.28, 0.31, 0.38, 0.47, 0.54),
    ],
    "small with adaptive augmentation, 100 faces": [
        *(0.210, 0.181, 0.156, 0.137, 0.125, 0.123, 0.126, 0.135, 0.148, 0.147, 0.149),
        *(0.159, 0.152, 0.154, 0.175, 0.174, 0.183, 0.181, 0.184, 0.189, 0.182, 0.187),
        *(0.195, 0.195, 0.203, 0.222, 0.230, 0.216, 0.232, 0.251, 0.266, 0.258, 0.267),
        *(0.274, 0.274, 0.287, 0.300, 0.310, 0.304, 0.313, 0.322, 0.336),
    ],
}
COLLAPSED = {
    "the paper's settings, 60 faces": [
        *(0.23, 0.21, 0.17, 0.14, 0.11, 0.10, 0.09, 0.08, 0.07, 0.06, 0.06, 0.06, 0.05, 0.05, 0.06),
        *(0.06, 0.06, 0.06, 0.06, 0.07),
    ],
}


def warned_at(spread):
    """The step at which a run is warned, with the line. Its metrics come step by step."""
    metrics = steps(10 * len(spread))
    metrics[:, diagnostics.SPREAD] = np.repeat(spread, 10)
    watch = diagnostics.Diagnostics("bce", 0)
    lines = (
        (step, line) for step in range(len(metrics) + 1) for line in watch.warnings(metrics[:step])
    )
    return next(lines, None)


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_run_with_similar_images_at_first_has_no_warning(name):
    assert min(HEALTHY[name]) < diagnostics.COLLAPSED_SPREAD
    assert warned_at(HEALTHY[name]) is None


@pytest.mark.parametrize("name", COLLAPSED)
def test_a_collapse_in_the_first_steps_is_found_within_a_hundred(name):
    step, line = warned_at(COLLAPSED[name])
    assert step == 100 and line.startswith("collapse: since step 51 generated images differ 0.08")


def test_similar_images_are_found_after_four_hundred_steps_unless_they_begin_to_differ():
    """Until then, the tutorial's own images are as similar."""
    assert warned_at([0.30, 0.28, 0.27, 0.26] * 3 + [0.26] * 28)[0] == 400
    assert warned_at([0.26] * 35 + [0.31] * 5) is None
    assert warned_at([0.9] * 30 + [0.25] * 30)[0] == 600
    assert warned_at([0.9] * 30 + [0.1] * 10)[0] == 350


def test_every_suggested_setting_exists():
    names = {field.name for field in dataclasses.fields(Config)}
    for changes in SICK.values():
        metrics = np.concatenate([steps(500), steps(300, **changes)])
        for diagnosis in diagnostics.diagnose(metrics, "bce"):
            advised = re.findall(r"`(\w+)`", diagnosis.remedy)
            assert advised and set(advised) <= names


def evaluated(*distances):
    return [Evaluation(10 * i, {"frechet_distance": d}) for i, d in enumerate(distances, 1)]


@pytest.mark.parametrize("distances", [(9,), (9, 30), (9, 30, 5), (9, 5, 30), (9, 5, 9, 9)])
def test_fluctuating_evaluations_give_no_warning(distances):
    assert not list(diagnostics.diagnose_quality(evaluated(*distances)))


def test_images_that_stay_far_worse_than_the_best_give_one_warning():
    watch = diagnostics.Diagnostics("bce", 0)
    made = evaluated(9, 5, 11, 12)
    (line,) = watch.quality_warnings(made)
    assert line.startswith(
        "images get worse: their Fréchet distance is 12, up from 5 after step 20"
    )
    assert "`checkpoint` best" in line and not list(watch.quality_warnings(made))
    # Distances by other features say nothing.
    toy = Evaluation(1, {"frechet_distance": 0.1}, "toys")
    assert not list(diagnostics.diagnose_quality([toy, *evaluated(9, 11, 12)]))
