import dataclasses
import re

import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.config import Config
from dcgan_tf.reporting import diagnostics
from dcgan_tf.train_step import StepScalars

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


def test_vital_signs_by_hand():
    real = tf.constant([[0.0, 0.0], [2.0, 4.0]])
    fake = tf.constant([[1.0, 1.0], [1.0, 2.0]])
    signs = diagnostics.vital_signs(real, fake, [tf.constant([3.0]), tf.constant([[4.0]])], [real])
    # Real pixels have standard deviations of 1 and 2, generated ones of 0 and 1/2.
    assert [float(sign) for sign in signs] == pytest.approx([5, 20**0.5, 0.25 / 1.5])
    assert float(diagnostics.vital_signs(real * 0, fake, [fake], [real]).spread) == 0


SICK = {
    "discriminator wins": {"d_real": 0.999, "d_fake": 0.002},
    "collapse": {"spread": 0.05},
    "vanishing gradients": {"gen_gradient_norm": 1e-5},
    "divergence": {"disc_gradient_norm": 900.0},
}


@pytest.mark.parametrize("name", SICK)
def test_each_ailment_is_told_once_with_the_step_it_began_at(name):
    watch = diagnostics.Watch("bce", 0)
    told = []
    for count in (150, 450, 700, 900):
        # 500 steps are well, those after them are not.
        sick = max(0, count - 500)
        metrics = np.concatenate([steps(count - sick), steps(sick, **SICK[name])])
        told.append(list(watch.warnings(metrics)))
    assert told[0] == told[1] == told[3] == []
    (line,) = told[2]
    assert (
        line.startswith(f"{name}: since step 501 ")
        and "--" in line.split("what usually helps: ")[1]
    )


def test_a_healthy_run_and_a_short_one_have_no_ailments():
    assert not list(diagnostics.ailments(steps(500), "bce"))
    assert not list(diagnostics.ailments(steps(2 * diagnostics.WINDOW - 1, spread=0.0), "bce"))


def test_scores_of_a_critic_are_no_probabilities():
    metrics = steps(500, d_real=1.0, d_fake=0.0)
    assert [ailment.name for ailment in diagnostics.ailments(metrics, "minimax")]
    assert not list(diagnostics.ailments(metrics, "wasserstein"))


def test_steps_before_a_resume_are_not_told_again():
    watch = diagnostics.Watch("bce", 400)
    assert not list(watch.warnings(steps(500, spread=0.0)))
    assert list(watch.warnings(steps(600, spread=0.0)))


def test_every_flag_that_is_advised_exists():
    names = {field.name for field in dataclasses.fields(Config)}
    for changes in SICK.values():
        metrics = np.concatenate([steps(500), steps(300, **changes)])
        for ailment in diagnostics.ailments(metrics, "bce"):
            advised = re.findall(r"--(\w+)", ailment.helps)
            assert advised and set(advised) <= names
