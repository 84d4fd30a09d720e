"""The presets: values of a run's settings, where they are not the tutorial's."""

from typing import Any

# Radford et al., 2016, section 4; batch norm's constants and the kernel are PyTorch's reading.
PAPER = {
    "architecture": "paper",
    "image_size": 64,
    "kernel_size": 4,
    "negative_slope": 0.2,
    "dropout": 0.0,
    "discriminator_batch_norm": True,
    "batch_norm_momentum": 0.9,
    "batch_norm_epsilon": 1e-5,
    "initializer_stddev": 0.02,
    "noise": "uniform",
    "batch_size": 128,
    "epochs": 25,
    "learning_rate": 2e-4,
    "beta_1": 0.5,
}

PRESETS: dict[str, dict[str, Any]] = {
    "tutorial": {},
    # Digits in minutes, by the tutorial's step: the paper's rates and weights, smaller batches and
    # models, an average.
    "fast": {
        "kernel_size": 4,
        "base_filters": 32,
        "initializer_stddev": 0.02,
        "batch_size": 64,
        "learning_rate": 5e-4,
        "beta_1": 0.5,
        "ema_decay": 0.999,
        "epochs": 20,
    },
    # Better digits in the same minutes: the paper's models, half as wide, with a discriminator kept
    # from being overconfident.
    "digits": PAPER
    | {
        "image_size": None,
        "base_filters": 32,
        "noise": "normal",
        "batch_size": 64,
        "learning_rate": 5e-4,
        "r1_gamma": 1.0,
        "ema_decay": 0.999,
        "epochs": 20,
    },
    "paper": PAPER,
    "blocks": PAPER | {"architecture": "blocks", "image_size": 32, "noise": "normal"},
    "upsample": PAPER
    | {
        "architecture": "upsample",
        "image_size": 32,
        "kernel_size": 3,
        "dropout": 0.25,
        "discriminator_batch": "joint",
        "noise": "normal",
    },
    # A folder of some hundreds or thousands of pictures: as `digits`, with the paper's size and
    # rate, and augmented.
    "small": PAPER
    | {
        "base_filters": 32,
        "batch_size": 32,
        "noise": "normal",
        "augment": "color,translation",
        "r1_gamma": 1.0,
        "ema_decay": 0.999,
        "epochs": 1_000_000,
        "max_steps": 30_000,  # the fewer the images, the shorter an epoch
    },
}


def implied(given: dict[str, Any]) -> dict[str, Any]:
    """The values that some flags bring along, for settings that are not given themselves.

    Args:
        given: the flags that were given, by name.
    """
    values: dict[str, Any] = {}
    if given.get("loss") == "wasserstein":  # Arjovsky et al., 2017
        values |= {"discriminator_steps": 5}
        if "gradient_penalty" not in given:
            values |= {"weight_clip": 0.01}
    if given.get("conditional"):  # in place of a preset's clusters
        values |= {"clusters": None}
    if "epochs" in given:  # in place of a preset's steps
        values |= {"max_steps": None}
    return values
