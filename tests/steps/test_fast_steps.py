"""Each faster way to take a step, against the tutorial's step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.cli.errors import UserError
from dcgan_tf.config import Config
from dcgan_tf.data import make_batches
from dcgan_tf.steps.shared_backward import one_pass_step
from dcgan_tf.training import Trainer, steps_at_once


def make_trainer(mnist, **settings):
    settings = {"batch_size": 8, "base_filters": 4} | settings
    return Trainer(Config(**settings), mnist[:50, ..., np.newaxis])


def batches(trainer, steps=10):
    return iter(make_batches(trainer.images, trainer.config, 0, steps))


def state(trainer):
    holders = (
        trainer.gan.generator,
        trainer.gan.discriminator,
        trainer.gan.generator_optimizer,
        trainer.gan.discriminator_optimizer,
    )
    return [variable.numpy() for holder in holders for variable in holder.variables]


class Recorder:
    """Stands in for an optimizer, and keeps the gradients."""

    def apply_gradients(self, pairs):
        self.gradients = [gradient.numpy() for gradient, _ in pairs]


def results(step, trainer):
    """What a step returns, and the gradients that it applies."""
    recorders = trainer.gan.generator_optimizer, trainer.gan.discriminator_optimizer = (
        Recorder(),
        Recorder(),
    )
    output = step(trainer, next(batches(trainer)))
    return [*output, *recorders[0].gradients, *recorders[1].gradients]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"loss": "minimax"},
        {"loss": "least_squares", "label_smoothing": 0.1},
        {"loss": "hinge"},
        {"discriminator_batch": "joint"},
        {"pack": 2},
        {"convolutions": "subpixel", "base_filters": 32},
    ],
    ids=str,
)
def test_one_pass_back_gives_the_gradients_of_two(mnist, settings):
    """Also where the discriminator is sure: under hinge, it then has no gradient of its own."""
    for bias in (0, -6, -60):
        trainers = [make_trainer(mnist, **settings) for _ in range(2)]
        for trainer in trainers:
            trainer.gan.discriminator.layers[-1].bias.assign([bias])
        found = results(one_pass_step, trainers[0])
        expected = results(Trainer.train_step.python_function, trainers[1])
        assert len(found) == len(expected) == 9 + 10 + 6
        for value, wanted in zip(found, expected):
            noise = 1e-5 * np.abs(wanted).max()
            np.testing.assert_allclose(value, wanted, rtol=1e-3, atol=noise, err_msg=f"{bias=}")


def test_batch_norm_in_the_discriminator_needs_two_passes(mnist):
    trainer = make_trainer(mnist, discriminator_batch_norm=True)
    assert "train_step" not in vars(trainer)


@pytest.mark.parametrize("settings", [{}, {"ema_decay": 0.9, "discriminator_steps": 2}])
def test_several_steps_in_one_call_are_bit_for_bit_the_same(mnist, settings):
    alone, together = (make_trainer(mnist, **settings) for _ in range(2))
    for images in batches(alone, 5):
        last = alone.train_step(images)
    several = batches(together, 5)
    first_three = together.train_steps(several, tf.constant(3))
    last_two = together.train_steps(several, tf.constant(2))
    assert first_three.scalars.gen_loss.shape == (3,) and last_two.real_logits.shape == (2, 8, 1)
    for value, wanted in zip(last_two, last):
        np.testing.assert_array_equal(value[-1], wanted)
    for value, wanted in zip(state(together), state(alone), strict=True):
        np.testing.assert_array_equal(value, wanted)
    assert together.train_steps.experimental_get_tracing_count() == 1


def test_calls_end_where_something_is_to_be_done():
    config = Config(steps_per_execution=4, checkpoint_steps=5)
    step, calls = 0, []
    while step < 14:
        calls.append(steps_at_once(config, step, steps_per_epoch=6, last=14))
        step += calls[-1]
    # Up to 4, and to 5, 6, 10, 12 and the end at 14.
    assert calls == [4, 1, 1, 4, 2, 2]


@pytest.mark.parametrize("precision, kind", [("bfloat16", tf.bfloat16), ("float16", tf.float16)])
def test_half_precision_computes_in_it_and_keeps_weights_and_results_in_float32(
    mnist, precision, kind
):
    whole, half = (make_trainer(mnist, precision=name) for name in ("float32", precision))
    for model in (half.generator, half.discriminator):
        assert {layer.compute_dtype for layer in model.layers[:-1]} == {kind.name}
        assert model.layers[-1].compute_dtype == "float32"
        assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    assert half.generator(half.grid_noise).dtype == tf.float32
    assert keras.config.dtype_policy().name == "float32"
    for images in batches(whole, 3):
        wanted, found = whole.train_step(images), half.train_step(images)
        for name in ("gen_loss", "disc_loss", "d_fake", "disc_gradient_norm", "spread"):
            assert float(getattr(found, name)) == pytest.approx(
                float(getattr(wanted, name)), rel=0.05
            )


def test_float16_leaves_out_an_update_that_overflows_and_lowers_its_scale(mnist, tmp_path):
    trainer = make_trainer(mnist, precision="float16")
    optimizer = trainer.gan.discriminator_optimizer
    optimizer.dynamic_scale.assign(2.0**60)
    images = next(batches(trainer))
    before = trainer.gan.discriminator.get_weights()
    output = trainer.train_step(images)
    assert (
        float(output.scalars.disc_gradient_norm) == 0
        and float(output.scalars.gen_gradient_norm) > 0
    )
    assert float(optimizer.dynamic_scale) == 2.0**59
    for value, wanted in zip(trainer.gan.discriminator.get_weights(), before):
        np.testing.assert_array_equal(value, wanted)
    prefix = trainer.state.write(str(tmp_path / "state"))
    other = make_trainer(mnist, precision="float16", seed=1)
    other.state.read(prefix).assert_consumed()
    assert float(other.gan.discriminator_optimizer.dynamic_scale) == 2.0**59


def test_float16_goes_with_the_plain_step_only():
    with pytest.raises(UserError, match="--precision float16 scales its losses"):
        Config(precision="float16", unroll_steps=2)


def test_compiled_step_computes_the_same_from_the_same_noise(mnist):
    """XLA draws other random numbers, so the noise is given, and dropout left out."""
    results = []
    for jit_compile in (False, True):
        trainer = make_trainer(mnist, dropout=0.0, jit_compile=jit_compile)
        trainer.gan.noise = lambda: tf.linspace(tf.fill([100], -1.0), tf.ones([100]), 8)
        results.append(trainer.train_step(next(batches(trainer))))
    for found, wanted in zip(*results):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)
