"""Settings that do not go together, or that change nothing beside others, one row each."""

from __future__ import annotations

from collections.abc import Callable, Collection
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
        lambda config: config.flattens_slope and config.sync_batch_norm,
        "`r1_gamma` and `r2_gamma` are taken by each replica on its own part of the batch: leave "
        "out `sync_batch_norm`, or give `r1_gamma=0` and `r2_gamma=0`",
    ),
    Combination(
        lambda config: config.gradient_penalty is not None and config.weight_clip is not None,
        "`gradient_penalty` and `weight_clip` are two ways to the same end: give one",
    ),
    Combination(
        lambda config: config.loss == "wasserstein" and not config.limits_slope,
        "`loss=wasserstein` needs `weight_clip` or `gradient_penalty`: without one, the "
        "critic is not Lipschitz, and its loss has no lower bound; in Python, "
        "Config.from_preset(loss='wasserstein') brings along what it needs, as the flag does",
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
            and (config.flattens_slope or config.unroll_steps > 0)
        ),
        "`reference` takes Keras's batch norm, whose second derivative is wrong; `r1_gamma`, "
        "`r2_gamma` and `unroll_steps` depend on it: leave out `reference`",
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
        lambda config: config.conditional and config.clusters is not None,
        "`conditional` learns the labels of the images, and `clusters` finds others: give one",
    ),
    Combination(
        lambda config: config.has_class_layers and not config.generator_batch_norm,
        "`label_input=projection` scales and shifts what the generator's batch norm makes: leave "
        "out `generator_batch_norm=False`, or give `label_input=concat`",
    ),
    Combination(
        lambda config: config.has_class_layers and config.fade_in > 0,
        "`fade_in` grows models that have labels beside their inputs: give `label_input=concat`",
    ),
    Combination(
        lambda config: config.batch_size % config.pack != 0,
        "`batch_size={0.batch_size}` is not a multiple of `pack={0.pack}`",
    ),
)


class Idle(NamedTuple):
    """Settings that would change nothing.

    They are refused where they are given, but not in a `Config`: those of older runs may have them.

    Attributes:
        names: of the settings.
        found: whether they change nothing in a `Config`.
        reason: why, in which `{0.NAME}` stands for a setting, and `{1}` for the name of this one.
    """

    names: tuple[str, ...]
    found: Callable[[Any], Any]
    reason: str

    def fault(self, config: Any, given: Collection[str]) -> str | None:
        """What is to be said if one of them is given."""
        for name in self.names:
            if name in given and self.found(config):
                return self.reason.format(config, name)
        return None


FOR_SOME_DATASETS = (
    Idle(
        ("channels", "fit", "background", "max_bad_images", "reading"),
        lambda config: config.dataset != "folder",
        "`{1}` is for `dataset` folder, not for {0.dataset}",
    ),
    Idle(
        ("held_out", "cache_dir"),
        lambda config: config.dataset not in ("folder", "arrays"),
        "`{1}` is for `dataset` folder or arrays, not for {0.dataset}",
    ),
    Idle(
        ("data_dir",),
        lambda config: config.dataset == "arrays",
        "`{1}` is not for `dataset` arrays, whose images Python passes to train: leave it out",
    ),
)

IDLE = (
    *FOR_SOME_DATASETS,
    Idle(
        ("batch_norm_momentum", "batch_norm_epsilon", "sync_batch_norm"),
        lambda config: not (config.generator_batch_norm or config.discriminator_batch_norm),
        "`{1}` is for batch norm, and neither model has any: leave it out",
    ),
    Idle(
        ("decay_from",),
        lambda config: config.decay_steps is None,
        "`{1}` is where learning rates begin to fall: add `decay_steps`, or leave it out",
    ),
    Idle(
        ("augment_probability", "augment_target"),
        lambda config: config.augment == "none",
        "`{1}` is for random changes to images: add `augment`, or leave it out",
    ),
    Idle(
        ("augment_probability",),
        lambda config: config.augment_target is not None,
        "`{1}` is adapted, from 0 on, with `augment_target`: give one of them",
    ),
    Idle(
        ("label_input",),
        lambda config: not config.learns_labels,
        "`{1}` is for labels: add `conditional` or `clusters`, or leave it out",
    ),
    Idle(
        ("discriminator_batch",),
        lambda config: (
            config.discriminator_batch == "joint" and not config.discriminator_batch_norm
        ),
        "`{1}=joint` makes a difference to the discriminator's batch norm, and it has none: add "
        "`discriminator_batch_norm=True`, or leave it out",
    ),
    Idle(
        ("learning_rate",),
        lambda config: (
            config.generator_learning_rate is not None
            and config.discriminator_learning_rate is not None
        ),
        "`{1}` is for both models, and each has its own: leave it out",
    ),
)
