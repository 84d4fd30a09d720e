import numpy as np
import pytest

from dcgan_tf.gan import Gan
from dcgan_tf.steps.shared_backward import shared_gradients
from dcgan_tf.train_step import train_step
from tests.small import batches, flat, make_trainer


class Recorder:
    """Stands in for an optimizer, and keeps the gradients."""

    def apply_gradients(self, pairs):
        self.gradients = [gradient.numpy() for gradient, _ in pairs]


def results(gan, images):
    """What a step returns, and the gradients that it applies."""
    gan.generator_optimizer, gan.discriminator_optimizer = recorders = Recorder(), Recorder()
    output = train_step(gan, images)
    return [*flat(output), *recorders[0].gradients, *recorders[1].gradients]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"loss": "minimax"},
        {"loss": "least_squares", "label_smoothing": 0.1},
        {"loss": "hinge"},
        {"discriminator_batch": "joint"},
        {"pack": 2},
        {"augment": "color,translation,cutout"},
        {"convolutions": "subpixel", "base_filters": 64},
    ],
    ids=str,
)
def test_gradients_are_those_of_a_backward_pass_for_each_loss(mnist, settings):
    """Also where the discriminator is sure: under hinge, it then has no gradient of its own."""
    trainer = make_trainer(mnist, **settings)
    images = next(batches(trainer))
    shared, separate = (
        Gan(trainer.config, (28, 28, 1), backward) for backward in (shared_gradients, None)
    )
    for bias in (0, -6, -60):
        for gan in (shared, separate):
            gan.discriminator.layers[-1].bias.assign([bias])
        found, expected = results(shared, images), results(separate, images)
        assert len(found) == len(expected) == 9 + 10 + 6
        for value, wanted in zip(found, expected):
            noise = 1e-5 * np.abs(wanted).max()
            np.testing.assert_allclose(value, wanted, rtol=1e-3, atol=noise, err_msg=f"{bias=}")
