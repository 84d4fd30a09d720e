"""The Python API: quick to import, documented, and sufficient to work with runs."""

import ast
import dataclasses
import inspect
import re
import subprocess
import sys

import imageio.v3 as iio
import keras
import numpy as np
import pytest
import tensorflow as tf

import dcgan_tf
from dcgan_tf.commands import sample
from dcgan_tf.conditional.labels import Labels
from dcgan_tf.data import scale
from dcgan_tf.distributed import strategy
from dcgan_tf.settings.choices import ARCHITECTURES
from tests.conftest import ENVIRONMENT, ROOT, write_idx
from tests.small import DENSE

HEAVY = (
    "tensorflow",
    "keras",
    "matplotlib",
    "sklearn",
    "numpy",
    "imageio",
    "dcgan_tf.starting.start",
)
TINY = {
    "batch_size": 8,
    "base_filters": 8,
    "ema_decay": 0.9,
    "epochs": 1,
    "eval_every": 0,
    "precision": "float32",
    "convolutions": "native",
}


def python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=ENVIRONMENT
    )


@pytest.fixture(scope="module")
def digits(tmp_path_factory, mnist):
    """A folder with 800 training and 400 test digits, as IDX files."""
    folder = tmp_path_factory.mktemp("digits")
    write_idx(folder / "train-images-idx3-ubyte", mnist[:800])
    write_idx(folder / "t10k-images-idx3-ubyte", mnist[-400:])
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory, digits):
    """A run of 100 steps that `train` made of real digits."""
    config = dcgan_tf.Config(data_dir=str(digits), **TINY)
    return dcgan_tf.train(config, tmp_path_factory.mktemp("api") / "run")


def test_import_is_quick():
    done = python(f"import sys, dcgan_tf; print([name for name in {HEAVY} if name in sys.modules])")
    assert done.stdout == "[]\n" and done.stderr == ""
    done = python("import sys, dcgan_tf; dcgan_tf.Config(); print('tensorflow' in sys.modules)")
    assert done.stdout == "False\n"


def test_names_are_those_of_the_stub():
    stub = ast.parse((ROOT / "dcgan_tf" / "__init__.pyi").read_text())
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    names = {alias.asname for node in imports for alias in node.names}
    assert names == set(dcgan_tf.__all__) == set(dir(dcgan_tf))
    for name in names:
        assert not inspect.ismodule(getattr(dcgan_tf, name))
    with pytest.raises(AttributeError):
        _ = dcgan_tf.no_such_name


def test_every_public_name_is_documented():
    functions = [getattr(dcgan_tf, name) for name in dcgan_tf.__all__]
    for of_class in (dcgan_tf.Run, dcgan_tf.ImageGrid):
        functions += [value for name, value in vars(of_class).items() if not name.startswith("_")]
    documented = [each for each in functions if callable(each) or hasattr(each, "__get__")]
    assert len(documented) > 15
    for each in documented:
        assert len(inspect.getdoc(each) or "") > 20, each


@pytest.mark.thorough
def test_function_keeps_its_name_from_the_module_of_the_same_name():
    code = "import dcgan_tf.train_step, dcgan_tf; print(type(dcgan_tf.train_step).__name__)"
    assert python(code).stdout == "function\n"


def test_train_returns_the_run_that_load_run_finds(trained):
    assert trained.step == 100 and trained.checkpoints == [100]
    assert trained.config.base_filters == 8
    assert repr(trained) == f"Run(path={trained.path!r}, step=100)"
    again = dcgan_tf.load_run(str(trained.path))
    assert again.step == 100 and again.config == trained.config
    state = tf.train.load_checkpoint(str(trained.path / "checkpoints" / "ckpt-100"))
    names = state.get_variable_to_shape_map()
    plain, ema = (
        [
            name
            for name in names
            if re.match(rf"{model}/.*kernel/", name) and "OPTIMIZER" not in name
        ]
        for model in ("generator", "averaged_generator")
    )
    for run in (trained, again):
        kernel = run.generator.layers[0].kernel.numpy()
        assert any(np.array_equal(kernel, state.get_tensor(name)) for name in ema)
        assert not any(np.array_equal(kernel, state.get_tensor(name)) for name in plain)


def test_train_resumes(trained, capsys):
    run = dcgan_tf.train(trained.config, trained.path)
    assert run.step == 100 and "a larger `epochs`" in capsys.readouterr().out
    with pytest.raises(dcgan_tf.UserError, match="already holds a run"):
        dcgan_tf.train(trained.config, trained.path, resume=False)


@pytest.mark.parametrize("num_images", [21, 300])
def test_sample_equals_the_command(trained, run_main, tmp_path, num_images):
    flags = {"num_images": num_images, "seed": 5}
    run_main(
        sample,
        f"--run_dir={trained.path}",
        f"--output={tmp_path / 's.npz'}",
        *(f"--{name}={value}" for name, value in flags.items()),
    )
    with np.load(tmp_path / "s.npz") as archive:
        drawn = archive["images"]
    images = trained.sample(**flags)
    assert images.array.dtype == np.uint8 and images.array.shape == (num_images, 28, 28, 1)
    assert np.array_equal(images.array, drawn) and drawn.std() > 1
    some = trained.generate(trained.noise([3, 20], seed=5)).array.astype(int)
    assert np.abs(some - drawn[[3, 20]]).max() <= 1
    assert np.abs(trained.noise(range(50), truncation=0.5)).max() <= 0.5


def test_interpolation_equals_the_command(trained, run_main, tmp_path):
    run_main(
        sample,
        f"--run_dir={trained.path}",
        f"--output={tmp_path / 's.png'}",
        "--interpolate=3,7,12",
        "--frames=4",
    )
    images = trained.interpolate([3, 7, 12], frames=4)
    assert images.array.shape == (9, 28, 28, 1)
    assert np.array_equal(images.picture(), iio.imread(tmp_path / "s.png"))
    noise = trained.noise([3, 7, 12])
    assert np.array_equal(trained.interpolate(noise, frames=4).array, images.array)
    ends = images.array[[0, 4, 8]].astype(int)
    assert np.abs(ends - trained.generate(noise).array).max() <= 1
    straight = trained.interpolate(noise[:2], frames=2, linear=True).array[1].astype(int)
    middle = trained.generate(noise[:2].mean(axis=0, keepdims=True)).array[0]
    assert np.abs(straight - middle).max() <= 1


def test_models_are_kerass_own(trained, digits):
    assert isinstance(trained.generator, keras.Sequential)
    images = scale(trained.sample(4).array)
    logits = trained.discriminator(images, training=False)
    assert logits.shape == (4, 1)
    real = scale(dcgan_tf.load_images(trained.config)[:200])
    fake = trained.generator(trained.noise(range(200)), training=False)
    decisions = [
        trained.discriminator(each, training=False).numpy().mean() for each in (real, fake)
    ]
    assert decisions[0] > decisions[1]


def test_evaluation_compares_with_real_images(trained):
    scores = trained.evaluate(200)
    assert scores["real"]["frechet_distance"] < scores["generated"]["frechet_distance"]
    assert 0 <= scores["generated"]["recall"] <= 1
    assert sum(scores["real"]["class_distribution"]) == pytest.approx(1)


def test_grid_shows_itself(trained, tmp_path):
    images = trained.sample(5)
    picture = iio.imread(images._repr_png_())
    assert np.array_equal(picture, images.picture()) and picture.shape[1] > picture.shape[0]
    images.save(tmp_path / "grid.png")
    assert np.array_equal(iio.imread(tmp_path / "grid.png"), picture)
    assert repr(images) == "ImageGrid of 5 images of 28×28×1" and len(images) == 5
    assert np.asarray(images) is images.array
    assert scale(images).shape == (5, 28, 28, 1)


def test_mistakes(trained, tmp_path):
    with pytest.raises(dcgan_tf.UserError, match="is not a run directory"):
        dcgan_tf.load_run(tmp_path)
    with pytest.raises(dcgan_tf.UserError, match="no checkpoint of step 5; available: 100"):
        dcgan_tf.load_run(trained.path, checkpoint=5)
    for message, draw in (
        ("num_images must be at least 1, not 0", lambda: trained.sample(0)),
        ("seed at least 0, not .* and -1", lambda: trained.sample(seed=-1)),
        ("one or more indices from 0, .* not \\[\\] and 0", lambda: trained.noise([])),
        ("one or more indices from 0, .* not \\[-1\\]", lambda: trained.noise([-1])),
        ("truncation must be above 0, not -1", lambda: trained.sample(truncation=-1)),
        ("`label` 7 needs a conditional run", lambda: trained.sample(label=7)),
        ("at least 2 points and 1 frame, not 1 and 12", lambda: trained.interpolate([3])),
        (
            "at least 2 points and 1 frame, not 2 and 0",
            lambda: trained.interpolate([3, 4], frames=0),
        ),
        ("a point at 0", lambda: trained.interpolate(np.eye(2, 100, k=-1))),
        ("num_images must be at least 20, not 19", lambda: trained.evaluate(19)),
    ):
        with pytest.raises(dcgan_tf.UserError, match=message):
            draw()


@pytest.mark.parametrize("shape", [(2, 99), (0, 100), (100,), (1, 2, 100)])
def test_noise_of_another_shape_is_refused(trained, shape):
    with pytest.raises(dcgan_tf.UserError, match=r"noise must be \[N, 100\]"):
        trained.generate(np.zeros(shape))


def test_interpolation_accepts_an_array_of_indices(trained):
    numbers = np.array([3, 7, 12])
    frames = [trained.interpolate(points).array for points in (numbers, numbers.tolist())]
    assert np.array_equal(*frames)


def test_loop_of_ones_own(digits):
    config = dcgan_tf.Config(data_dir=str(digits), **TINY)
    images = dcgan_tf.load_images(config)
    gan = dcgan_tf.make_gan(config, images.shape[1:])
    before = gan.generator.get_weights()
    for batch in dcgan_tf.make_batches(images, config, 0, 2):
        output = dcgan_tf.train_step(gan, batch)
    assert int(gan.step) == 2 and np.isfinite(float(output.scalars.gen_loss))
    assert not np.array_equal(before[0], gan.generator.get_weights()[0])


@pytest.mark.parametrize(
    "settings",
    [
        {"r1_gamma": 1.0},
        {"unroll_steps": 2},
        {"loss": "wasserstein", "discriminator_steps": 2},
        {"precision": "float16"},
        {"conditional": True},
    ],
    ids=str,
)
def test_custom_loop_can_use_the_step_of_any_run(mnist, monkeypatch, settings):
    """With `make_step`, it leaves out nothing that the config asks for: it is the trainer's."""
    monkeypatch.setitem(ARCHITECTURES, "dense", DENSE)
    config = dcgan_tf.Config.from_flags(TINY | {"architecture": "dense"} | settings)
    images, labels = mnist[:32, ..., np.newaxis], None
    if config.conditional:
        labels = Labels(np.arange(32) % 3, ("cat", "dog", "eel"))
    trainer = dcgan_tf.Trainer(config, images, labels)
    gan = dcgan_tf.make_gan(config, images.shape[1:], trainer.classes)
    step = dcgan_tf.make_step(config)
    numbers = labels and labels.ids
    for batch in dcgan_tf.make_batches(images, config, 0, 2, labels=numbers):
        output = step(gan, *batch) if labels else step(gan, batch)
        expected = trainer.train_step(batch)
        np.testing.assert_allclose(output.scalars, expected.scalars, rtol=1e-2, atol=1e-4)
    assert int(gan.step) == 2


def test_custom_loop_refuses_incompatible_settings():
    config = dcgan_tf.Config.from_flags(TINY | {"unroll_steps": 2, "discriminator_steps": 2})
    with pytest.raises(dcgan_tf.UserError, match="`unroll_steps` needs one update of each"):
        dcgan_tf.make_step(config)


@pytest.mark.parametrize("device, warns", [("auto", True), ("cpu", False)])
def test_unused_gpu_gives_a_warning(trained, monkeypatch, tmp_path, caplog, device, warns):
    monkeypatch.setattr(strategy, "NVIDIA_DRIVER", tmp_path)
    dcgan_tf.train(dataclasses.replace(trained.config, device=device), trained.path)
    warnings = [record.getMessage() for record in caplog.records]
    assert any('pip install "dcgan-tf[gpu]"' in each for each in warnings) == warns


def test_a_device_that_a_process_can_no_longer_use_is_refused(monkeypatch):
    """As TensorFlow behaves with a GPU, once it has computed something, or hidden it."""

    def too_late(devices, kind):
        raise RuntimeError("Visible devices cannot be modified after being initialized")

    monkeypatch.setattr(strategy.tf.config, "list_physical_devices", lambda kind: ["a GPU"])
    monkeypatch.setattr(strategy.tf.config, "get_visible_devices", lambda kind: [])
    monkeypatch.setattr(strategy.tf.config, "set_visible_devices", too_late)
    for device, message in (
        ("cpu", "already .*: start a new process"),
        ("gpu", "hid this process's GPUs"),
    ):
        with pytest.raises(dcgan_tf.UserError, match=f"`device` {device}: .*{message}"):
            strategy.make_strategy(dcgan_tf.Config(device=device))


def test_gpu_is_unused_if_tensorflow_does_not_see_it(monkeypatch, tmp_path):
    monkeypatch.setattr(strategy, "NVIDIA_DRIVER", tmp_path / "absent")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not strategy.unused_gpu()
    (tmp_path / "nvidia-smi").touch(mode=0o755)
    assert strategy.unused_gpu()
    monkeypatch.setattr(strategy.tf.config, "list_physical_devices", lambda kind: ["a GPU"])
    assert not strategy.unused_gpu()
