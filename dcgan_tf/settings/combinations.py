"""Settings that do not go together, one row each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from dcgan_tf.settings.choices import DATASETS, LOSSES

SMOOTHABLE = ", ".join(name for name, loss in LOSSES.items() if loss.smoothable)


class Combination(NamedTuple):
    """Settings that do not go together.

    Attributes:
        found: whether a `Config` has them.
        reason: why they do not, and what would do, in which `{0.NAME}` stands for a setting.
    """

    found: Callable[[Any], Any]
    reason: str


COMBINATIONS = (
    Combination(
        lambda config: config.gradient_penalty is not None and config.discriminator_batch_norm,
        "`gradient_penalty` needs a discriminator that treats each image on its own, and batch "
        "norm does not: add `discriminator_batch_norm=False`",
    ),
    Combination(
        lambda config: config.real_penalty and config.sync_batch_norm,
        "`real_penalty` is taken by each replica on its own part of the batch: leave out "
        "`sync_batch_norm`, or give `real_penalty=0`",
    ),
    Combination(
        lambda config: config.gradient_penalty is not None and config.weight_clip is not None,
        "`gradient_penalty` and `weight_clip` are two ways to the same end: give one",
    ),
    Combination(
        lambda config: config.loss == "wasserstein" and not config.limits_slope,
        "`loss=wasserstein` needs `weight_clip` or `gradient_penalty`: without one, the "
        "critic is not Lipschitz, and its loss has no lower bound",
    ),
    Combination(
        lambda config: config.label_smoothing > 0 and not LOSSES[config.loss].smoothable,
        "`label_smoothing` moves a target, and `loss={0.loss}` has none: it goes with "
        f"{SMOOTHABLE}",
    ),
    Combination(
        lambda config: (
            config.reference and (config.precision, config.convolutions) != ("float32", "native")
        ),
        "`reference` computes in float32 with TensorFlow's own convolutions: leave out `precision` "
        "and `convolutions`, or give `precision=float32` and `convolutions=native`",
    ),
    Combination(
        lambda config: (
            config.reference
            and config.discriminator_batch_norm
            and (config.real_penalty or config.unroll_steps > 0)
        ),
        "`reference` takes Keras's batch norm, whose second derivative is wrong; `real_penalty` "
        "and `unroll_steps` depend on it: leave out `reference`",
    ),
    Combination(
        lambda config: config.fade_in > 0 and config.init_from is None,
        "`fade_in` grows from another run: give `init_from`, a run on images of half the size",
    ),
    Combination(
        lambda config: config.conditional and DATASETS[config.dataset].load_labels is None,
        "`conditional` learns labels, and `dataset={0.dataset}` has none",
    ),
    Combination(
        lambda config: config.batch_size % config.pack != 0,
        "`batch_size={0.batch_size}` is not a multiple of `pack={0.pack}`",
    ),
)
