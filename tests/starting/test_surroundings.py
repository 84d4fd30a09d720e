"""The package changes no environment variable, Keras setting, random state or handler."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import dcgan_tf
from dcgan_tf.settings.choices import ARCHITECTURES
from tests.conftest import ENVIRONMENT, ROOT
from tests.small import DENSE

OWN = {"KERAS_BACKEND", "TF_ENABLE_ONEDNN_OPTS"}  # what commands set, and not the package
SETTINGS = {
    "architecture": "dense",
    "batch_size": 16,
    "precision": "float32",
    "convolutions": "native",
    "max_steps": 4,
    "ema_decay": 0.9,
    "dropout": 0.3,
}

# A process of the user's, with settings of its own, and what the package could change in it.
USERS = """
import logging, os, random, signal, sys, threading, warnings
import keras, numpy, tensorflow as tf

def look():
    settings = [
        "backend", "epsilon", "floatx", "image_data_format", "is_interactive_logging_enabled",
        "is_traceback_filtering_enabled", "dtype_policy",
    ]
    return {
        "environment": dict(os.environ),
        "keras": [getattr(keras.config, name)() for name in settings],
        "handlers": [signal.getsignal(number) for number in signal.valid_signals()],
        "hooks": [sys.excepthook, sys.stdout, sys.stderr, threading.excepthook],
        "messages": [logging.root.level, list(warnings.filters)],
        "folder": os.getcwd(),
        "random": random.getstate(),
        "numpy": [str(numpy.random.get_state()[1].tolist()), *numpy.random.get_state()[2:]],
    }

def same_after(what):
    for name, value in look().items():
        assert value == before[name], f"{name} changed as the package was {what}"

keras.config.set_floatx("float64")
keras.config.set_image_data_format("channels_first")
keras.config.set_dtype_policy("mixed_float16")
tf.random.set_seed(5)
drawn = [tf.random.uniform([3]).numpy().tolist() for _ in range(2)]
tf.random.set_seed(5)
assert tf.random.uniform([3]).numpy().tolist() == drawn[0]
before = look()

import dcgan_tf
for name in dcgan_tf.__all__:
    getattr(dcgan_tf, name)
same_after("imported")

from dcgan_tf.evaluation.classifier import train_classifier
from dcgan_tf.settings.choices import ARCHITECTURES
from tests.small import DENSE
ARCHITECTURES["dense"] = DENSE
config = dcgan_tf.Config(**eval(sys.argv[1]))
dcgan_tf.make_gan(config, (28, 28, 1))
assert dcgan_tf.DCGAN(config, (28, 28, 1)).compute_dtype == "float32"
same_after("asked for a GAN")
run = dcgan_tf.train(config, sys.argv[2])
run.sample(4)
same_after("trained")
train_classifier(numpy.zeros([40, 8, 8, 1], numpy.uint8), numpy.arange(40) % 10, epochs=1)
same_after("asked for a classifier")
assert tf.random.uniform([3]).numpy().tolist() == drawn[1]
"""


def python(code, *arguments, **variables):
    environment = {name: ENVIRONMENT[name] for name in ENVIRONMENT if name not in OWN}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment | {"TF_CPP_MIN_LOG_LEVEL": "3"} | variables,
    )


def test_nothing_outside_the_package_changes_and_nothing_there_changes_a_number(
    digits_dir, tmp_path, monkeypatch
):
    """Keras's settings are the user's own, and the run is the one of a process without any."""
    settings = SETTINGS | {"data_dir": str(digits_dir)}
    done = python(USERS, settings, tmp_path / "users", TF_ENABLE_ONEDNN_OPTS="1")
    assert done.returncode == 0, done.stderr
    monkeypatch.setitem(ARCHITECTURES, "dense", DENSE)
    dcgan_tf.train(dcgan_tf.Config(**settings), tmp_path / "here")
    users, here = (
        tf.train.load_checkpoint(str(tmp_path / name / "checkpoints" / "ckpt-4"))
        for name in ("users", "here")
    )
    types = here.get_variable_to_dtype_map()
    assert users.get_variable_to_dtype_map() == types
    values = [name for name in types if types[name] != tf.string]  # the names of layers, and times
    assert len(values) > 30
    for name in values:
        np.testing.assert_array_equal(users.get_tensor(name), here.get_tensor(name), name)


def test_another_backend_is_an_error_at_the_first_model(monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(dcgan_tf.UserError, match="^Keras uses the jax backend, but"):
        dcgan_tf.make_gan(dcgan_tf.Config(), (28, 28, 1))


@pytest.mark.thorough
@pytest.mark.parametrize("given, late, is_on", [("0", "1", False), ("1", "0", True)])
def test_the_kernels_are_those_that_tensorflow_has(given, late, is_on):
    """A variable that is set too late has no effect."""
    code = (
        f"import os, tensorflow; os.environ['TF_ENABLE_ONEDNN_OPTS'] = '{late}'; import dcgan_tf; "
        "from dcgan_tf.run.run_directory import made_with; print(made_with()['cpu_kernels']); "
        "from dcgan_tf.steps.make_step import make_step; config = dcgan_tf.Config(unroll_steps=2, "
        "discriminator_batch='joint', discriminator_batch_norm=True); make_step(config)"
    )
    done = python(code, TF_ENABLE_ONEDNN_OPTS=given)
    assert done.stdout == ("oneDNN\n" if is_on else "Eigen\n")
    assert ("fails with oneDNN" in done.stderr) == is_on, done.stderr
    assert done.returncode == int(is_on)


def test_a_command_uses_onednn_and_tensorflow_unless_the_environment_says_otherwise():
    code = (
        "import os; from dcgan_tf.commands.program import run; "
        "run(lambda: print(*map(os.environ.get, ['KERAS_BACKEND', 'TF_ENABLE_ONEDNN_OPTS'])))"
    )
    assert python(code, KERAS_BACKEND="jax").stdout == "tensorflow 1\n"
    assert python(code, TF_ENABLE_ONEDNN_OPTS="0").stdout == "tensorflow 0\n"
