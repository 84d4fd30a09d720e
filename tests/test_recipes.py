"""Each recipe of docs/architecture.md, followed with a toy (datasets: see test_table.py)."""

import csv
import dataclasses
import json
import shutil
import subprocess
import sys

import imageio.v3 as iio
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from dcgan_tf import losses, models, training
from dcgan_tf.commands import evaluate, sample, train
from dcgan_tf.evaluation import scores as table
from dcgan_tf.latent import views
from dcgan_tf.settings import config, presets
from dcgan_tf.settings.fields import AT_LEAST_ONE, setting
from dcgan_tf.train_step import train_step
from tests.conftest import ENVIRONMENT, ROOT

SMALL = {"base_filters": 2, "batch_size": 8, "noise_dim": 4}


def one_step(mnist, **settings):
    """The output of one step on digits, with the trainer that took it."""
    trainer = training.Trainer(config.Config(**SMALL, **settings), mnist[:50, ..., np.newaxis])
    batch = tf.cast(trainer.images[:8], tf.float32) / 127.5 - 1
    return trainer, trainer.train_step(batch)


def name_in_config(monkeypatch, names, field):
    """Adds a name to those that a setting can have, as its tuple in config.py would."""
    rule = next(f for f in dataclasses.fields(config.Config) if f.name == field).metadata["rule"]
    monkeypatch.setitem(vars(rule), "holds", lambda value: value in (*names, "toy"))


def test_an_architecture(mnist, monkeypatch):
    def generator(config, image_shape):
        return [layers.Dense(int(np.prod(image_shape))), layers.Reshape(image_shape)]

    def discriminator(config, image_shape):
        return [layers.Flatten(), layers.Dense(1)]

    monkeypatch.setitem(models.ARCHITECTURES, "toy", (generator, discriminator))
    name_in_config(monkeypatch, config.ARCHITECTURES, "architecture")
    trainer, _ = one_step(mnist, architecture="toy")
    assert trainer.step == 1 and trainer.gan.discriminator.count_params() == 28 * 28 + 1


def test_a_loss(mnist, monkeypatch):
    def discriminator_loss(real_logits, fake_logits):
        return tf.reduce_mean(fake_logits**2) + 7.0

    def generator_loss(fake_logits):
        return tf.reduce_mean(fake_logits) + 5.0

    toy = losses.Loss(discriminator_loss, generator_loss, probabilities=False)
    monkeypatch.setitem(losses.LOSSES, "toy", toy)
    name_in_config(monkeypatch, config.LOSSES, "loss")
    _, output = one_step(mnist, loss="toy")
    fake = output.fake_logits.numpy()
    assert float(output.scalars.gen_loss) == pytest.approx(fake.mean() + 5, rel=1e-5)
    assert float(output.scalars.disc_loss) == pytest.approx((fake**2).mean() + 7, rel=1e-5)


def test_a_training_algorithm(mnist, monkeypatch):
    def two_steps(gan, images):
        train_step(gan, images)
        return train_step(gan, images)

    row = training.Choice("two steps", two_steps, lambda config: config.seed == 5)
    monkeypatch.setattr(training, "STEPS", (row, *training.STEPS))
    trainer, _ = one_step(mnist, seed=5)
    assert trainer.step == 2 and trainer.describe_step() == "two steps"
    assert one_step(mnist, seed=4)[0].step == 1


def test_another_way_to_get_the_gradients(mnist, monkeypatch):
    def no_gradients(gan, tape, images, logits, losses):
        models = (gan.generator, gan.discriminator)
        return tuple([tf.zeros_like(w) for w in m.trainable_variables] for m in models)

    row = training.Choice("none", no_gradients, lambda config: True)
    monkeypatch.setattr(training, "BACKWARD_PASSES", (row, *training.BACKWARD_PASSES))
    trainer, output = one_step(mnist)
    assert float(output.scalars.gen_gradient_norm) == 0
    assert trainer.describe_step().endswith("none")


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


def test_a_metric(finished_run, digits_dir, run_main, monkeypatch, tmp_path):
    toy = table.Metric("toy distance", lambda both: 42.0, in_training=True)
    monkeypatch.setitem(table.METRICS, "toy", toy)
    run, digits = tmp_path / "run", tmp_path / "digits"
    shutil.copytree(finished_run, run)
    shutil.copytree(digits_dir, digits)
    config_file = run / "config.json"
    config_file.write_text(config_file.read_text().replace(str(digits_dir), str(digits)))
    with np.load(ROOT / "dcgan_tf" / "datasets" / "mnist.npz") as mnist:
        images = mnist["x_test"][:30]
    header = np.array([2051, *images.shape], ">i4").tobytes()
    (digits / "t10k-images-idx3-ubyte").write_bytes(header + images.tobytes())
    code, out, err = run_main(evaluate, f"--run_dir={run}", "--num_images=30")
    assert code == 0, err
    assert "toy distance" in out and "42.000" in out
    found = json.loads((run / "evaluation.json").read_text())
    assert found["real"]["toy"] == 42 and found["checkpoints"]["12"]["toy"] == 42


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
    for arguments, told in ((["toy"], "hello"), (["--help"], "Says hello.")):
        call = [sys.executable, "-m", "dcgan_tf", *arguments]
        done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0 and told in done.stdout, done.stderr


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
    assert Longer(**Longer.with_new_names(older)).toy == 1
