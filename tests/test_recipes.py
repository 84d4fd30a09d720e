"""Each recipe of docs/architecture.md, followed with a toy (for datasets, see tests/datasets/)."""

import csv
import dataclasses
import json
import shutil
import subprocess
import sys

import imageio.v3 as iio
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from dcgan_tf import Gan, StepRandom, train_step
from dcgan_tf.commands import evaluate, sample, train
from dcgan_tf.evaluation import feature_extractors
from dcgan_tf.evaluation import scores as table
from dcgan_tf.evaluation.feature_extractors import FeatureExtractor, Features
from dcgan_tf.latent import views
from dcgan_tf.regularization.penalties import squared_gradient_norms
from dcgan_tf.settings import config, presets
from dcgan_tf.settings.choices import (
    ARCHITECTURES,
    AUGMENTATIONS,
    DATASETS,
    LOSSES,
    PENALTIES,
    Architecture,
    LossRow,
    PenaltyRow,
)
from dcgan_tf.settings.combinations import Combination
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.fields import AT_LEAST_ONE, NOT_NEGATIVE, setting
from dcgan_tf.steps import make_step
from dcgan_tf.steps.make_step import Step
from dcgan_tf.training import Trainer
from tests.conftest import ENVIRONMENT, ROOT, write_idx
from tests.small import DENSE, batches, dense_trainer, eagerly, make_trainer

SMALL = {"noise_dim": 4, "dropout": 0.0}


def toy_generator(config, image_shape):
    return [layers.Dense(int(np.prod(image_shape))), layers.Reshape(image_shape)]


def toy_discriminator(config, image_shape):
    return [layers.Flatten(), layers.Dense(1)]


def test_an_architecture(mnist, monkeypatch):
    row = Architecture("tests.test_recipes:toy_generator", "tests.test_recipes:toy_discriminator")
    monkeypatch.setitem(ARCHITECTURES, "toy", row)
    trainer = make_trainer(mnist, architecture="toy", **SMALL)
    trainer.train_step(next(batches(trainer)))
    assert trainer.step == 1 and trainer.gan.discriminator.count_params() == 28 * 28 + 1
    assert trainer.gan.generator.count_params() == 28 * 28 * (4 + 1)


def toy_discriminator_loss(real_logits, fake_logits):
    return tf.reduce_mean(fake_logits**2) + 7.0


def toy_generator_loss(real_logits, fake_logits):
    return tf.reduce_mean(fake_logits) + 5.0


def test_a_loss(mnist, monkeypatch):
    row = LossRow(
        "tests.test_recipes:toy_discriminator_loss", "tests.test_recipes:toy_generator_loss"
    )
    monkeypatch.setitem(LOSSES, "toy", row)
    trainer = dense_trainer(mnist, loss="toy", **SMALL)
    output = trainer.train_step(next(batches(trainer)))
    fake = output.fake_logits.numpy()
    assert float(output.scalars.gen_loss) == pytest.approx(fake.mean() + 5, rel=1e-5)
    assert float(output.scalars.disc_loss) == pytest.approx((fake**2).mean() + 7, rel=1e-5)


@pytest.mark.parametrize("batch", ["separate", "joint"])
@pytest.mark.parametrize(
    "algorithm, update, meets",
    [
        ({}, 0, "the discriminator before the step"),
        ({"discriminator_steps": 2}, 2, "the one after"),  # which is updated first
        ({"unroll_steps": 1}, 0, "the one after"),  # looking ahead
    ],
    ids=["plain", "critic", "unrolled"],
)
def test_a_relative_loss_in_every_step(mnist, algorithm, update, meets, batch):
    """The generator's is of both logits of the discriminator that it meets."""
    settings = {"loss": "relativistic", "discriminator_batch": batch, "learning_rate": 1e-2}
    trainer = dense_trainer(mnist, **settings, **algorithm, **SMALL)
    gan, images = trainer.gan, next(batches(trainer))
    fake = gan.generator(gan.random.noise(update), training=True)

    def gen_loss():
        real_logits, fake_logits = (gan.discriminator(each) for each in (images[-8:], fake))
        return np.log1p(np.exp(real_logits - fake_logits)).mean()

    before = gen_loss()
    found = float(eagerly(trainer)(images).scalars.gen_loss)
    after = gen_loss()
    assert after != pytest.approx(before, rel=0.01)
    expected = before if meets == "the discriminator before the step" else after
    assert found == pytest.approx(expected, rel=1e-4)


def toy_penalty(critique, real, fake):
    """Half the mean of ‖∇D‖² at generated images that are half as bright."""
    return 0.5 * tf.reduce_mean(squared_gradient_norms(critique.of_fake, 0.5 * fake))


@dataclasses.dataclass(frozen=True)
class PenalizedConfig(Config):
    toy_gamma: float | None = setting(None, "Losses and remedies", "its factor", NOT_NEGATIVE)


def test_a_penalty(mnist, monkeypatch):
    """A row and a setting: a toy, in every third step, against slopes of image by image."""
    row = PenaltyRow("tests.test_recipes:toy_penalty", "a toy", interval=3)
    monkeypatch.setitem(PENALTIES, "toy_gamma", row)
    monkeypatch.setitem(ARCHITECTURES, "dense", DENSE)
    settings = {"architecture": "dense", "batch_size": 8} | SMALL
    plain, penalized = (
        Trainer(PenalizedConfig(**settings, toy_gamma=factor), mnist[:50, ..., np.newaxis])
        for factor in (None, 5.0)
    )
    images, gan = next(batches(plain)), penalized.gan
    for step, times in ((1, 0), (3, 3)):
        for trainer in (plain, penalized):
            trainer.gan.step.assign(step)
        fake = gan.generator(gan.random.noise(), training=True)
        squares = []
        for image in 0.5 * fake:
            with tf.GradientTape() as tape:
                tape.watch(image)
                logit = gan.discriminator(image[tf.newaxis])
            squares.append(np.square(tape.gradient(logit, image)).sum())
        expected = times * 5.0 * np.mean(squares) / 2
        losses = [float(each.train_step(images).scalars.disc_loss) for each in (penalized, plain)]
        assert losses[0] - losses[1] == pytest.approx(expected, rel=1e-3, abs=1e-6)
        assert (expected > 0) == (times > 0)


def brighter(images, numbers):
    return images + 10.0 + numbers[:, :1, tf.newaxis, tf.newaxis]


def test_an_augmentation(mnist, monkeypatch):
    monkeypatch.setitem(AUGMENTATIONS, "toy", "tests.test_recipes:brighter")
    trainer = dense_trainer(mnist, augment="color,toy", **SMALL)
    gan, images = trainer.gan, next(batches(trainer))
    seen = gan.augment(images, gan.generator(gan.random.noise(), training=True))
    wanted = [gan.discriminator(each).numpy() for each in seen]
    output = eagerly(trainer)(images)
    for logits, expected in zip((output.real_logits, output.fake_logits), wanted):
        np.testing.assert_allclose(logits, expected, rtol=1e-4)

    alone = dense_trainer(mnist, augment="toy", **SMALL).gan.augment(images * 0, images * 0)
    shades = np.concatenate(alone)[:, 0, 0, 0]
    assert (np.concatenate(alone) == shades[:, None, None, None]).all()
    assert len(set(shades)) == 16 and 10 <= shades.min() < shades.max() < 11


def repeated_step(gan, images, labels=None, times=1):
    for _ in range(times - 1):
        train_step(gan, images, labels)
    return train_step(gan, images, labels)


def repeated_requirements(config, replicas):
    if config.precision == "bfloat16":
        yield "`seed=5` and `precision=bfloat16` do not go together"


def test_a_training_algorithm(mnist, monkeypatch):
    row = Step(
        "two steps",
        repeated_step,
        lambda config: config.seed == 5,
        lambda config: {"times": 2},
        repeated_requirements,
    )
    monkeypatch.setattr(make_step, "STEPS", (row, *make_step.STEPS))
    for seed, steps, name in ((5, 2, "two steps"), (4, 1, "the tutorial's")):
        trainer = dense_trainer(mnist, seed=seed, **SMALL)
        trainer.train_step(next(batches(trainer)))
        assert trainer.step == steps and trainer.describe_step() == name
    with pytest.raises(UserError, match="`precision=bfloat16` do not go together"):
        dense_trainer(mnist, seed=5, precision="bfloat16", **SMALL)


class Subclassed(keras.Model):
    """A generator that is not a Sequential stack."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2 * 2 * 3, activation="tanh")

    def call(self, noise):
        return keras.ops.reshape(self.dense(noise), (-1, 2, 2, 3))


def functional():
    noise = layers.Input((5,))
    return keras.Model(noise, layers.Reshape((2, 2, 3))(layers.Dense(12, "tanh")(noise)))


def sequential():
    dense = layers.Dense(12, activation="tanh")
    return keras.Sequential([layers.Input((5,)), dense, layers.Reshape((2, 2, 3))])


@pytest.mark.parametrize("make_generator", [sequential, functional, Subclassed])
@pytest.mark.parametrize("graph", [False, True])
def test_a_gan_of_ones_own_models(make_generator, graph):
    """Two Dense models learn images of one color, in a loop of three lines."""
    generator = make_generator()
    generator(np.zeros((1, 5)))
    discriminator = keras.Sequential(
        [layers.Input((2, 2, 3)), layers.Flatten(), layers.Dense(8, "relu"), layers.Dense(1)]
    )
    color = np.float32([0.5, -0.5, 0.25])
    images = color + np.random.default_rng(0).normal(0, 0.1, (16, 2, 2, 3)).astype("f")

    optimizers = keras.optimizers.Adam(1e-2, beta_1=0.5), keras.optimizers.Adam(1e-2, beta_1=0.5)
    random = StepRandom(seed=0, batch_size=16, noise_dim=5)
    gan = Gan(generator, discriminator, *optimizers, random)
    take = tf.function(train_step) if graph else train_step
    steps = 300 if graph else 3
    first = take(gan, images)
    for _ in range(steps - 1):
        output = take(gan, images)

    real, fake = first.real_logits.numpy(), first.fake_logits.numpy()
    assert float(first.scalars.gen_loss) == pytest.approx(np.log1p(np.exp(-fake)).mean(), rel=1e-4)
    assert float(first.scalars.disc_loss) == pytest.approx(
        np.log1p(np.exp(-real)).mean() + np.log1p(np.exp(fake)).mean(), rel=1e-4
    )
    assert int(gan.step) == steps and np.isfinite(output.scalars).all()
    assert gan.sampling_generator is generator
    if graph:
        drawn = gan.sampling_generator(gan.random.noise(), training=False).numpy()
        np.testing.assert_allclose(drawn.mean((0, 1, 2)), color, atol=0.15)


def test_a_figure_of_every_step(tmp_path):
    """A copy of the package, with one field and one line more, which prints nothing amiss."""
    shutil.copytree(ROOT / "dcgan_tf", tmp_path / "dcgan_tf")
    shutil.copy(ROOT / "train.py", tmp_path)
    step = tmp_path / "dcgan_tf" / "train_step.py"
    field, computed = "    spread: tf.Tensor\n", "        spread=tf.where(real_std"
    code = step.read_text()
    assert code.count(field) == code.count(computed) == 1
    code = code.replace(field, f"{field}    toy: tf.Tensor\n")
    step.write_text(code.replace(computed, f"        toy=tf.constant(3.5),\n{computed}"))
    flags = "--base_filters=2 --batch_size=8 --noise_dim=4 --max_steps=2 --eval_every=0 --reference"
    command = [sys.executable, "train.py", *flags.split(), f"--run_dir={tmp_path / 'run'}"]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True)
    assert done.returncode == 0 and done.stderr == b""
    with (tmp_path / "run" / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["toy"]) == 3.5


@pytest.fixture
def evaluated_run(finished_run, digits_dir, tmp_path):
    """A copy of the finished run, with 30 test digits to evaluate it with."""
    run, digits = tmp_path / "run", tmp_path / "digits"
    shutil.copytree(finished_run, run)
    shutil.copytree(digits_dir, digits)
    config_file = run / "config.json"
    config_file.write_text(config_file.read_text().replace(str(digits_dir), str(digits)))
    with np.load(ROOT / "dcgan_tf" / "datasets" / "mnist.npz") as mnist:
        images = mnist["x_test"][:30]
    write_idx(digits / "t10k-images-idx3-ubyte", images)
    return run


def test_a_metric(evaluated_run, run_main, monkeypatch):
    toy = table.Metric("toy distance", lambda both: 42.0, in_training=True)
    monkeypatch.setitem(table.METRICS, "toy", toy)
    code, out, err = run_main(evaluate, f"--run_dir={evaluated_run}", "--num_images=30")
    assert code == 0, err
    assert "toy distance" in out and "42.000" in out
    found = json.loads((evaluated_run / "evaluation.json").read_text())
    assert found["real"]["toy"] == 42 and found["checkpoints"]["12"]["toy"] == 42


def test_a_feature_extractor(evaluated_run, run_main, monkeypatch):
    """Two features, the means of the upper and of the lower half, by which images are compared."""

    def extract(images):
        return Features(images.reshape(len(images), 2, -1).mean(axis=2).astype("f"), None)

    extractor = FeatureExtractor("halves of images", 10, extract, features="halves")
    monkeypatch.setitem(feature_extractors.FEATURE_EXTRACTORS, "toy", lambda config: extractor)
    monkeypatch.setitem(DATASETS, "mnist", DATASETS["mnist"]._replace(feature_extractor="toy"))
    code, out, err = run_main(evaluate, f"--run_dir={evaluated_run}", "--num_images=30")
    assert code == 0 and "halves of images" in out, err
    found = json.loads((evaluated_run / "evaluation.json").read_text())
    assert found["feature_extractor"] == "halves of images"
    assert found["checkpoints"]["12"]["frechet_distance"] > 0


def test_a_view(finished_run, run_main, monkeypatch, tmp_path):
    def draw_negative(source, output, number):
        picture = 255 - source.sampler(source.noise_of([number]))[0, ..., 0]
        iio.imwrite(output, picture)
        return f"negative of image {number}"

    monkeypatch.setattr(views, "draw_negative", draw_negative, raising=False)
    row = sample.View((".png",), "draw_negative", lambda flags: (flags.negative,))
    monkeypatch.setitem(sample.VIEWS, "negative", row)

    @dataclasses.dataclass(frozen=True)
    class Flags(sample.SampleFlags):
        negative: int | None = setting(None, "Latent space", "a negative", AT_LEAST_ONE)

    monkeypatch.setattr(sample, "SampleFlags", Flags)
    flags = [f"--run_dir={finished_run}", f"--output={tmp_path / 'a.png'}", "--negative=3"]
    code, out, err = run_main(sample, *flags)
    assert code == 0, err
    assert out.startswith("negative of image 3, from step 12") and (tmp_path / "a.png").exists()


def test_a_command(tmp_path):
    shutil.copytree(ROOT / "dcgan_tf", tmp_path / "dcgan_tf")
    main = tmp_path / "dcgan_tf" / "__main__.py"
    main.write_text(main.read_text().replace('COMMANDS = ("train"', 'COMMANDS = ("toy", "train"'))
    command = '"""Says hello."""\n\n\ndef main() -> None:\n    print("hello")\n'
    (tmp_path / "dcgan_tf" / "commands" / "toy.py").write_text(command)
    for arguments, message in ((["toy"], "hello"), (["--help"], "Says hello.")):
        call = [sys.executable, "-m", "dcgan_tf", *arguments]
        done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0 and message in done.stdout, done.stderr


def test_a_setting_and_a_preset(run_main, monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "toy", {"base_filters": 3})
    assert config.Config.from_flags({"preset": "toy"}).base_filters == 3

    @dataclasses.dataclass(frozen=True)
    class Longer(config.Config):
        toy: int = setting(1, "Training", "a toy", AT_LEAST_ONE)

    monkeypatch.setattr(train, "Config", Longer)
    code, out, _ = run_main(train, "--help")
    assert code == 0 and "--toy INT" in out
    assert "--toy must be a whole number from 1" in run_main(train, "--toy=0")[2]
    older = dataclasses.asdict(config.Config())
    assert Longer.from_file(older).toy == 1

    apart = Combination(lambda config: config.toy > 5 and config.flip, "`toy={0.toy}` and `flip`")
    monkeypatch.setattr(config, "COMBINATIONS", (*config.COMBINATIONS, apart))
    assert "--toy=7 and --flip" in run_main(train, "--toy=7", "--flip")[2]
    assert Longer(toy=7).toy == 7
