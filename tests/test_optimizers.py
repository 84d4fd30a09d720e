import numpy as np
import pytest

from dcgan_tf.optimizers import make_optimizer
from dcgan_tf.settings.config import Config
from tests.small import dense_trainer


def rates(optimizer, updates):
    found = []
    for update in updates:
        optimizer.iterations.assign(update)
        found.append(float(optimizer.learning_rate))
    return found


def test_learning_rates_stay_as_they_are_unless_they_are_to_fall():
    optimizer = make_optimizer(Config(learning_rate=3e-3), None)
    assert rates(optimizer, [0, 10**6]) == pytest.approx([3e-3] * 2)
    assert rates(make_optimizer(Config(), 4e-3), [5]) == pytest.approx([4e-3])


@pytest.mark.parametrize("start", [0, 100])
def test_learning_rates_fall_to_zero_along_a_cosine(start):
    optimizer = make_optimizer(Config(decay_steps=60, decay_from=start), 2e-3)
    found = rates(optimizer, [0, start, start + 20, start + 30, start + 60, start + 10**6])
    # Half of 1 + cos(60°), 1 + cos(90°), 1 + cos(180°).
    np.testing.assert_allclose(found, 2e-3 * np.array([1, 1, 0.75, 0.5, 0, 0]), atol=1e-9)


def test_a_model_that_is_updated_more_often_has_its_rate_by_steps_too(mnist):
    settings = {"discriminator_steps": 3, "decay_from": 10, "decay_steps": 20}
    gan = dense_trainer(mnist, discriminator_learning_rate=1e-3, **settings).gan
    assert rates(gan.generator_optimizer, [10, 20, 30]) == pytest.approx([1e-4, 5e-5, 0])
    assert rates(gan.discriminator_optimizer, [30, 60, 90]) == pytest.approx([1e-3, 5e-4, 0])
