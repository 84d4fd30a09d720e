"""Training on two replicas, which are two devices of this process."""

import functools

import numpy as np
import pytest
import tensorflow as tf

import dcgan_tf
from dcgan_tf import data
from dcgan_tf.conditional.labels import Labels
from dcgan_tf.distributed.replicas import distribute
from dcgan_tf.distributed.strategy import check_replicas, mirrored_strategy
from dcgan_tf.fast import keras_layers as fast_layers
from dcgan_tf.settings.choices import ARCHITECTURES
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.steps.make_step import make_step
from dcgan_tf.training import Trainer
from tests.conftest import thorough
from tests.small import DENSE

SMALL = {
    "batch_size": 8,
    "base_filters": 4,
    "precision": "float32",
    "convolutions": "native",
    "flip": True,
    "ema_decay": 0.9,
}
DENSE_MODELS = {"architecture": "dense"}


@pytest.fixture(autouse=True)
def dense(monkeypatch):
    monkeypatch.setitem(ARCHITECTURES, "dense", DENSE)


@pytest.fixture(scope="session")
def mirrored():
    return mirrored_strategy(0)


def trained(strategy, config, digits, steps):
    """A trainer after some steps, and the results of these."""
    labels = np.arange(len(digits)) % 3 if config.conditional else None
    with strategy.scope():
        trainer = Trainer(config, digits, None if labels is None else Labels(labels, "abc"))
        make = functools.partial(data.make_batches, digits, config, 0, steps, labels=labels)
        batches = distribute(make) if strategy.num_replicas_in_sync > 1 else iter(make())
        return trainer, [trainer.train_step(next(batches)) for _ in range(steps)]


@pytest.mark.parametrize(
    "flags",
    [
        DENSE_MODELS
        | {"generator_batch_norm": False, "augment": "color,translation,cutout"}
        | {"conditional": True, "augment_probability": 0.5},
        DENSE_MODELS | {"sync_batch_norm": True, "discriminator_batch_norm": True, "pack": 2},
        *thorough(
            {"sync_batch_norm": True, "discriminator_batch_norm": True, "pack": 2},
            {"sync_batch_norm": True, "conditional": True, "label_input": "projection"}
            | {"augment": "color", "augment_target": 0.6, "auxiliary_weight": 0.1},
            {"generator_batch_norm": False, "spectral_norm": True, "loss": "relativistic"}
            | {"r2_gamma": 1.0, "decay_steps": 4},
            {"sync_batch_norm": True, "noise": "uniform", "loss": "hinge"},
            {"sync_batch_norm": True, "init_from": "other", "fade_in": 4},
            {"generator_batch_norm": False, "loss": "wasserstein", "weight_clip": 0.01}
            | {"discriminator_steps": 2},
            {"generator_batch_norm": False, "loss": "wasserstein", "gradient_penalty": 10.0},
            {"generator_batch_norm": False, "r1_gamma": 10.0},
        ),
    ],
    ids=lambda flags: "-".join(flags),
)
def test_two_replicas_equal_one(mirrored, mnist, flags):
    config = Config(**SMALL | flags)
    digits = mnist[:64, ..., np.newaxis]
    one, outputs = trained(tf.distribute.get_strategy(), config, digits, 3)
    two, outputs_of_two = trained(mirrored, config, digits, 3)
    for output, other in zip(outputs, outputs_of_two):
        for name in ("gen_loss", "disc_loss", "d_real", "d_fake"):
            found, wanted = (getattr(each.scalars, name) for each in (output, other))
            np.testing.assert_allclose(found, wanted, 2e-5, 1e-6)
    # Adam's first update is the sign of a gradient; its moments are the gradients themselves.
    for optimizer in ("generator_optimizer", "discriminator_optimizer"):
        moments, moments_of_two = (getattr(each.gan, optimizer)._momentums for each in (one, two))
        noise = 1e-5 * max(np.abs(moment).max() for moment in moments)
        for moment, other in zip(moments, moments_of_two, strict=True):
            np.testing.assert_allclose(moment, other.numpy(), 1e-3, noise, err_msg=moment.path)
    for each in ("generator", "ema_generator"):
        for weights, other in zip(getattr(one.gan, each).weights, getattr(two.gan, each).weights):
            np.testing.assert_allclose(weights, other.numpy(), atol=1e-5, err_msg=weights.path)


def test_without_sync_each_replica_normalizes_its_own_part(mirrored, mnist):
    config = Config(**SMALL | DENSE_MODELS)
    digits = mnist[:64, ..., np.newaxis]
    _, outputs = trained(tf.distribute.get_strategy(), config, digits, 1)
    _, outputs_of_two = trained(mirrored, config, digits, 1)
    assert abs(outputs[0].scalars.gen_loss - outputs_of_two[0].scalars.gen_loss) > 1e-4


# The second part begins 0 to 3 numbers after a multiple of four, which the generator gives at once.
@pytest.mark.parametrize("shape", [(8, 6, 6, 4), (8, 5), (6, 3, 3, 5), (12, 6), (10, 3, 1, 5)])
def test_dropout_masks_differ_between_replicas_and_together_are_those_of_one(mirrored, shape):
    ones = tf.ones(shape)

    def masks(strategy, batch_size):
        with strategy.scope():
            layer = fast_layers.Dropout(0.5, seed=3)
            layer.build(ones.shape)
        call = tf.function(lambda: strategy.run(lambda: layer(ones[:batch_size], training=True)))
        return [strategy.experimental_local_results(call()) for _ in range(2)]

    for (whole,), (first, second) in zip(
        masks(tf.distribute.get_strategy(), shape[0]), masks(mirrored, shape[0] // 2), strict=True
    ):
        assert not np.array_equal(first, second)
        np.testing.assert_array_equal(np.concatenate([first, second]), whole)


@pytest.mark.parametrize("updates", [1, 3])
def test_the_parts_of_replicas_are_disjoint_and_make_up_the_batch(updates):
    images = np.arange(60, dtype=np.uint8).reshape(60, 1, 1, 1)
    config = Config(batch_size=6, discriminator_steps=updates)

    def numbers(**part):
        batches = data.make_batches(images, config, 2, 5, **part)
        return [np.rint(batch * 127.5 + 127.5).astype(int).reshape(-1) for batch in batches]

    whole = numbers()
    first, *others = (numbers(replicas=range(i, i + 1), num_replicas=3) for i in range(3))
    for step, batch in enumerate(whole):
        parts = [part[step].reshape(updates, 2) for part in (first, *others)]
        assert np.array_equal(np.concatenate(parts, axis=1).reshape(-1), batch)
        assert len(set(np.concatenate(parts).reshape(-1))) == 6 * updates
    in_turn = numbers(replicas=range(1, 3), num_replicas=3)
    assert np.array_equal(in_turn[0::2], others[0]) and np.array_equal(in_turn[1::2], others[1])


REFERENCE = {"reference": True, "precision": "float32", "convolutions": "native"}


@pytest.mark.parametrize(
    "flags, message",
    [
        (
            {"batch_size": 256},
            "256 is not a multiple of 3, for 3 replicas: use 255 or 258",
        ),
        ({"batch_size": 2}, "a multiple of 3, for 3 replicas: use 3"),
        ({"batch_size": 18, "pack": 9}, "of 27, for 3 replicas of `pack` 9: use 27"),
        ({"batch_size": 6, "precision": "float16"}, "`precision` float16 .* bfloat16"),
        ({"batch_size": 6, "jit_compile": True}, "`jit_compile` .* `strategy` one"),
        ({"batch_size": 6} | REFERENCE, "`reference` .* dropout.* `strategy` one"),
    ],
)
def test_settings_that_need_one_replica_are_refused(flags, message):
    check_replicas(Config(**flags), 1)
    with pytest.raises(UserError, match=message):
        check_replicas(Config(**flags), 3)


def test_a_step_that_needs_one_replica_is_refused(mirrored):
    config = Config(batch_size=6, unroll_steps=2)
    make_step(config)
    with mirrored.scope(), pytest.raises(UserError, match="`unroll_steps` .* `strategy=one`"):
        make_step(config)


@pytest.mark.thorough
def test_one_process_trains_several_runs_on_several_devices(digits_dir, tmp_path):
    settings = {"data_dir": str(digits_dir), "strategy": "mirrored", "max_steps": 1}
    settings |= {"batch_size": 8, "eval_every": 0, "precision": "float32"}
    for filters in (4, 6):
        config = Config.from_flags(settings | {"base_filters": filters, "convolutions": "native"})
        assert dcgan_tf.train(config, tmp_path / f"run_{filters}").step == 1
