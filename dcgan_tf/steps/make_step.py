"""Selects the training step of a run: the first row of `STEPS` that applies."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import tensorflow as tf

from dcgan_tf.run.devices import onednn_is_on
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.steps.critic import critic_step
from dcgan_tf.steps.growing_step import growing_step
from dcgan_tf.steps.unrolled import unrolled_step
from dcgan_tf.train_step import StepOutput, train_step


def unrolled_requirements(config: Config, replicas: int) -> Iterator[str]:
    """Reasons why `unrolled_step` can't be used with a config."""
    if config.alternates:
        yield (
            "`unroll_steps` needs one update of each model per step: leave out "
            "`discriminator_steps`, `weight_clip` and `gradient_penalty`"
        )
    if replicas > 1:
        yield "`unroll_steps` runs on one replica only: set `strategy=one`"
    if config.precision == "float16":
        yield (
            "`unroll_steps` takes gradients of gradients, which can't both be scaled for float16: "
            "set `precision=bfloat16` or `precision=float32`"
        )
    # With oneDNN, TensorFlow fuses the gradients of a convolution's kernel and bias. With second
    # derivatives, a kernel has several gradients, and the fusion may pick one that depends on the
    # bias's gradient, which makes the graph cyclic. A third of the graphs tried were (TensorFlow
    # 2.21).
    is_joint = config.discriminator_batch == "joint" and config.discriminator_batch_norm
    if is_joint and onednn_is_on():
        yield (
            "`unroll_steps` with batch norm in a joint batch fails with oneDNN: set "
            "TF_ENABLE_ONEDNN_OPTS=0, or `discriminator_batch=separate`"
        )


class Step(NamedTuple):
    """A training algorithm.

    Attributes:
        name: how a run's first lines refer to the step.
        function: maps a `Gan`, images and labels to a `StepOutput`.
        applies: whether a config selects the step.
        arguments: maps the config to additional arguments of the function.
        requires: maps the config and the number of replicas to reasons why the step can't be used.
    """

    name: str
    function: Callable[..., StepOutput]
    applies: Callable[[Config], Any]
    arguments: Callable[[Config], dict[str, Any]] = lambda config: {}
    requires: Callable[[Config, int], Iterable[str]] = lambda config, replicas: ()


STEPS = (
    Step(
        "unrolled discriminator",
        unrolled_step,
        lambda config: config.unroll_steps,
        lambda config: {
            "unroll_steps": config.unroll_steps,
            "zero_sum": config.loss == "minimax",
        },
        unrolled_requirements,
    ),
    Step(
        "the critic first, then the generator",
        critic_step,
        lambda config: config.alternates,
        lambda config: {
            "critic_updates": config.discriminator_steps,
            "weight_clip": config.weight_clip,
        },
    ),
    Step("the tutorial's", train_step, lambda config: True),
)


def choose_step(config: Config) -> Step:
    """The row of a config's step."""
    return next(step for step in STEPS if step.applies(config))


def make_step(config: Config) -> Callable[..., StepOutput]:
    """The step for a config: a function of a `Gan`, images, and labels in a conditional run.

    Raises:
        UserError: the step conflicts with other settings, or with several replicas.
    """
    step = choose_step(config)
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    for reason in step.requires(config, replicas):
        raise UserError(reason)
    arguments = step.arguments(config)
    function = functools.partial(step.function, **arguments) if arguments else step.function
    return growing_step(function, config.fade_in, config.stride) if config.fade_in else function
