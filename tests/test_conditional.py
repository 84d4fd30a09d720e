"""Conditional runs: both models learn the images' labels, and images of a class can be had."""

import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf import data, gan
from dcgan_tf.conditional.labels import Classes, Labels
from dcgan_tf.datasets import loading
from dcgan_tf.gan import Gan
from dcgan_tf.reporting.grids import real_grid
from dcgan_tf.sampling.noise import seeded_noise
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.train_step import step_output
from dcgan_tf.training import Trainer
from tests.conftest import thorough

FLAGS = {"base_filters": 2, "noise_dim": 5, "batch_size": 8, "conditional": True}
CLASSES = Classes(("cat", "dog", "eel"), (10, 30, 60))
SHADES = np.repeat(np.arange(3, dtype=np.uint8) * 100, 20)


def flat_images():
    """60 images, each of one shade, which is 100 times the number of its class."""
    return SHADES[:, None, None, None] * np.ones((1, 16, 16, 1), np.uint8)


def make_trainer(**settings):
    labels = Labels(SHADES.astype(int) // 100, CLASSES.names)
    return Trainer(Config.from_flags(FLAGS | settings), flat_images(), labels)


def batches(trainer, steps):
    labels = trainer.labels.numbers
    return data.make_batches(trainer.images, trainer.config, 0, steps, labels=labels)


def test_labels_come_with_their_images():
    config = Config(batch_size=8, flip=True)
    labels = SHADES.astype(int) // 100
    plain = data.make_batches(flat_images(), config, 3, 9)
    labelled = data.make_batches(flat_images(), config, 3, 9, labels=labels)
    for images, batch in zip(plain, labelled, strict=True):
        pixels, numbers = data.split_label_channel(batch)
        np.testing.assert_array_equal(pixels, images)
        shades = np.rint(images * 127.5 + 127.5)
        np.testing.assert_array_equal(
            shades, np.full_like(shades, 100) * numbers[:, None, None, None]
        )
        assert len(set(numbers.numpy())) > 1


def test_discriminator_sees_each_images_label():
    """One that reads the constant channels alone finds the labels of both kinds of images."""
    trainer = make_trainer(augment="color,translation,cutout")
    model = trainer.gan
    batch = next(iter(batches(trainer, 1)))
    noise = model.noise()
    fake = model.generator(noise)

    def read_labels(images, training):
        assert images.shape == (8, 16, 16, 1 + 3)
        channels = images[..., 1:].numpy()
        assert (channels == channels[:, :1, :1]).all() and (channels.sum(axis=3) == 1).all()
        return channels[:, 0, 0].argmax(axis=1)

    real_labels, fake_labels = model.discriminate(batch, fake, read_labels)
    np.testing.assert_array_equal(real_labels, batch[:, 0, 0, -1])
    np.testing.assert_array_equal(fake_labels, noise[:, 5:].numpy().argmax(axis=1))
    np.testing.assert_array_equal(
        fake_labels, model.discriminate_generated(batch, fake, read_labels)
    )
    real, _ = model.seen(batch, fake)
    assert not np.allclose(real[..., :1], batch[..., :1]), "images are augmented"


def test_labels_of_generated_images_have_the_datas_proportions():
    config = Config(batch_size=50, base_filters=2, noise_dim=5)
    model = Gan(config, (16, 16, 1), classes=CLASSES)
    draw = tf.function(lambda: tf.reduce_sum(model.labels(), axis=0))
    counts, first = np.zeros(3), model.labels().numpy()
    for step in range(200):
        model.step.assign(step)
        counts += draw().numpy()
    assert counts.sum() == 10_000
    expected = np.array([1000, 3000, 6000])
    # Chi-squared with 2 degrees of freedom: 13.8 at p = 0.001.
    assert ((counts - expected) ** 2 / expected).sum() < 13.8
    assert not np.array_equal(model.labels(), first)
    model.step.assign(0)
    assert np.array_equal(model.labels(), first) and np.array_equal(model.noise()[:, 5:], first)
    other = Gan(
        Config(batch_size=50, base_filters=2, noise_dim=5, seed=1), (16, 16, 1), classes=CLASSES
    )
    assert not np.array_equal(other.labels(), first)


def test_labels_of_samples_have_the_datas_proportions_and_leave_the_noise_alone():
    config = Config(noise_dim=5)
    noise = seeded_noise(config, 7, range(10_000), classes=CLASSES)
    np.testing.assert_array_equal(noise[:, :5], seeded_noise(config, 7, range(10_000)))
    counts, expected = noise[:, 5:].sum(axis=0), np.array([1000, 3000, 6000])
    assert ((counts - expected) ** 2 / expected).sum() < 13.8
    np.testing.assert_array_equal(seeded_noise(config, 7, [3, 99], classes=CLASSES), noise[[3, 99]])
    asked = seeded_noise(config, 7, [3, 99], classes=CLASSES, label=CLASSES.number("dog"))
    np.testing.assert_array_equal(asked, np.hstack([noise[[3, 99], :5], [[0, 1, 0]] * 2]))


@pytest.mark.parametrize(
    "settings",
    [
        {"preset": "blocks", "discriminator_batch": "joint", "pack": 2, "ema_decay": 0.9},
        {"loss": "wasserstein", "weight_clip": 0.01, "discriminator_batch": "joint"},
        *thorough(
            {"preset": "paper", "jit_compile": True},
            {"preset": "upsample", "mapping_layers": 2, "precision": "bfloat16"}
            | {"augment": "cutout"},
            {"precision": "float16", "loss": "hinge"},
            {"loss": "wasserstein", "gradient_penalty": 10.0, "discriminator_steps": 2, "pack": 2},
            {"loss": "minimax", "unroll_steps": 2},
            {"loss": "least_squares", "reference": True, "noise": "uniform"},
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


def test_spread_is_that_of_pixels_not_of_labels():
    trainer = make_trainer()
    batch = next(iter(batches(trainer, 1)))
    logits, losses, gradients = tf.zeros([8, 1]), tf.zeros([]), [tf.zeros([2])]
    fake = 0.25 * batch[..., :1]
    output = step_output(
        trainer.gan, (batch, fake), (logits, logits), (losses, losses), (gradients, gradients)
    )
    assert float(output.scalars.spread) == pytest.approx(0.25)


def test_both_gradients_by_either_way_are_the_same():
    shared, separate = (
        make_trainer(dropout=0.0, precision="float32", convolutions="native") for _ in range(2)
    )
    separate.gan.backward = lambda *args: gan.separate_gradients(separate.gan, *args)
    assert "shared" in shared.describe_step()
    for batch in batches(shared, 3):
        outputs = [trainer.train_step(batch).scalars for trainer in (shared, separate)]
        np.testing.assert_allclose(*outputs, rtol=1e-4, atol=1e-6)


def test_unconditional_models_and_steps_have_nothing_of_labels():
    model = Gan(Config(base_filters=2, noise_dim=5, batch_size=8), (16, 16, 1))
    assert model.generator.input_shape == (None, 5)
    assert model.discriminator.input_shape == (None, 16, 16, 1)
    images = tf.ones([8, 16, 16, 1])
    assert model.seen(images, images) == (images, images)


def test_generator_learns_what_a_label_looks_like():
    """Flat images of three shades, in few steps: each label brings its own shade."""
    trainer = make_trainer(
        batch_size=32, base_filters=8, learning_rate=2e-3, beta_1=0.5, dropout=0.0, max_steps=300
    )
    for batch in batches(trainer, 300):
        trainer.train_step(batch)
    means = [
        data.to_uint8(
            trainer.gan.generator(
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
        real_grid(trainer.images, trainer.labels)[:, 0, 0, 0], np.repeat([0, 100, 200], 6)
    )


def test_mnist_copy_without_some_digit_is_refused(monkeypatch):
    images = np.zeros((4, 28, 28, 1), np.uint8)
    config = Config(conditional=True, batch_size=2)
    for numbers, told in (
        ([0, 1, 3, 3], "no training images of 2"),
        ([0, 1], "4 images and 2 labels up to 1"),
    ):
        monkeypatch.setattr(loading, "load_labels", lambda *_, numbers=numbers: np.array(numbers))
        with pytest.raises(UserError, match=told):
            loading.load_training_labels(config, images)


@pytest.mark.parametrize("dataset", ["stacked_mnist", "tfrecords"])
def test_set_without_labels_is_refused(dataset):
    with pytest.raises(
        UserError, match=f"--conditional learns labels, and --dataset {dataset} has"
    ):
        Config(conditional=True, dataset=dataset)
