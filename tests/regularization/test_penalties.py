import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.layers import Pack
from dcgan_tf.regularization.penalties import INTERVAL, real_penalty
from tests.conftest import thorough
from tests.small import batches, make_trainer, train


def linear(images, training):
    return 3 * images[:, :, :, 0] + 4 * images[:, :, :, 1]


def test_penalty_of_a_discriminator_whose_slope_is_known():
    """D(x) = 3·x₁ + 4·x₂ has the gradient (3, 4), of length 5, everywhere: 5² / 2 = 12.5."""
    images = tf.random.stateless_normal([6, 1, 1, 2], [1, 2])
    assert float(real_penalty(linear, images, channels=2)) == pytest.approx(12.5)


def test_the_slope_along_labels_costs_nothing():
    images = tf.random.stateless_normal([6, 1, 1, 2], [1, 2])
    assert float(real_penalty(linear, images, channels=1)) == pytest.approx(4.5)


def test_penalty_of_packs_is_the_mean_over_packs():
    """D(x, y) = 3·x₁ + 4·x₂ + 3·y₁ + 4·y₂ has a gradient of length √50: 50 / 2 = 25."""
    images = tf.random.stateless_normal([6, 1, 1, 2], [1, 2])
    pack = Pack(2)

    def discriminator(images, training):
        packs = pack(images)
        return linear(packs[..., :2], training) + linear(packs[..., 2:], training)

    assert float(real_penalty(discriminator, images, channels=2, pack=2)) == pytest.approx(25)


class Recorder:
    """Stands in for an optimizer, and keeps the gradients."""

    def apply_gradients(self, pairs):
        self.gradients = [gradient.numpy() for gradient, _ in pairs]


def step_gradients(trainer, images, step):
    """The discriminator's gradients in one step, taken without its graph."""
    gan = trainer.gan
    gan.step.assign(step)
    gan.generator_optimizer, gan.discriminator_optimizer = Recorder(), Recorder()
    trainer.algorithm.function(gan, images)
    return gan.discriminator_optimizer.gradients


@pytest.mark.parametrize("settings", [{}, {"reference": True}], ids=str)
def test_the_penalty_is_part_of_every_eighth_step(mnist, settings):
    """There, it adds what a slow reference does, from the gradient of each image's own logit."""
    settings = {"dropout": 0.0, "precision": "float32", "convolutions": "native"} | settings
    plain, penalized = (
        make_trainer(mnist, real_penalty=factor, **settings) for factor in (None, 2.0)
    )
    images = next(batches(plain))
    for step in (1, INTERVAL - 1, INTERVAL + 1):
        for found, expected in zip(*(step_gradients(t, images, step) for t in (plain, penalized))):
            np.testing.assert_array_equal(found, expected)

    discriminator = penalized.gan.discriminator
    for model in (plain.gan.discriminator, discriminator):
        model.layers[0].bias.assign(tf.linspace(-0.5, 0.5, model.layers[0].bias.shape[0]))
    with tf.GradientTape() as tape:
        squares = []
        for image in images:
            with tf.GradientTape() as slope:
                slope.watch(image)
                logit = discriminator(image[tf.newaxis])
            squares.append(tf.norm(slope.gradient(logit, image)) ** 2)
        loss = INTERVAL * 2.0 * 0.5 * sum(squares) / len(squares)
    extra = tape.gradient(loss, discriminator.trainable_variables)
    without, found = (step_gradients(t, images, INTERVAL) for t in (plain, penalized))
    assert extra.pop() is None  # of the last bias, which moves no slope
    for a, b, more in zip(found, without, [*extra, 0]):
        np.testing.assert_allclose(a, b + more, rtol=1e-3, atol=1e-5 * np.abs(a).max())
    assert all(np.abs(more).max() > 0 for more in extra[::2])  # the kernels'


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"pack": 2, "augment": "color,translation,cutout", "loss": "hinge"},
        *thorough(
            {"preset": "blocks", "jit_compile": True},
            {"preset": "upsample", "precision": "bfloat16"},
            {"convolutions": "subpixel", "base_filters": 64, "mapping_layers": 2},
        ),
    ],
    ids=str,
)
def test_every_model_trains_with_it(mnist, settings):
    train(make_trainer(mnist, real_penalty=1.0, **settings), INTERVAL + 1)
