"""Combinations of settings that conflict, and settings that have no effect with others."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from dcgan_tf.settings.choices import DATASETS, LOSSES

SMOOTHABLE = ", ".join(name for name, loss in LOSSES.items() if loss.smoothable)


class Combination(NamedTuple):
    """Settings that conflict.

    Attributes:
        found: whether a `Config` has the conflict.
        reason: what the conflict is and how to resolve it; `{0.NAME}` stands for a setting's value.
    """

    found: Callable[[Any], Any]
    reason: str


COMBINATIONS = (
    Combination(
        lambda config: config.gradient_penalty is not None and config.discriminator_batch_norm,
        "`gradient_penalty` needs a discriminator that treats images independently, but batch norm "
        "mixes them: add `discriminator_batch_norm=False`",
    ),
    Combination(
        lambda config: config.has_r1_or_r2 and config.sync_batch_norm,
        "`r1_gamma` and `r2_gamma` are computed by each replica on its part of the batch: leave "
        "out `sync_batch_norm`, or set `r1_gamma=0` and `r2_gamma=0`",
    ),
    Combination(
        lambda config: config.gradient_penalty is not None and config.weight_clip is not None,
        "`gradient_penalty` and `weight_clip` serve the same purpose: use only one",
    ),
    Combination(
        lambda config: config.loss == "wasserstein" and not config.is_lipschitz,
        "`loss=wasserstein` needs `weight_clip` or `gradient_penalty`: without one, the critic is "
        "not Lipschitz, and its loss has no lower bound; in Python, "
        "Config.from_preset(loss='wasserstein') adds `weight_clip=0.01`, as the flag does",
    ),
    Combination(
        lambda config: config.label_smoothing > 0 and not LOSSES[config.loss].smoothable,
        "`label_smoothing` changes the target of real images, but `loss={0.loss}` has no target: "
        f"use it with {SMOOTHABLE}",
    ),
    Combination(
        lambda config: (
            config.reference and (config.precision, config.convolutions) != ("float32", "native")
        ),
        "`reference` uses float32 and TensorFlow's own convolutions: leave out `precision` and "
        "`convolutions`, or set `precision=float32` and `convolutions=native`",
    ),
    Combination(
        lambda config: (
            config.reference
            and config.discriminator_batch_norm
            and (config.has_r1_or_r2 or config.unroll_steps > 0)
        ),
        "`reference` uses Keras's batch norm, whose second derivative is wrong, and `r1_gamma`, "
        "`r2_gamma` and `unroll_steps` depend on it: leave out `reference`",
    ),
    Combination(
        lambda config: config.fade_in > 0 and config.init_from is None,
        "`fade_in` grows another run: set `init_from` to a run on images of half the size",
    ),
    Combination(
        lambda config: config.conditional and DATASETS[config.dataset].load_labels is None,
        "`conditional` needs labels, but `dataset={0.dataset}` has none",
    ),
    Combination(
        lambda config: config.conditional and config.clusters,
        "`conditional` learns the images' own labels, and `clusters` replaces them: use only one",
    ),
    Combination(
        lambda config: config.has_class_layers and not config.generator_batch_norm,
        "`label_input=projection` needs the generator's batch norm, whose output it scales and "
        "shifts: leave out `generator_batch_norm=False`, or set `label_input=concat`",
    ),
    Combination(
        lambda config: config.has_class_layers and config.fade_in > 0,
        "`fade_in` can't grow models with `label_input=projection`: set `label_input=concat`",
    ),
    Combination(
        lambda config: config.has_auxiliary_classifier and config.pack > 1,
        "`auxiliary_weight` classifies each image on its own, but `pack` joins them: leave out "
        "`pack`, or set `auxiliary_weight=0`",
    ),
    Combination(
        lambda config: (
            config.has_auxiliary_classifier and config.loss == "minimax" and config.unroll_steps > 0
        ),
        "`unroll_steps` with `loss=minimax` has no term for `auxiliary_weight`: set `loss=bce` or "
        "`auxiliary_weight=0`",
    ),
    Combination(
        lambda config: config.batch_size % config.pack != 0,
        "`batch_size={0.batch_size}` is not a multiple of `pack={0.pack}`",
    ),
)


class Unused(NamedTuple):
    """Settings that would have no effect.

    They are rejected as flags, but not in a `Config`, because older runs may have them.

    Attributes:
        names: the settings.
        found: whether they have no effect in a `Config`.
        reason: why; `{0.NAME}` stands for a setting's value, `{1}` for the unused setting's name.
    """

    names: tuple[str, ...]
    found: Callable[[Any], Any]
    reason: str

    def fault(self, config: Any, given: Collection[str]) -> str | None:
        """An error message if one of the settings is in `given`, else None."""
        for name in self.names:
            if name in given and self.found(config):
                return self.reason.format(config, name)
        return None


FOR_SOME_DATASETS = (
    Unused(
        ("channels", "fit", "background", "max_bad_images", "reading"),
        lambda config: config.dataset != "folder",
        "`{1}` is for `dataset` folder, not for {0.dataset}",
    ),
    Unused(
        ("held_out", "cache_dir"),
        lambda config: config.dataset not in ("folder", "arrays"),
        "`{1}` is for `dataset` folder or arrays, not for {0.dataset}",
    ),
    Unused(
        ("data_dir",),
        lambda config: config.dataset == "arrays",
        "`{1}` is not for `dataset` arrays, which are passed to train in Python: leave it out",
    ),
)

UNUSED = (
    *FOR_SOME_DATASETS,
    Unused(
        ("batch_norm_momentum", "batch_norm_epsilon", "sync_batch_norm"),
        lambda config: not (config.generator_batch_norm or config.discriminator_batch_norm),
        "`{1}` is for batch norm, but neither model has it: leave it out",
    ),
    Unused(
        ("decay_from",),
        lambda config: config.decay_steps is None,
        "`{1}` delays the decay of the learning rates: add `decay_steps`, or leave it out",
    ),
    Unused(
        ("augment_probability", "augment_target"),
        lambda config: config.augment == "none",
        "`{1}` is for augmentation: add `augment`, or leave it out",
    ),
    Unused(
        ("augment_probability",),
        lambda config: config.augment_target is not None,
        "`augment_target` adapts `{1}`, starting from 0: use only one of them",
    ),
    Unused(
        ("label_input",),
        lambda config: not config.learns_labels,
        "`{1}` is for labels: add `conditional` or `clusters`, or leave it out",
    ),
    Unused(
        ("auxiliary_weight",),
        lambda config: config.auxiliary_weight and not config.has_class_layers,
        "`{1}` is for labels that the discriminator can't read off its input: add "
        "`label_input=projection` with `conditional` or `clusters`, or leave it out",
    ),
    Unused(
        ("discriminator_batch",),
        lambda config: (
            config.discriminator_batch == "joint" and not config.discriminator_batch_norm
        ),
        "`{1}=joint` only affects batch norm in the discriminator, which has none: add "
        "`discriminator_batch_norm=True`, or leave it out",
    ),
    Unused(
        ("learning_rate",),
        lambda config: (
            config.generator_learning_rate is not None
            and config.discriminator_learning_rate is not None
        ),
        "`{1}` is overridden by both models' own rates: leave it out",
    ),
)
