"""The presets: settings that differ from the tutorial's."""

from typing import Any

# Radford et al., 2016, section 4; batch norm's constants and the kernel size follow PyTorch.
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

# Better digits in the same time as `fast`: the paper's models at half the width, R1 against an
# overconfident discriminator, clusters of similar images as labels, an auxiliary classifier of the
# labels, and a decay.
DIGITS = PAPER | {
    "image_size": None,
    "base_filters": 32,
    "noise": "normal",
    "batch_size": 64,
    "learning_rate": 5e-4,
    "r1_gamma": 1.0,
    "clusters": 50,
    "label_input": "projection",
    "auxiliary_weight": 0.1,
    "ema_decay": 0.999,
    "decay_from": 14_110,
    "decay_steps": 14_000,
    "epochs": 1_000_000,
    "max_steps": 28_110,  # 30 epochs of MNIST, not epochs, whose length depends on the dataset
}

PRESETS: dict[str, dict[str, Any]] = {
    "tutorial": {},
    # Digits in minutes with the tutorial's step: the paper's Adam and initialization, smaller
    # batches and models, and an EMA generator.
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
    "digits": DIGITS,
    # Many small photographs, such as CIFAR-10: wider models, a weaker penalty, mirror images.
    "photographs": DIGITS
    | {
        "base_filters": 48,
        "learning_rate": 4e-4,
        "r1_gamma": 0.1,
        "flip": True,
        "decay_from": 11_430,
        "decay_steps": 12_000,
        "max_steps": 23_430,  # 30 epochs of CIFAR-10
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
    # A folder of hundreds or thousands of pictures: like `digits`, with the paper's image size and
    # learning rate, and augmentation.
    "small": PAPER
    | {
        "base_filters": 32,
        "batch_size": 32,
        "noise": "normal",
        "noise_dim": 64,
        "augment": "color,translation",
        "r1_gamma": 1.0,
        "ema_decay": 0.999,
        "epochs": 1_000_000,
        "max_steps": 30_000,
    },
}


def implied(given: dict[str, Any]) -> dict[str, Any]:
    """The values that given flags imply for other settings.

    Args:
        given: the flags, by name.
    """
    values: dict[str, Any] = {}
    if given.get("loss") == "wasserstein":  # Arjovsky et al., 2017
        values |= {"discriminator_steps": 5}
        if "gradient_penalty" not in given:
            values |= {"weight_clip": 0.01}
    if given.get("conditional"):  # overrides a preset's clusters
        values |= {"clusters": None}
    if "epochs" in given:  # overrides a preset's steps
        values |= {"max_steps": None, "decay_from": 0, "decay_steps": None}
    return values
