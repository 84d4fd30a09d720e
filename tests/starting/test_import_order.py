"""What is said where TensorFlow or Keras is imported before the package."""

import subprocess
import sys

import pytest

from tests.conftest import ENVIRONMENT, ROOT

WARNING = "TensorFlow was imported before dcgan_tf, and without oneDNN's kernels"
# A processor on which TensorFlow leaves oneDNN off by itself, as far as one with AVX-512 can be it.
LEFT_OFF = "import os; os.environ['TF_ENABLE_ONEDNN_OPTS'] = '0'; import tensorflow; "
UNSET = "del os.environ['TF_ENABLE_ONEDNN_OPTS']; "


def run(code, **variables):
    environment = {n: v for n, v in ENVIRONMENT.items() if n != "TF_ENABLE_ONEDNN_OPTS"}
    environment |= {"TF_CPP_MIN_LOG_LEVEL": "3"} | variables
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment
    )


@pytest.mark.parametrize(
    "code, warned",
    [
        (LEFT_OFF + UNSET + "import dcgan_tf", True),
        (LEFT_OFF + "import dcgan_tf", False),  # as the user wants it
        ("import dcgan_tf, tensorflow", False),
        (LEFT_OFF.replace("'0'", "'1'") + UNSET + "import dcgan_tf", False),
    ],
)
def test_kernels_that_came_too_late_are_warned_of(code, warned):
    ended = run(code)
    assert ended.returncode == 0 and (WARNING in ended.stderr) == warned, ended.stderr


@pytest.mark.parametrize("late, is_on", [("0", True), ("1", False)])
def test_the_state_counts_and_not_the_variable(late, is_on):
    code = (
        f"import os; os.environ['TF_ENABLE_ONEDNN_OPTS'] = '{int(is_on)}'; import tensorflow; "
        f"os.environ['TF_ENABLE_ONEDNN_OPTS'] = '{late}'; import dcgan_tf; "
        "from dcgan_tf.steps.make_step import make_step; config = dcgan_tf.Config(unroll_steps=2, "
        "discriminator_batch='joint', discriminator_batch_norm=True); make_step(config)"
    )
    ended = run(code)
    assert ("does not go with oneDNN" in ended.stderr) == is_on, ended.stderr
    assert ended.returncode == int(is_on)


def test_keras_with_another_backend_is_refused():
    ended = run("import keras; keras.config.backend = lambda: 'jax'; import dcgan_tf")
    told = "ImportError: Keras was imported with the backend jax: import dcgan_tf before it"
    assert told in ended.stderr
    assert run("import dcgan_tf, keras", KERAS_BACKEND="jax").returncode == 0
    assert run("import keras, dcgan_tf").returncode == 0
