"""Runs that start from another run's weights, with images of its size or of twice its size."""

import dataclasses
import hashlib
import re
import shutil
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

from dcgan_tf.commands import export, sample, train
from dcgan_tf.conditional.labels import NO_CLASSES
from dcgan_tf.fast.keras_layers import plain
from dcgan_tf.models import make_discriminator, make_generator
from dcgan_tf.pretrained import generators as table
from dcgan_tf.pretrained.generators import FILES, PRETRAINED, with_discriminator
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.sampling.sampler import load_generator, restore_model
from dcgan_tf.serving.export_formats import Exported, write_run
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.training import Trainer
from dcgan_tf.transfer.init_from import origin_of, start_from
from tests.conftest import RESOLVED, ROOT, finish, fork, one_sentence
from tests.test_resume import assert_same_run

SHAPE = (16, 16, 3)
OWN = {"base_filters": 4, "noise_dim": 8, "batch_size": 8, "ema_decay": 0.9}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of 50 images of 32×32, colored noise."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i in range(50):
        pixels = rng.integers(256, size=(32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def flags(run_dir, pictures, *more, size=16, **given):
    """A run of 2 epochs of 6 steps."""
    settings = {"dataset": "folder", "data_dir": pictures, "held_out": 0, "image_size": size}
    settings |= {"run_dir": run_dir, "epochs": 2, "eval_every": 0} | OWN | given
    return (*(f"--{name}={value}" for name, value in settings.items()), *RESOLVED, *more)


@pytest.fixture(scope="module")
def other(tmp_path_factory, pictures):
    """A finished run on images of 16×16."""
    run_dir = tmp_path_factory.mktemp("runs") / "other"
    command = [sys.executable, str(ROOT / "train.py"), *flags(run_dir, pictures)]
    code, _, err = finish(command, how=fork)
    assert code == 0, err
    return run_dir


def new_models(shape=SHAPE, **settings):
    """A trainer with new models for images of a shape."""
    return Trainer(Config(**OWN | settings), np.zeros((8, *shape), np.uint8))


def take_over(run_dir, trainer):
    """Loads the weights of a run into a trainer's models; returns the run's step."""
    shape = trainer.images.shape[1:]
    return start_from(RunDirectory(run_dir), trainer.config, shape, trainer.classes, trainer.stacks)


def weights(run_dir, name, make, config):
    model = make(config, SHAPE)
    restore_model(RunDirectory(run_dir), name, model, None)
    return model.get_weights()


def test_a_run_does_not_start_from_a_generator_without_discriminator(run_main, tmp_path, pictures):
    code, _, err = run_main(train, *flags(tmp_path / "run", pictures, init_from="mnist"))
    assert code == 1 and one_sentence(err)
    assert "--init_from mnist has only a generator" in err
    assert "use another run, such as the run that it was exported from" in err
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def shipped(other, tmp_path_factory):
    """The folder `toy` of pretrained models, and the sha256 of its files."""
    folder = tmp_path_factory.mktemp("pretrained") / "toy"
    run = RunDirectory(other)
    generator, _, step = load_generator(run)
    write_run(Exported(run, step, plain(generator), generator), folder)
    content = b"".join((folder / file).read_bytes() for file in FILES)
    return folder, hashlib.sha256(content).hexdigest()


@pytest.fixture
def toy(shipped, monkeypatch):
    """A row of PRETRAINED with a discriminator."""
    folder, sha256 = shipped
    monkeypatch.setattr(table, "__file__", str(folder.parent / "generators.py"))
    monkeypatch.setitem(PRETRAINED, "toy", sha256)
    return folder


def test_an_export_has_both_models_and_a_run_starts_from_its_name(toy, other, pictures, run_main):
    trainer, run = new_models(init_from="toy"), origin_of("toy")
    assert run.path == toy and sorted(path.name for path in toy.iterdir()) == sorted(FILES)
    shape, classes = trainer.images.shape[1:], trainer.classes
    assert start_from(run, trainer.config, shape, classes, trainer.stacks) == 12
    config, _ = RunDirectory(other).read_config()
    gan = trainer.gan
    for model, name, make in (
        (gan.generator, "averaged_generator", make_generator),
        (gan.ema_generator, "averaged_generator", make_generator),
        (gan.discriminator, "discriminator", make_discriminator),
    ):
        theirs = weights(other, name, make, config)
        for ours, trained in zip(model.get_weights(), theirs, strict=True):
            np.testing.assert_allclose(ours, trained, rtol=2**-11, atol=2**-25)  # of float16
        assert np.any(theirs[0])
    new = toy.parent / "new"
    code, out, err = run_main(train, *flags(new, pictures, init_from="toy", max_steps=1))
    assert code == 0 and "from step 0, with the weights of toy at step 12, to step 1" in out, err


def test_errors_of_init_from_by_name_are_one_sentence(
    toy, pictures, run_main, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    names = "mnist, fashion_mnist, cifar10, faces, toy"
    for name, changes, message in (
        ("cats", {}, f"cats is not a run directory .*, nor one .* {names}$"),
        ("toy", {"noise_dim": 9}, "toy has other models: --noise_dim is 9 but must be 8$"),
        (
            "toy",
            {"size": 32},
            "toy was trained on images of 16×16×3: this run has images of 32×32×3, twice the size",
        ),
    ):
        given = flags(tmp_path / "run", pictures, **{"init_from": name} | changes)
        code, _, err = run_main(train, *given)
        assert code == 1 and one_sentence(err) and re.search(f"--init_from {message}", err), err
    assert with_discriminator() == ["toy"]
    alone = shutil.copytree(toy, tmp_path / "alone")
    (alone / "discriminator.npz").unlink()
    code, _, err = run_main(train, *flags(tmp_path / "run", pictures, init_from="alone"))
    assert code == 1 and "alone has only a generator" in err and "exported from or toy\n" in err
    # A run in a folder of that name comes first, and without its discriminator it is damaged.
    alone.rename(tmp_path / "toy")
    assert origin_of("toy").path == Path("toy")
    monkeypatch.chdir(toy)
    monkeypatch.setattr(table, "__file__", str(tmp_path / "generators.py"))
    with pytest.raises(UserError, match="toy is damaged"):
        origin_of("toy")
    assert not (tmp_path / "run").exists()


def test_models_and_ema_generator_are_taken_over_and_nothing_else(other):
    trainer = new_models(init_from=str(other), dropout=0.0, seed=3)
    gan = trainer.gan
    optimizers = (gan.generator_optimizer, gan.discriminator_optimizer)
    before = [[v.numpy() for v in optimizer.variables] for optimizer in optimizers]
    assert take_over(other, trainer) == 12 and trainer.step == 0
    config, _ = RunDirectory(other).read_config()
    for model, name, make in (
        (gan.generator, "generator", make_generator),
        (gan.ema_generator, "averaged_generator", make_generator),
        (gan.discriminator, "discriminator", make_discriminator),
    ):
        for ours, theirs in zip(
            model.get_weights(), weights(other, name, make, config), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
    after = [[v.numpy() for v in optimizer.variables] for optimizer in optimizers]
    for values, others in zip(before, after):
        assert all(np.array_equal(*pair) for pair in zip(values, others, strict=True))
    # An average of trained weights moves by its own decay from the first step on.
    average, generator = (m.get_weights()[0] for m in (gan.ema_generator, gan.generator))
    gan.update_ema()
    gan.step.assign_add(1)
    moved = 0.9 * average + 0.1 * generator
    np.testing.assert_allclose(gan.ema_generator.get_weights()[0], moved, atol=1e-7)


@pytest.mark.thorough
def test_run_starts_with_the_other_runs_images_and_resumes_without_it(
    run_main, other, pictures, tmp_path
):
    gone = shutil.copytree(other, tmp_path / "gone")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    start = f"--init_from={gone}"
    code, out, err = run_main(train, *flags(whole, pictures, start))
    assert code == 0 and f"with the weights of {gone} at step 12, to step 12" in out, err
    assert run_main(train, *flags(stopped, pictures, start, "--max_steps=3"))[0] == 0
    shutil.rmtree(gone)
    code, out, err = run_main(train, *flags(stopped, pictures, start))
    assert code == 0 and "resumed after step 3" in out, err
    assert_same_run(stopped, whole)
    last, first = (
        iio.imread(run / "samples" / name)
        for run, name in ((other, "epoch_0002.png"), (whole, "init.png"))
    )
    assert np.array_equal(last, first)
    assert RunDirectory(whole).read_config()[0].init_from == str(gone)
    code, _, err = run_main(train, *flags(tmp_path / "new", pictures, start))
    assert code == 1 and f"--init_from {gone} is not a run directory" in err and one_sentence(err)
    assert not (tmp_path / "new").exists()


GROWN = {"size": 32, "base_filters": 2, "fade_in": 9}


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of Keras
def test_growing_run_is_sampled_stopped_and_resumed(run_main, other, pictures, tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    start = f"--init_from={other}"
    assert run_main(train, *flags(whole, pictures, start, **GROWN))[0] == 0
    assert run_main(train, *flags(stopped, pictures, start, "--max_steps=4", **GROWN))[0] == 0

    generator, _, step = load_generator(RunDirectory(stopped))
    assert step == 4 and generator.layers[-1].alpha.numpy() == pytest.approx(4 / 9)
    code, _, err = run_main(sample, f"--run_dir={stopped}", f"--output={tmp_path / 'grid.png'}")
    assert code == 0 and (tmp_path / "grid.png").exists(), err
    code, _, err = run_main(export, f"--run_dir={stopped}", f"--output={tmp_path / 'export'}")
    assert code == 1 and "at step 4 of the 9" in err and one_sentence(err)
    half_way = f"--init_from={stopped}"
    code, _, err = run_main(
        train, *flags(tmp_path / "new", pictures, half_way, size=32, base_filters=2)
    )
    assert code == 1 and "at step 4 of the 9" in err and one_sentence(err)

    assert run_main(train, *flags(stopped, pictures, start, **GROWN))[0] == 0
    assert_same_run(stopped, whole)
    code, out, err = run_main(export, f"--run_dir={whole}", f"--output={tmp_path / 'export'}")
    assert code == 0 and "run: within" in out, err
    first = load_generator(RunDirectory(other))[0]
    grown, _, _ = load_generator(RunDirectory(whole))
    plain = make_generator(Config(**OWN | {"base_filters": 2}), (32, 32, 3))
    assert [type(layer) for layer in grown.layers] == [type(layer) for layer in plain.layers]
    assert grown.count_params() == plain.count_params()
    assert grown.layers[0].kernel.shape == first.layers[0].kernel.shape
    # Growing once more, and going on with images of the same size, start from the new layers.
    for shape, more in (((64, 64, 3), {"base_filters": 1, "fade_in": 5}), ((32, 32, 3), {})):
        settings = {"base_filters": 2, "init_from": str(whole)} | more
        trainer = new_models(shape, **settings)
        assert take_over(whole, trainer) == 12
        noise = np.ones((2, 8), np.float32)
        images = grown(noise).numpy()
        if more:
            images = images.repeat(2, axis=1).repeat(2, axis=2)
        np.testing.assert_allclose(trainer.gan.ema_generator(noise), images, atol=1e-6)


def test_an_ema_generator_of_only_one_run_starts_as_the_generator_or_is_ignored(other):
    trainer = new_models(ema_decay=None, init_from=str(other))
    take_over(other, trainer)
    assert trainer.gan.ema_generator is None
    config, _ = RunDirectory(other).read_config()
    expected = weights(other, "generator", make_generator, config)
    assert np.array_equal(trainer.gan.generator.get_weights()[0], expected[0])


@pytest.mark.parametrize(
    "settings, shape, message",
    [
        (
            {},
            (32, 32, 3),
            "images of 16×16×3: this run has images of 32×32×3, twice the size: add `fade_in`",
        ),
        ({}, (16, 16, 1), "images of 16×16×3: this run has images of 16×16×1$"),
        ({"fade_in": 5}, (16, 16, 3), "images of 16×16×3: `fade_in` grows from 8×8×3 to 16×16×3"),
        ({"fade_in": 5}, (32, 32, 3), "`base_filters` is 4 but must be 2$"),
        ({"base_filters": 8, "noise_dim": 9}, SHAPE, "`noise_dim` is 9 but must be 8; `"),
        ({"architecture": "paper"}, SHAPE, "`architecture` is paper but must be tutorial"),
        ({"mapping_layers": 1}, SHAPE, "`mapping_layers` is 1 but must be 0"),
        ({"negative_slope": 0.2}, SHAPE, "`negative_slope` is 0.2 but must be 0.3$"),
        ({"batch_norm_epsilon": 1e-5}, SHAPE, "`batch_norm_epsilon` is 1e-05 but must be 0.001$"),
    ],
)
def test_run_that_does_not_match_is_refused(other, settings, shape, message):
    trainer = new_models(shape, **settings, init_from=str(other))
    before = trainer.gan.generator.get_weights()
    with pytest.raises(UserError, match=f"`init_from` {other} .*{message}"):
        take_over(other, trainer)
    for ours, kept in zip(trainer.gan.generator.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, kept)


OTHER_VALUES = {
    "clusters": 3,
    "architecture": "paper",
    "noise": "uniform",
    "noise_dim": 9,
    "mapping_layers": 1,
    "base_filters": 8,
    "kernel_size": 4,
    "stride": 4,
    "negative_slope": 0.2,
    "generator_batch_norm": False,
    "discriminator_batch_norm": True,
    "batch_norm_epsilon": 1e-5,
    "spectral_norm": True,
    "label_input": "projection",
    "auxiliary_weight": 0.1,
    "pack": 2,
}


@pytest.mark.parametrize("name", Config.of_models())
def test_every_setting_that_changes_what_weights_compute_is_compared(other, name):
    """A new setting needs a row here with a value that differs from the other run's."""
    config = Config(**OWN | {name: OTHER_VALUES[name]}, init_from=str(other))
    with pytest.raises(UserError, match=f"has other models: `{name}` is {OTHER_VALUES[name]} but"):
        start_from(RunDirectory(other), config, SHAPE, NO_CLASSES, {})


IGNORED = {
    "dropout": 0.5,
    "last_dropout": 0.5,
    "batch_norm_momentum": 0.5,
    "initializer_stddev": 0.02,
}


def test_settings_that_are_not_compared_do_not_change_what_weights_compute(other):
    of_models = set(Config.of_models())
    fields = [field for field in dataclasses.fields(Config) if field.metadata["group"] == "Models"]
    assert {field.name for field in fields} - of_models == IGNORED.keys()
    config, _ = RunDirectory(other).read_config()
    images = np.random.default_rng(0).uniform(-1, 1, (4, *SHAPE)).astype(np.float32)
    for name, make, inputs in (
        ("generator", make_generator, images.reshape(4, -1)[:, :8]),
        ("discriminator", make_discriminator, images),
    ):
        model = make(config, SHAPE)
        restore_model(RunDirectory(other), name, model, None)
        for changed in IGNORED:
            twin = make(dataclasses.replace(config, **{changed: IGNORED[changed]}), SHAPE)
            twin.set_weights(model.get_weights())
            np.testing.assert_array_equal(twin(inputs), model(inputs))


def test_run_without_a_checkpoint_is_refused(other, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(other / "config.json", bare)
    with pytest.raises(UserError, match=f"`init_from` {bare} has no checkpoint yet"):
        take_over(bare, new_models(init_from=str(bare)))
