"""A GAN as a `keras.Model` trains like `train`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dcgan_tf import DCGAN
from dcgan_tf.conditional.labels import Labels
from dcgan_tf.data import make_batches, scale
from dcgan_tf.distributed.strategy import mirrored_strategy
from dcgan_tf.settings.choices import ARCHITECTURES
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.training import Trainer
from tests.conftest import thorough
from tests.small import DENSE, state

SHAPE = (28, 28, 1)
STEPS = 5  # an epoch
LABELS = np.arange(40) % 3


@pytest.fixture(autouse=True)
def dense(monkeypatch):
    monkeypatch.setitem(ARCHITECTURES, "dense", DENSE)


@pytest.fixture
def images(mnist):
    return mnist[:40, ..., np.newaxis]


def config_of(**settings):
    settings = {"batch_size": 8, "noise_dim": 4, "ema_decay": 0.9} | settings
    return Config(architecture="dense", **settings)


def compiled(config, classes=0):
    model = DCGAN(config, SHAPE, classes)
    model.compile()
    return model


@pytest.mark.parametrize(
    "settings",
    [
        {"conditional": True},
        {"discriminator_steps": 2, "batch_size": 4},
        *thorough({}, {"r1_gamma": 1.0}),
    ],
    ids=["conditional", "critic", "plain", "penalty"],
)
def test_fit_is_the_projects_own_training(images, settings):
    config = config_of(**settings)
    labels = Labels(LABELS, ["0", "1", "2"]) if config.conditional else None
    trainer = Trainer(config, images, labels)
    numbers = LABELS if config.conditional else None
    scalars = []
    for batch in make_batches(images, config, 0, 2 * STEPS, labels=numbers):
        scalars.append(trainer.train_step(batch).scalars)

    model = compiled(config, trainer.classes)
    history = model.fit(images, numbers, epochs=2, verbose=0).history
    assert int(model.gan.step) == trainer.step == 2 * STEPS
    for found, expected in zip(state(model.gan), state(trainer.gan), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert {*history} == {*scalars[0]._fields}
    for name, means in history.items():
        values = [float(getattr(each, name)) for each in scalars]
        assert means == pytest.approx([np.mean(values[:STEPS]), np.mean(values[STEPS:])], rel=1e-3)


def test_a_loaded_model_trains_like_one_that_was_never_saved(images, tmp_path):
    """Optimizers, the moving average, dropout and the noise of the next step are saved, too."""
    config = config_of(dropout=0.5)
    whole, model = compiled(config), compiled(config)
    whole.fit(images, epochs=2, verbose=0)
    model.fit(images, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.config == config and int(loaded.gan.step) == STEPS
    loaded.fit(images, epochs=1, verbose=0)
    for found, expected in zip(state(loaded.gan), state(whole.gan), strict=True):
        np.testing.assert_array_equal(found, expected)
    noise = np.ones((2, 4), "f")
    drawn = whole.gan.ema_generator(noise, training=False).numpy()
    np.testing.assert_allclose(loaded.predict(noise, verbose=0), drawn, atol=1e-6)
    assert np.abs(drawn - whole.generator(noise, training=False)).max() > 1e-4


def test_weights_are_saved_alone_by_callbacks(images, tmp_path):
    model, path = compiled(config_of()), tmp_path / "best.weights.h5"
    best = keras.callbacks.ModelCheckpoint(path, "d_fake", 0, True, True, mode="min")
    model.fit(images, verbose=0, callbacks=[best])
    other = compiled(config_of(seed=1))
    other.load_weights(path)
    for found, expected in zip(state(other.gan), state(model.gan), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_conditional_model_generates_the_requested_classes():
    model = DCGAN(config_of(conditional=True), SHAPE, 3)
    noise, labels = np.ones((2, 4), "f"), np.array([2, 0])
    drawn = model.predict([noise, labels], verbose=0)
    with_labels = np.concatenate([noise, np.eye(3)[labels]], axis=1)
    expected = model.gan.sampling_generator(with_labels.astype("f"), training=False)
    np.testing.assert_allclose(drawn, expected, atol=1e-6)
    assert np.abs(drawn[0] - drawn[1]).max() > 1e-5


@pytest.mark.parametrize("batched", [None, 7, 8])
@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_datasets_are_trained_on_in_full_batches(images, batched, kind):
    pixels = images if kind == "uint8" else scale(images).numpy()
    dataset = tf.data.Dataset.from_tensor_slices((pixels[:39], LABELS[:39]))
    dataset = dataset if batched is None else dataset.batch(batched)
    for conditional in (False, True):
        model = DCGAN(config_of(conditional=conditional), SHAPE, 3 * conditional)
        batches = [*model.batches_of(dataset)]
        taken = [batch[0] if conditional else batch for batch in batches]
        np.testing.assert_array_equal(tf.concat(taken, 0), scale(images[:32]))
        assert [len(batch) for batch in taken] == [8] * 4
        if conditional:
            assert tf.concat([labels for _, labels in batches], 0).numpy().tolist() == [
                *LABELS[:32]
            ]


def test_fit_on_a_dataset(images):
    model = compiled(config_of())
    model.fit(tf.data.Dataset.from_tensor_slices(images), epochs=2, verbose=0)
    assert int(model.gan.step) == 2 * STEPS


def test_fit_on_two_replicas_is_that_on_one(images, tmp_path):
    """The models have no batch norm, whose statistics each replica has for itself."""
    config = config_of(generator_batch_norm=False, conditional=True)
    one, strategy = compiled(config, 3), mirrored_strategy(0)
    with strategy.scope():
        two = compiled(config, 3)
    histories = [model.fit(images, LABELS, epochs=2, verbose=0).history for model in (one, two)]
    for name in ("gen_loss", "disc_loss", "d_real", "d_fake"):
        assert histories[1][name] == pytest.approx(histories[0][name], rel=1e-4)
    for found, expected in zip(state(two.gan), state(one.gan), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0.01, atol=3e-4)
    two.save(tmp_path / "two.keras")
    loaded = keras.saving.load_model(tmp_path / "two.keras")
    with strategy.scope(), pytest.raises(UserError, match="outside the scope of the strategy"):
        loaded.fit(images, LABELS, verbose=0)
    for model in (loaded, two):
        model.fit(images, LABELS, verbose=0)
    for found, expected in zip(state(loaded.gan), state(two.gan), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0.01, atol=3e-4)


def test_settings_that_do_not_fit_replicas_are_refused():
    with (
        mirrored_strategy(0).scope(),
        pytest.raises(UserError, match="`batch_size` 9 is not a multiple of 2, for 2 replicas"),
    ):
        DCGAN(config_of(batch_size=9), SHAPE)


def dataset_of(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays if len(arrays) > 1 else arrays[0])


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x: {"x": x / 255.0, "y": LABELS}, r"uint8 \[N, H, W, C\] in \[0, 255\], not float"),
        (lambda x: {"x": x[..., 0], "y": LABELS}, r"not uint8 \[40, 28, 28\]"),
        (lambda x: {"x": x[:, ::2, ::2], "y": LABELS}, r"\[14, 14, 1\], but the model is for \[28"),
        (lambda x: {"x": x}, "a conditional model is trained on images with labels: pass them as"),
        (lambda x: {"x": x, "y": LABELS[1:]}, r"`labels` must be \[40\], one per image"),
        (lambda x: {"x": x, "y": LABELS + 1}, "labels from 1 to 3, but there are 3 classes"),
        (
            lambda x: {"x": x, "y": LABELS, "batch_size": 9},
            "`batch_size` must be 8, as in the config, not",
        ),
        (lambda x: {"x": None}, "`images` must be uint8"),
        (lambda x: {"x": dataset_of(x)}, "a conditional model is trained on images with labels"),
        (lambda x: {"x": dataset_of(x, LABELS), "y": LABELS}, "`y` is for arrays"),
        (lambda x: {"x": dataset_of(x[:7], LABELS[:7])}, "fewer images than the 8 that a step"),
        (lambda x: {"x": dataset_of(x[..., 0, 0], LABELS)}, r"must have images \[H, W, C\]"),
        (
            lambda x: {"x": dataset_of((x / 255).astype("f"), LABELS)},
            r"images of float32, its first batch from 0 to 1: they must be uint8 in \[0, 255\], or",
        ),
    ],
)
def test_fit_refuses_in_one_sentence(images, change, message):
    model = compiled(config_of(conditional=True), 3)
    with pytest.raises(UserError, match=message) as error:
        model.fit(**change(images))
    assert "\n" not in str(error.value) and int(model.gan.step) == 0


def test_classes_and_conditional_go_together():
    for conditional, classes in ((True, 0), (False, 3)):
        with pytest.raises(UserError, match="`conditional=True` and `classes` go together"):
            DCGAN(config_of(conditional=conditional), SHAPE, classes)
    with pytest.raises(UserError, match="`clusters` are found by `train`: set `clusters=None`"):
        DCGAN(config_of(clusters=3), SHAPE)
