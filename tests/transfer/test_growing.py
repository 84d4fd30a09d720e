import keras
import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf.evaluation.linear_probe import pooled_activations
from dcgan_tf.latent.guided_backpropagation import last_activations
from dcgan_tf.models import make_discriminator, make_generator
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.presets import PRESETS
from dcgan_tf.training import dropout_seeds
from dcgan_tf.transfer.growing import (
    FadeIn,
    as_of_step,
    fade_images,
    grow_discriminator,
    grow_generator,
    model_makers,
    smaller_models,
    unfold,
)
from tests.conftest import thorough
from tests.small import make_trainer, train

SHAPE = (32, 32, 3)


def growing(name, **given):
    """The settings of a run on images of 32×32 that grows from one on 16×16."""
    settings = {"preset": name, "clusters": 0, "base_filters": 4, "noise_dim": 8}
    return Config.from_flags(settings | {"init_from": "other", "fade_in": 10} | given)


def randomize(model, seed):
    """Gives a model random weights, including the averages of batch norm."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if not weight.path.endswith("alpha"):
            weight.assign(rng.uniform(0.05, 0.6, weight.shape))


def take_over(model, smaller_model):
    own = [weight for layer in unfold(model, "old") for weight in layer.weights]
    for weight, value in zip(own, smaller_model.weights, strict=True):
        weight.assign(value)


def set_alpha(model, alpha):
    (layer,) = (layer for layer in model.layers if isinstance(layer, FadeIn))
    layer.alpha.assign(alpha)


def noise(seed=0):
    return np.random.default_rng(seed).normal(size=(4, 8)).astype(np.float32)


def pictures(seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (4, *SHAPE)).astype(np.float32)


@pytest.mark.parametrize("name", PRESETS)
def test_models_equal_the_smaller_ones_at_first_and_the_larger_ones_at_last(name):
    config = growing(name)
    for grow, make, inputs in (
        (grow_generator, make_generator, noise()),
        (grow_discriminator, make_discriminator, pictures()),
    ):
        model = grow(config, SHAPE)
        small = make(*smaller_models(config, SHAPE))
        large = make(growing(name, fade_in=0), SHAPE)
        randomize(model, 1)
        randomize(small, 2)
        take_over(model, small)
        new = [weight for layer in unfold(model, "new") for weight in layer.weights]
        large.set_weights([weight.numpy() for weight in new])

        if make is make_generator:
            enlarged = small(inputs).numpy().repeat(2, axis=1).repeat(2, axis=2)
            np.testing.assert_array_equal(model(inputs), enlarged)
        else:
            means = inputs.reshape(4, 16, 2, 16, 2, 3).mean(axis=(2, 4))
            np.testing.assert_allclose(model(inputs), small(means), rtol=1e-4)
        set_alpha(model, 1.0)
        np.testing.assert_allclose(model(inputs), large(inputs), rtol=1e-5, atol=1e-6)
        assert not np.allclose(large(inputs), make(growing(name, fade_in=0), SHAPE)(inputs))
        assert as_of_step(model, config, 9) is model
        alone = as_of_step(model, config, 10)
        np.testing.assert_array_equal(alone(inputs), model(inputs))
        assert [type(layer) for layer in alone.layers] == [type(layer) for layer in large.layers]


def test_a_run_with_fade_in_makes_growing_models():
    assert model_makers(growing("paper")) == (grow_generator, grow_discriminator)
    assert model_makers(growing("paper", fade_in=0)) == (make_generator, make_discriminator)


def test_output_is_blended_by_hand():
    """Old: x · 3; new: x · −1. A quarter of the way: 0.75 · 3x − 0.25 · x = 2x."""
    old, new = (keras.Sequential([keras.layers.Rescaling(scale)]) for scale in (3.0, -1.0))
    layer = FadeIn(old, new)
    x = np.float32([[1.0, 2.0]])
    assert layer(x).numpy().tolist() == [[3.0, 6.0]]
    layer.alpha.assign(0.25)
    assert layer(x).numpy().tolist() == [[2.0, 4.0]]
    layer.alpha.assign(1.0)
    assert layer(x).numpy().tolist() == [[-1.0, -2.0]]
    copy = FadeIn.from_config(layer.get_config())
    copy.build(x.shape)
    assert [each.layers[0].scale for each in (copy.old, copy.new)] == [3.0, -1.0]


def test_real_images_are_as_coarse_as_the_generated_ones_by_hand():
    image = np.float32([[0, 1, 2, 2], [0, 3, 2, 2]]).reshape(1, 2, 4, 1)
    half = fade_images(tf.constant(image), 0.5, 2).numpy().reshape(2, 4)
    assert half.tolist() == [[0.5, 1.0, 2.0, 2.0], [0.5, 2.0, 2.0, 2.0]]
    np.testing.assert_array_equal(fade_images(tf.constant(image), 1.0, 2), image)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_blends_images_in_float32(precision):
    config = growing("paper", precision=precision)
    generator = grow_generator(config, SHAPE)
    set_alpha(generator, 0.001)
    images = generator(noise())
    assert images.dtype == tf.float32 and generator.layers[-1].alpha.dtype == "float32"
    set_alpha(generator, 0.0)
    assert 0 < np.abs(images - generator(noise())).max() < 0.01
    assert grow_discriminator(config, SHAPE)(images).dtype == tf.float32


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"discriminator_batch": "joint", "discriminator_batch_norm": True},
        *thorough(
            {"loss": "wasserstein", "gradient_penalty": 10.0, "discriminator_steps": 2},
            {"loss": "wasserstein", "weight_clip": 0.01, "learning_rate": 1e-3},
            {"unroll_steps": 2},
            {"r1_gamma": 1.0, "discriminator_batch_norm": True},
            {"pack": 2, "augment": "color,translation,cutout"},
            {"precision": "float16"},
        ),
    ],
    ids=lambda settings: "-".join(settings) or "plain",
)
def test_every_step_fades_in(mnist, settings):
    """14×14 grows to 28×28. After three steps of four, α is 3/4, also in the EMA generator."""
    trainer = make_trainer(mnist, init_from="other", fade_in=4, ema_decay=0.5, **settings)
    train(trainer, 3)
    gan = trainer.gan
    for model, index in ((gan.generator, -1), (gan.ema_generator, -1), (gan.discriminator, 0)):
        (layer,) = (layer for layer in model.layers if isinstance(layer, FadeIn))
        assert layer is model.layers[index + (index == 0 and trainer.config.pack > 1)]
        assert layer.alpha.numpy() == 0.75


def test_features_are_those_of_the_new_layers(mnist):
    """14×14 grows to 28×28. All convolutions are in the new layers."""
    trainer = make_trainer(mnist, init_from="other", fade_in=4)
    plain = make_trainer(mnist)
    new = [weight for layer in unfold(trainer.gan.discriminator, "new") for weight in layer.weights]
    plain.gan.discriminator.set_weights([weight.numpy() for weight in new])
    images = mnist[:4, ..., np.newaxis] / np.float32(127.5) - 1
    for features in (pooled_activations, last_activations):
        ours, theirs = (features(each.gan.discriminator, images) for each in (trainer, plain))
        np.testing.assert_array_equal(ours, theirs)


def test_dropout_of_old_and_new_layers_is_in_checkpoints(mnist):
    trainer = make_trainer(mnist, init_from="other", fade_in=4)
    # Old: a block; new: two.
    assert len(dropout_seeds(trainer.gan.discriminator)) == 3


@pytest.mark.parametrize("stride, size", [(3, 36), (4, 64)])
def test_models_grow_by_their_stride(stride, size):
    config = growing("paper", stride=stride)
    shape = (size, size, 1)
    _, (height, width, _) = smaller_models(config, shape)
    assert (height, width) == (size // stride, size // stride)
    images = grow_generator(config, shape)(noise())
    assert images.shape == (4, *shape)
    assert grow_discriminator(config, shape)(images).shape == (4, 1)


@pytest.mark.parametrize("name", PRESETS)
def test_the_smallest_models_grow_too(name):
    config = growing(name)
    images = grow_generator(config, (16, 16, 1))(noise())
    assert images.shape == (4, 16, 16, 1)
    assert grow_discriminator(config, (16, 16, 1))(images).shape == (4, 1)
