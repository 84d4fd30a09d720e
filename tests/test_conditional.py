"""Conditional runs: both models learn the labels, and a class of images can be sampled."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf import data
from dcgan_tf.conditional.label_inputs import stack_of
from dcgan_tf.conditional.labels import Classes, Labels
from dcgan_tf.datasets import loading
from dcgan_tf.distributed.step_random import StepRandom
from dcgan_tf.gan import make_gan
from dcgan_tf.reporting.grids import real_grid
from dcgan_tf.sampling.noise import seeded_noise
from dcgan_tf.settings.choices import ARCHITECTURES
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.steps.make_step import make_step
from dcgan_tf.training import Trainer
from tests.conftest import thorough
from tests.small import DENSE, make_config

FLAGS = {"base_filters": 2, "noise_dim": 5, "batch_size": 8, "conditional": True}
CLASSES = Classes(("cat", "dog", "eel"), (10, 30, 60))
SHADES = np.repeat(np.arange(3, dtype=np.uint8) * 100, 20)


def flat_images():
    """60 images, each of one shade, 100 times its class id."""
    return SHADES[:, None, None, None] * np.ones((1, 16, 16, 1), np.uint8)


def make_trainer(**settings):
    labels = Labels(SHADES.astype(int) // 100, CLASSES.names)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, "dense", DENSE)
        return Trainer(make_config(FLAGS | settings), flat_images(), labels)


def batches(trainer, steps):
    labels = trainer.labels.ids
    return data.make_batches(trainer.images, trainer.config, 0, steps, labels=labels)


def test_labels_come_with_their_images():
    config = Config(batch_size=8, flip=True)
    labels = SHADES.astype(int) // 100
    plain = data.make_batches(flat_images(), config, 3, 9)
    labeled = data.make_batches(flat_images(), config, 3, 9, labels=labels)
    for images, (pixels, numbers) in zip(plain, labeled, strict=True):
        np.testing.assert_array_equal(pixels, images)
        shades = np.rint(images * 127.5 + 127.5)
        np.testing.assert_array_equal(
            shades, np.full_like(shades, 100) * numbers.numpy()[:, None, None, None]
        )
        assert len(set(numbers.numpy())) > 1


def spy_on_stack(monkeypatch, model):
    """The inputs that a model's stack gets from now on, in order."""
    stack, seen = stack_of(model), []
    call = stack.call

    def spy(inputs, **kwargs):
        seen.append(inputs)
        return call(inputs, **kwargs)

    monkeypatch.setattr(stack, "call", spy)
    return seen


@pytest.mark.parametrize("batch", ["separate", "joint"])
def test_both_stacks_see_each_images_label(monkeypatch, batch):
    """As one-hot vectors after the noise, and as constant channels after augmented images."""
    trainer = make_trainer(augment="color,translation,cutout", discriminator_batch=batch)
    gan = trainer.gan
    images, labels = next(iter(batches(trainer, 1)))
    noise, fake_labels = gan.random.noise(), gan.random.labels()
    latents = spy_on_stack(monkeypatch, gan.generator)
    pictures = spy_on_stack(monkeypatch, gan.discriminator)
    make_step(trainer.config)(gan, images, labels)

    (latent,) = latents
    np.testing.assert_array_equal(latent, np.hstack([noise, np.eye(3)[fake_labels]]))
    if batch == "joint":
        pictures = tf.split(pictures[0], 2)
    for seen, numbers in zip(pictures, (labels, fake_labels), strict=True):
        assert seen.shape == (8, 16, 16, 1 + 3)
        channels = seen[..., 1:].numpy()
        assert (channels == channels[:, :1, :1]).all() and (channels.sum(axis=3) == 1).all()
        np.testing.assert_array_equal(channels[:, 0, 0].argmax(axis=1), numbers)
    assert not np.allclose(pictures[0][..., :1], images), "images are augmented"


def test_labels_of_generated_images_have_the_datas_proportions():
    def make_random(seed):
        return StepRandom(seed, batch_size=50, noise_dim=5, classes=CLASSES, updates=2)

    random, other = make_random(0), make_random(1)
    draw = tf.function(lambda: tf.math.bincount(random.labels(), minlength=3))
    counts, first = np.zeros(3), random.labels().numpy()
    assert first.shape == (50,) and first.dtype == np.int32
    for step in range(200):
        random.step.assign(step)
        counts += draw().numpy()
    assert counts.sum() == 10_000
    expected = np.array([1000, 3000, 6000])
    # Chi-squared with 2 degrees of freedom: 13.8 at p = 0.001.
    assert ((counts - expected) ** 2 / expected).sum() < 13.8
    assert not np.array_equal(random.labels(), first)
    random.step.assign(0)
    assert np.array_equal(random.labels(), first)
    assert not np.array_equal(random.labels(update=1), first)
    assert not np.array_equal(other.labels(), first)


def test_labels_of_samples_have_the_datas_proportions_and_leave_the_noise_alone():
    config = Config(noise_dim=5)
    noise = seeded_noise(config, 7, range(10_000), classes=CLASSES)
    np.testing.assert_array_equal(noise[:, :5], seeded_noise(config, 7, range(10_000)))
    counts, expected = noise[:, 5:].sum(axis=0), np.array([1000, 3000, 6000])
    assert ((counts - expected) ** 2 / expected).sum() < 13.8
    np.testing.assert_array_equal(seeded_noise(config, 7, [3, 99], classes=CLASSES), noise[[3, 99]])
    asked = seeded_noise(config, 7, [3, 99], classes=CLASSES, label=CLASSES.index("dog"))
    np.testing.assert_array_equal(asked, np.hstack([noise[[3, 99], :5], [[0, 1, 0]] * 2]))


@pytest.mark.parametrize(
    "settings",
    [
        {"preset": "blocks", "discriminator_batch": "joint", "pack": 2, "ema_decay": 0.9},
        {"loss": "wasserstein", "weight_clip": 0.01, "discriminator_batch": "joint"}
        | {"architecture": "dense"},
        {"preset": "blocks", "r1_gamma": 1.0, "augment": "color"},
        {"preset": "blocks", "label_input": "projection", "pack": 2, "r1_gamma": 1.0},
        {"preset": "digits", "auxiliary_weight": 0.1, "augment": "color", "augment_target": 0.6},
        *thorough(
            {"label_input": "projection", "precision": "bfloat16", "unroll_steps": 1},
            {"label_input": "projection", "preset": "upsample", "ema_decay": 0.9}
            | {"discriminator_batch": "joint", "mapping_layers": 1},
            {"preset": "paper", "jit_compile": True},
            {"preset": "upsample", "mapping_layers": 2, "precision": "bfloat16"}
            | {"augment": "cutout"},
            {"precision": "float16", "loss": "hinge"},
            {"loss": "wasserstein", "gradient_penalty": 10.0, "discriminator_steps": 2, "pack": 2},
            {"loss": "minimax", "unroll_steps": 2},
            {"label_input": "projection", "auxiliary_weight": 0.1, "unroll_steps": 1}
            | {"loss": "relativistic", "discriminator_batch": "joint"},
            {"label_input": "projection", "auxiliary_weight": 0.1, "discriminator_steps": 2}
            | {"loss": "wasserstein", "gradient_penalty": 10.0},
            {"unroll_steps": 2, "r1_gamma": 1.0, "discriminator_batch_norm": True},
            {"precision": "float16", "discriminator_steps": 2, "r1_gamma": 1.0},
            {"loss": "least_squares", "reference": True, "noise": "uniform"},
            {"init_from": "other", "fade_in": 4, "ema_decay": 0.5, "r1_gamma": 1.0},
        ),
    ],
    ids=str,
)
def test_every_kind_of_step_learns_labels(settings):
    trainer = make_trainer(**settings)
    kernels = [
        model.trainable_variables for model in (trainer.gan.generator, trainer.gan.discriminator)
    ]
    before = [[kernel.numpy() for kernel in each if len(kernel.shape) > 1] for each in kernels]
    for batch in batches(trainer, 2):
        output = trainer.train_step(batch)
        assert all(np.isfinite(value).all() for value in output.scalars)
        assert output.real_logits.shape == (8 // trainer.config.pack, 1)
    after = [[kernel.numpy() for kernel in each if len(kernel.shape) > 1] for each in kernels]
    for model, trained in zip(before, after):
        assert not any(np.array_equal(a, b) for a, b in zip(model, trained))


def test_unconditional_models_and_steps_have_nothing_of_labels():
    config = Config(base_filters=2, noise_dim=5, batch_size=8)
    gan = make_gan(config, (16, 16, 1))
    assert isinstance(gan.generator, keras.Sequential)
    assert isinstance(gan.discriminator, keras.Sequential)
    assert gan.generator.input_shape == (None, 5)
    assert gan.discriminator.input_shape == (None, 16, 16, 1)
    assert gan.random.labels() is None
    images = tf.ones([8, 16, 16, 1])
    assert gan.augment(images, images) == (images, images)


def test_conditional_models_take_labels_as_numbers_around_the_same_stack():
    gan = make_gan(Config(base_filters=2, noise_dim=5, batch_size=8), (16, 16, 1), CLASSES)
    assert gan.generator.input_shape == [(None, 5), (None,)]
    assert gan.discriminator.input_shape == [(None, 16, 16, 1), (None,)]
    assert gan.sampling_generator is stack_of(gan.generator)
    assert gan.sampling_generator.input_shape == (None, 5 + 3)
    assert stack_of(gan.discriminator).input_shape == (None, 16, 16, 1 + 3)
    noise, labels = gan.random.noise(), gan.random.labels()
    images = gan.generator([noise, labels], training=False)
    beside = np.hstack([noise, np.eye(3)[labels]])
    np.testing.assert_array_equal(gan.sampling_generator(beside, training=False), images)
    for model in (gan.generator, gan.discriminator):
        assert model.trainable_variables == stack_of(model).trainable_variables


def test_conditional_run_without_labels_is_refused():
    with pytest.raises(UserError, match="needs the labels of its images"):
        Trainer(Config.from_flags(FLAGS), flat_images())


def test_generator_learns_what_a_label_looks_like():
    """Flat images of three shades, in few steps: each label brings its own shade."""
    rates = {"learning_rate": 2e-3, "beta_1": 0.5, "dropout": 0.0}
    trainer = make_trainer(architecture="dense", batch_size=32, **rates)
    for batch in batches(trainer, 300):
        trainer.train_step(batch)
    means = [
        data.to_uint8(
            trainer.gan.sampling_generator(
                seeded_noise(trainer.config, 1, range(32), classes=CLASSES, label=label),
                training=False,
            )
        ).mean()
        for label in range(3)
    ]
    np.testing.assert_allclose(means, [0, 100, 200], atol=40)


def test_grids_show_a_class_a_row():
    trainer = make_trainer()
    assert trainer.grid_noise.shape == (3 * 6, 5 + 3)
    noise, labels = np.split(trainer.grid_noise.numpy().reshape(3, 6, 8), [5], axis=2)
    np.testing.assert_array_equal(labels, np.repeat(np.eye(3)[:, None], 6, axis=1))
    assert (noise == noise[0]).all() and not np.array_equal(noise[0, 0], noise[0, 1])
    np.testing.assert_array_equal(
        real_grid(trainer.config, trainer.images, trainer.labels)[:, 0, 0, 0],
        np.repeat([0, 100, 200], 6),
    )


def test_mnist_copy_without_some_digit_is_refused(monkeypatch):
    images = np.zeros((4, 28, 28, 1), np.uint8)
    config = Config(conditional=True, batch_size=2)
    for numbers, message in (
        ([0, 1, 3, 3], "no training images of 2"),
        ([0, 1], "4 images and 2 labels up to 1"),
    ):
        monkeypatch.setattr(loading, "load_labels", lambda *_, numbers=numbers: np.array(numbers))
        with pytest.raises(UserError, match=message):
            loading.load_training_labels(config, images)


@pytest.mark.parametrize("dataset", ["stacked_mnist", "tfrecords"])
def test_set_without_labels_is_refused(dataset):
    with pytest.raises(UserError, match=f"`conditional` needs labels, but `dataset={dataset}` has"):
        Config(conditional=True, dataset=dataset)
