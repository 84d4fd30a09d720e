"""What the tests share: small sets of real digits, and runs made of them."""

import gc
import os
import random
import struct
import subprocess
import sys

import matplotlib
import numpy as np
import pytest

from dcgan_tf.commands.program import set_environment
from tests.forks import ROOT, Fork

set_environment()  # before TensorFlow is imported, as commands do

BATCH_SIZE = 8
STEPS_PER_EPOCH = 6
RESOLVED = ["--precision=float32", "--convolutions=native"]  # nothing is to be measured

# What a user's shell has: a command within this process may have set the level.
ENVIRONMENT = {name: os.environ[name] for name in os.environ if name != "TF_CPP_MIN_LOG_LEVEL"}


def pytest_configure(config):
    """Makes two logical devices of the one processor, which tests of several replicas take both.

    It must be said before TensorFlow does anything, and some test files have it do something as
    they are read. The process that only hands out the tests (-n) does without TensorFlow.
    """
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


# What no quick test comes to: a training, an evaluation, another process.
SLOW = (
    "dcgan_tf.training.Trainer.__init__",
    "dcgan_tf.evaluation.evaluator.Evaluator.__init__",
    "keras.Model.fit",
    "keras.applications.InceptionV3",
    "subprocess.Popen.__init__",
    "tests.forks.Fork.__init__",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Marks the fast ones as quick, until they come to what is SLOW."""
    for item in items:
        if not (item.get_closest_marker("long") or item.get_closest_marker("thorough")):
            item.add_marker("quick")


def thorough(*values):
    """Values of a parameter with which a test is thorough."""
    return [pytest.param(value, marks=pytest.mark.thorough) for value in values]


@pytest.fixture(scope="session", autouse=True)
def skip_what_is_slow(request):
    """With `-m quick`, skips a test as it comes to what is SLOW."""
    with pytest.MonkeyPatch.context() as patch:
        for name in SLOW if request.config.option.markexpr == "quick" else ():
            patch.setattr(name, lambda *_, **__: pytest.skip("not quick"))
        yield


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """A cache folder that is the tests' own: none reads or writes the user's.

    But for matplotlib's list of fonts, which takes long to make.
    """
    variables = {
        "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache")),
        "MPLCONFIGDIR": matplotlib.get_cachedir(),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
            patch.setitem(ENVIRONMENT, name, value)
        yield


def pytest_collection_finish():
    """Has the garbage collection that ends each epoch leave out what all the imports made."""
    gc.collect()
    gc.freeze()


def write_idx(path, images):
    """Writes uint8 [N, 28, 28] as the IDX format says: big-endian magic, count, rows, columns."""
    path.write_bytes(struct.pack(">iiii", 2051, *images.shape) + images.tobytes())


def write_labels(path, labels):
    """Writes labels as an IDX file."""
    path.write_bytes(struct.pack(">ii", 2049, len(labels)) + labels.astype(np.uint8).tobytes())


@pytest.fixture(autouse=True)
def seeded():
    """Each test draws the same random numbers, whatever ran before it."""
    random.seed(0)
    np.random.seed(0)
    if "tensorflow" in sys.modules:
        sys.modules["tensorflow"].random.set_seed(0)


@pytest.fixture(autouse=True)
def forgotten_graphs():
    """Lets go of a test's graphs, which TensorFlow keeps for ever for their optimizers' sake.

    An optimizer sums gradients over replicas by a function with a gradient of its own, which is
    registered under a new name in each graph. Each garbage collection would look at all of them.
    """
    yield
    if "tensorflow" in sys.modules:
        gradients = sys.modules["tensorflow.python.framework.ops"].gradient_registry._registry
        for name in [name for name in gradients if name.startswith("CustomGradient-")]:
            del gradients[name]


@pytest.fixture
def labeled_digits(tmp_path):
    """A folder with 1,500 training and 1,500 test digits and their labels, as IDX files."""
    folder = tmp_path / "labeled"
    folder.mkdir()
    with np.load(ROOT / "dcgan_tf" / "datasets" / "mnist.npz") as mnist:
        for part, name in (("train", "train"), ("test", "t10k")):
            write_idx(folder / f"{name}-images-idx3-ubyte", mnist[f"x_{part}"][:1500])
            write_labels(folder / f"{name}-labels-idx1-ubyte", mnist[f"y_{part}"][:1500])
    return folder


@pytest.fixture
def zeros_and_ones(tmp_path):
    """A folder with a folder for each of two classes of real digits, and held-out ones."""
    with np.load(ROOT / "dcgan_tf" / "datasets" / "mnist.npz") as archive:
        digits, labels = archive["x_train"][:5000], archive["y_train"][:5000]
    for split, part in (("train", slice(0, 2500)), ("test", slice(2500, 5000))):
        for label in range(2):
            folder = tmp_path / "zeros_and_ones" / split / str(label)
            folder.mkdir(parents=True)
            np.save(folder / "digits.npy", digits[part][labels[part] == label])
    return tmp_path / "zeros_and_ones"


@pytest.fixture(scope="session")
def mnist():
    """The real MNIST, as the file has it: uint8 [60000, 28, 28]."""
    with np.load(ROOT / "dcgan_tf" / "datasets" / "mnist.npz") as archive:
        return archive["x_train"]


@pytest.fixture(scope="session")
def mnist_labels():
    """The classes of its digits, uint8 [60000]."""
    with np.load(ROOT / "dcgan_tf" / "datasets" / "mnist.npz") as archive:
        return archive["y_train"]


@pytest.fixture(scope="session")
def digits_dir(tmp_path_factory, mnist):
    """A folder with 50 real digits: 6 batches of 8, and 2 left over."""
    folder = tmp_path_factory.mktemp("digits")
    write_idx(folder / "train-images-idx3-ubyte", mnist[:50])
    return folder


def train_command(run_dir, digits_dir, *flags):
    """The command of a small run: 2 epochs of 6 steps, saved every 2 steps."""
    return [
        sys.executable,
        str(ROOT / "train.py"),
        f"--data_dir={digits_dir}",
        f"--run_dir={run_dir}",
        f"--batch_size={BATCH_SIZE}",
        "--epochs=2",
        "--checkpoint_steps=2",
        *RESOLVED,
        *flags,
    ]


def start(command, **environment):
    """Starts a command as a user would; `communicate()` gives what it printed."""
    return subprocess.Popen(
        command,
        env=ENVIRONMENT | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fork(command, hook=None, **environment):
    """Starts a command in a fork, which has its imports already."""
    return Fork(command, ENVIRONMENT | environment, hook)


def finish(command, timeout=240, how=start):
    """Runs a command to its end; returns its code, output and errors."""
    process = how(command)
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


@pytest.fixture
def run_main(monkeypatch, capsys):
    """Runs a command's `main` within this process; returns its code, output and errors."""

    def call(module, *flags):
        import keras

        from dcgan_tf.commands.program import run

        # A new process counts its layers from one, too.
        keras.utils.clear_session(free_memory=False)
        monkeypatch.setattr(sys, "argv", [f"{module.__name__}.py", *map(str, flags)])
        with pytest.raises(SystemExit) as exit:
            run(module.main)
        captured = capsys.readouterr()
        return exit.value.code, captured.out, captured.err

    return call


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory, digits_dir):
    """A run of 12 steps that nothing interrupted, made by a process of its own."""
    run_dir = tmp_path_factory.mktemp("runs") / "finished"
    code, _, err = finish(train_command(run_dir, digits_dir), how=fork)
    assert code == 0 and err == "", err
    return run_dir


@pytest.fixture(scope="session")
def traced_trainer(tmp_path_factory, mnist):
    """A trainer whose step is traced once for all tests, and where its first state is."""
    from dcgan_tf.settings.config import Config
    from dcgan_tf.training import Trainer

    trainer = Trainer(Config(batch_size=BATCH_SIZE, seed=3), mnist[:50, ..., np.newaxis])
    return trainer, trainer.state.write(str(tmp_path_factory.mktemp("trainer") / "start"))


@pytest.fixture
def trainer(traced_trainer):
    """A trainer of the tutorial's models on 50 digits, 8 a step, with seed 3, that took no step."""
    trainer, start = traced_trainer
    trainer.state.read(start).assert_consumed()
    return trainer


@pytest.fixture
def few_evaluated(monkeypatch):
    """Has trainings on digits evaluated with 300 images, not 5,000."""
    from dcgan_tf.evaluation.feature_extractors import FEATURE_EXTRACTORS
    from dcgan_tf.settings.config import Config

    classifier = FEATURE_EXTRACTORS["mnist_classifier"](Config())._replace(training_images=300)
    monkeypatch.setitem(FEATURE_EXTRACTORS, "mnist_classifier", lambda config: classifier)


def one_sentence(text):
    """Whether an error is a single line, and no traceback."""
    return text.count("\n") == 1 and "Traceback" not in text
