"""Which step a run takes, with which arguments, and what each does not go with."""

import functools
import itertools

import pytest
import tensorflow as tf

from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.steps.critic import critic_step
from dcgan_tf.steps.make_step import choose_step, make_step
from dcgan_tf.steps.unrolled import unrolled_step
from dcgan_tf.train_step import train_step

UNROLLED = {"unroll_steps": 2}


@pytest.mark.parametrize(
    "settings, step, arguments, name",
    [
        ({}, train_step, {}, "the tutorial's"),
        ({"preset": "fast"}, train_step, {}, "the tutorial's"),
        ({"preset": "paper"}, train_step, {}, "the tutorial's"),
        ({"preset": "small"}, train_step, {}, "the tutorial's"),
        ({"precision": "float16"}, train_step, {}, "the tutorial's"),
        (
            {"loss": "wasserstein"},
            critic_step,
            {"critic_updates": 5, "weight_clip": 0.01},
            "the critic first, then the generator",
        ),
        (
            {"loss": "wasserstein", "gradient_penalty": 10.0, "discriminator_steps": 1},
            critic_step,
            {"critic_updates": 1, "weight_clip": None},
            "the critic first, then the generator",
        ),
        (
            {"discriminator_steps": 2, "precision": "float16", "r1_gamma": 1.0},
            critic_step,
            {"critic_updates": 2, "weight_clip": None},
            "the critic first, then the generator",
        ),
        (
            {"unroll_steps": 1, "r1_gamma": 1.0},
            unrolled_step,
            {"unroll_steps": 1, "zero_sum": False},
            "unrolled discriminator",
        ),
        (
            {"unroll_steps": 3, "loss": "minimax"},
            unrolled_step,
            {"unroll_steps": 3, "zero_sum": True},
            "unrolled discriminator",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_each_config_takes_its_step(settings, step, arguments, name):
    config = Config.from_flags(settings)
    made = make_step(config)
    made = made if isinstance(made, functools.partial) else functools.partial(made)
    assert (made.func, made.args, made.keywords) == (step, (), arguments)
    assert choose_step(config).name == name


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({"discriminator_steps": 2}, "leave out `discriminator_steps`, `weight_clip` and"),
        ({"weight_clip": 0.1}, "`unroll_steps` needs one update of each model per step"),
        ({"gradient_penalty": 10.0}, "`unroll_steps` needs one update of each model per step"),
        ({"loss": "wasserstein"}, "`unroll_steps` needs one update of each model per step"),
        ({"precision": "float16"}, "set `precision=bfloat16` or `precision=float32`"),
        (
            {"discriminator_batch": "joint", "discriminator_batch_norm": True},
            "TF_ENABLE_ONEDNN_OPTS=0, or `discriminator_batch=separate`",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_what_unrolling_does_not_go_with_is_refused(monkeypatch, settings, expected):
    monkeypatch.setattr("dcgan_tf.steps.make_step.onednn_is_on", lambda: True)
    with pytest.raises(UserError, match=expected):
        make_step(Config.from_flags(UNROLLED | settings))
    for part in ({}, settings):  # each goes alone
        make_step(Config.from_flags(part or UNROLLED))


def test_graphs_that_have_a_cycle_with_onednn_are_those_of_batch_norm_in_a_joint_batch(monkeypatch):
    monkeypatch.setattr("dcgan_tf.steps.make_step.onednn_is_on", lambda: True)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")  # which came too late
    for batch, norm in itertools.product(("separate", "joint"), (False, True)):
        config = Config(**UNROLLED, discriminator_batch=batch, discriminator_batch_norm=norm)
        if batch == "joint" and norm:
            with pytest.raises(UserError, match="fails with oneDNN"):
                make_step(config)
            monkeypatch.setattr("dcgan_tf.steps.make_step.onednn_is_on", lambda: False)
        make_step(config)


def test_unrolling_is_refused_on_several_replicas():
    config = Config(**UNROLLED)
    for devices in (["CPU:0"], ["CPU:0", "CPU:1"]):
        with tf.distribute.MirroredStrategy(devices).scope():
            make_step(Config())
            make_step(Config.from_flags({"loss": "wasserstein"}))
            if len(devices) == 1:
                make_step(config)
            else:
                with pytest.raises(UserError, match="one replica only: set `strategy=one`"):
                    make_step(config)
