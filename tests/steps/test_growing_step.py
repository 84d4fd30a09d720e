"""A step of a run that grows, around any step."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.steps.growing_step import growing_step
from dcgan_tf.transfer.growing import FadeIn


@pytest.mark.parametrize("averaged", [False, True])
def test_images_and_layers_are_faded_in_alike(averaged):
    """The step sees real images as coarse as the layers make generated ones; then α moves on."""
    stacks = [keras.Sequential([keras.layers.ReLU()]) for _ in range(6)]
    fade_ins = [FadeIn(*pair) for pair in zip(stacks[::2], stacks[1::2])]
    models = [keras.Sequential([keras.Input((2, 2, 1)), layer]) for layer in fade_ins]
    names = ["generator", "discriminator", "ema_generator"]
    gan = types.SimpleNamespace(step=tf.Variable(1, dtype=tf.int64), **dict(zip(names, models)))
    if not averaged:
        gan.ema_generator = None
    seen = []

    def step(gan, images, labels):
        seen.append((images.numpy().ravel().tolist(), labels))
        gan.step.assign_add(1)
        return "output"

    take = growing_step(step, steps=4, stride=2)
    image = np.float32([0, 4, 8, 12]).reshape(1, 2, 2, 1)
    for alpha, mixed in (
        (0.5, [4.5, 5.5, 6.5, 7.5]),  # a quarter of each pixel, three of their mean, 6
        (0.75, [3, 5, 7, 9]),
        (1.0, [1.5, 4.5, 7.5, 10.5]),
        (1.0, [0, 4, 8, 12]),
    ):
        assert take(gan, image, "labels") == "output"
        assert seen.pop() == (mixed, "labels")
        found = [float(layer.alpha) for layer in fade_ins]
        assert found == [alpha, alpha, alpha if averaged else 0.0]
