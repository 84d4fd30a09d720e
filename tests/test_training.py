"""The step that is chosen, the state in checkpoints, and repeated steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.evaluation.scores import Evaluation
from dcgan_tf.run import schedule
from dcgan_tf.run.checkpoints import Checkpoints
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.steps.critic import critic_step
from dcgan_tf.steps.unrolled import unrolled_step
from dcgan_tf.train_step import train_step
from dcgan_tf.training import Trainer
from tests.small import batches, dense_trainer, flat, make_trainer, state


@pytest.mark.parametrize(
    "settings, evaluated",
    [
        ({"epochs": 42}, True),  # of 6 steps each, until there are 250
        ({"epochs": 41}, False),
        ({"epochs": 3, "eval_every": 3}, True),
        ({"epochs": 3, "eval_every": 3, "max_steps": 17}, False),
        ({"epochs": 50, "eval_every": 0}, False),
    ],
)
def test_a_run_is_evaluated_if_it_is_long_enough(mnist, settings, evaluated):
    assert dense_trainer(mnist, **settings).is_evaluated == evaluated


@pytest.mark.parametrize(
    "settings, step, described",
    [
        ({}, train_step, "the tutorial's"),
        ({"r1_gamma": 1.0}, train_step, "the tutorial's, with R1"),
        (
            {"discriminator_steps": 2, "r1_gamma": 1.0, "r2_gamma": 0.1},
            critic_step,
            "the critic first, then the generator, with R1, with R2",
        ),
        (
            {"loss": "wasserstein", "gradient_penalty": 10.0},
            critic_step,
            "the critic first, then the generator, with the gradient penalty",
        ),
        ({"unroll_steps": 1}, unrolled_step, "unrolled discriminator"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_trainer_uses_and_describes_the_step_of_the_config(mnist, settings, step, described):
    trainer = dense_trainer(mnist, **settings)
    (taken,) = trainer.train_step.python_function.args
    assert taken.func is step and taken.args == (trainer.gan,)
    assert trainer.describe_step() == described


def test_a_step_that_does_not_go_with_other_settings_is_refused(mnist):
    with pytest.raises(UserError, match="`unroll_steps` needs one update of each model"):
        dense_trainer(mnist, unroll_steps=2, discriminator_steps=2)


@pytest.mark.parametrize("convolutions", ["native", "subpixel"])
def test_reference_is_of_kerass_own_layers_and_computes_the_same(mnist, convolutions):
    """Three steps without dropout, which draws other numbers; filters enough for sub-pixels."""
    settings = {"base_filters": 64, "dropout": 0.0, "precision": "float32"}
    reference = make_trainer(mnist, **settings, convolutions="native", reference=True)
    trainer = make_trainer(mnist, **settings, convolutions=convolutions)
    for model in (reference.gan.generator, reference.gan.discriminator):
        assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)
    own = [layer for layer in trainer.gan.generator.layers if "dcgan_tf" in type(layer).__module__]
    assert len(own) == (6 if convolutions == "subpixel" else 3)
    for images in batches(trainer, 3):
        found, wanted = (flat(each.train_step(images)) for each in (trainer, reference))
        for value, expected in zip(found, wanted, strict=True):
            np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)
    # Adam's first update is the sign of a gradient; its moments are the gradients themselves.
    for optimizer in ("generator_optimizer", "discriminator_optimizer"):
        moments, expected = (
            getattr(each.gan, optimizer)._momentums for each in (trainer, reference)
        )
        noise = 1e-3 * max(np.abs(moment).max() for moment in expected)
        for moment, wanted in zip(moments, expected, strict=True):
            np.testing.assert_allclose(moment, wanted, rtol=1e-2, atol=noise, err_msg=moment.path)


def test_step_is_traced_once(trainer):
    for images in batches(trainer, 8):
        trainer.train_step(images)
    assert trainer.train_step.experimental_get_tracing_count() == 1


def test_sampling_leaves_the_state_alone(trainer):
    before = [v.numpy() for v in trainer.gan.generator.variables]
    assert np.array_equal(trainer.sample_grid(), trainer.sample_grid())
    assert all(np.array_equal(a, b) for a, b in zip(before, trainer.gan.generator.variables))


def test_state_holds_all_that_training_changes(trainer, tmp_path):
    def everything(trainer):
        layers = trainer.gan.discriminator.layers
        dropouts = [x for x in layers if isinstance(x, keras.layers.Dropout)]
        seeds = [x.seed_generator.state.numpy() for x in dropouts]
        return [*state(trainer.gan), *seeds, trainer.step]

    for images in batches(trainer, 2):
        trainer.train_step(images)
    prefix = trainer.state.write(str(tmp_path / "x"))
    other = Trainer(Config(batch_size=8, seed=9), trainer.images)
    assert not all(np.array_equal(a, b) for a, b in zip(everything(trainer), everything(other)))
    other.state.read(prefix).assert_consumed()
    # G: 4 kernels, 3 batch norms of 4. D: 3 kernels, 3 biases, 2 dropout seeds (listed twice).
    # Adam: 2 moments for each of 10 and 6 weights, a step and a rate each. And the step.
    assert len(everything(trainer)) == 16 + 8 + (20 + 2) + (12 + 2) + 2 + 1
    assert all(np.array_equal(a, b) for a, b in zip(everything(trainer), everything(other)))


def test_a_run_of_many_short_epochs_reports_some_of_them(monkeypatch, mnist, tmp_path):
    monkeypatch.setattr(schedule, "SHORT_RUN", 3)  # of 48 steps: reports 16 apart
    # Epochs of 6 steps: every third, the fifth, the eighth.
    trainer = dense_trainer(mnist, epochs=8, eval_every=5)
    run = RunDirectory(tmp_path)
    made = []

    def evaluate(step, generator):
        assert generator is trainer.gan.sampling_generator
        made.append(step)
        return Evaluation(step, {"frechet_distance": 1.0, "frechet_baseline": 0.5})

    trainer.fit(run, evaluate)
    assert [*run.frames()] == [0, 3, 5, 6, 8] and made == [30]
    saved = Checkpoints(run.checkpoints, trainer.state).steps()
    assert saved[-1] == 48 and {step % 6 for step in saved} == {0}
    assert len(run.metrics_file.read_text().splitlines()) == 1 + 8


@pytest.mark.parametrize("settings", [{}, {"ema_decay": 0.9, "discriminator_steps": 2}])
def test_several_steps_in_one_call_are_bit_for_bit_the_same(mnist, tmp_path, settings):
    make = dense_trainer if settings else make_trainer
    trainer = make(mnist, **settings)
    start = trainer.state.write(str(tmp_path / "start"))
    for images in batches(trainer, 5):
        last = trainer.train_step(images)
    alone = state(trainer.gan)
    trainer.state.read(start).assert_consumed()
    several = batches(trainer, 5)
    first_three = trainer.train_steps(several, tf.constant(3))
    last_two = trainer.train_steps(several, tf.constant(2))
    assert first_three.scalars.gen_loss.shape == (3,) and last_two.real_logits.shape == (2, 8, 1)
    for value, wanted in zip(flat(last_two), flat(last)):
        np.testing.assert_array_equal(value[-1], wanted)
    for value, wanted in zip(state(trainer.gan), alone, strict=True):
        np.testing.assert_array_equal(value, wanted)
    assert trainer.train_steps.experimental_get_tracing_count() == 1


def test_steps_at_once_are_the_same_however_many(mnist, tmp_path):
    """A graph of its own would round them differently."""
    settings = {"pack": 2, "augment": "color,translation", "ema_decay": 0.9}
    trainer, ends = make_trainer(mnist, **settings), []
    start = trainer.state.write(str(tmp_path / "start"))
    for counts in ((3, 3), (1, 2, 2, 1)):
        trainer.state.read(start).assert_consumed()
        several = batches(trainer, 6)
        for count in counts:
            trainer.take(several, count, at_once=True)
        ends.append(state(trainer.gan))
    for value, wanted in zip(*ends, strict=True):
        np.testing.assert_array_equal(value, wanted)
