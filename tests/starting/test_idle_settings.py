"""Settings without effect are refused, and so are values in Python that flags can't have."""

import dataclasses
import json

import numpy as np
import pytest

import dcgan_tf
from dcgan_tf.commands import train
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from tests.conftest import RESOLVED, one_sentence

NO_BATCH_NORM = {"generator_batch_norm": False}
IDLE = [
    ({"discriminator_batch": "joint"}, "discriminator_batch=joint` only affects"),
    ({"batch_norm_momentum": 0.9} | NO_BATCH_NORM, "batch_norm_momentum` is for batch norm"),
    ({"batch_norm_epsilon": 0.1} | NO_BATCH_NORM, "batch_norm_epsilon` is for batch norm"),
    ({"sync_batch_norm": True} | NO_BATCH_NORM, "sync_batch_norm` is for batch norm"),
    (
        {
            "learning_rate": 0.1,
            "generator_learning_rate": 0.2,
            "discriminator_learning_rate": 0.3,
        },
        "learning_rate` is overridden by both models",
    ),
    ({"cache_dir": "x"}, "cache_dir` is for `dataset` folder"),
    ({"channels": 4}, "channels` is for `dataset` folder"),
    ({"max_bad_images": 0.5}, "max_bad_images` is for `dataset` folder"),
]


@pytest.mark.parametrize("given, expected", IDLE)
def test_settings_without_effect_are_refused(given, expected):
    with pytest.raises(UserError, match=expected):
        Config.from_flags(given)
    Config(**given)  # as an older run has it


@pytest.mark.parametrize("given, expected", IDLE)
def test_older_runs_with_settings_without_effect_are_read(given, expected, tmp_path):
    run = RunDirectory(tmp_path)
    run.write_config(Config(**given), {"number": 1, "shape": [28, 28, 1], "sha256": ""})
    values = json.loads(run.config_file.read_text())
    assert run.read_config()[0] == Config(**given) and given.items() <= values.items()
    assert run.resumed_config({"epochs": 99}).epochs == 99


@pytest.mark.parametrize(
    "given",
    [
        {"preset": "upsample", "discriminator_batch_norm": False},  # the preset brings joint
        {"discriminator_batch": "joint", "discriminator_batch_norm": True},
        {"discriminator_batch": "separate"},
        {"batch_norm_momentum": 0.9},
        {"learning_rate": 0.1, "generator_learning_rate": 0.2},
        {"generator_learning_rate": 0.2, "discriminator_learning_rate": 0.3},
        {"dataset": "folder", "cache_dir": "x", "max_bad_images": 0.5},
    ],
)
def test_settings_with_an_effect_are_accepted(given):
    Config.from_flags(given)


@pytest.mark.parametrize("given", [{"cache_dir": "x"}, {"max_bad_images": 0.5}])
def test_a_resumed_run_refuses_what_a_new_run_refuses(given, tmp_path):
    run = RunDirectory(tmp_path)
    described = {"number": 1, "shape": [28, 28, 1], "sha256": ""}
    run.write_config(Config(), described)
    with pytest.raises(UserError, match="is for `dataset` folder( or arrays)?, not for mnist"):
        run.resumed_config(given)
    run.write_config(Config(dataset="folder"), described)
    assert given.items() <= dataclasses.asdict(run.resumed_config(given)).items()


@pytest.mark.thorough
def test_sync_batch_norm_on_one_device_is_refused_for_a_new_run(run_main, labeled_digits, tmp_path):
    flags = [f"--data_dir={labeled_digits}", f"--run_dir={tmp_path / 'run'}", "--strategy=one"]
    flags += ["--batch_size=8", "--base_filters=2", "--eval_every=0", "--max_steps=1", *RESOLVED]
    code, _, err = run_main(train, *flags, "--sync_batch_norm")
    assert code == 1 and "--sync_batch_norm is for several replicas" in err and one_sentence(err)
    assert not (tmp_path / "run").exists()
    assert run_main(train, *flags)[0] == 0
    # A run that began on several devices goes on with one.
    config_file = tmp_path / "run" / "config.json"
    values = json.loads(config_file.read_text()) | {"sync_batch_norm": True}
    config_file.write_text(json.dumps(values))
    code, out, err = run_main(train, f"--run_dir={tmp_path / 'run'}", "--max_steps=2")
    assert code == 0 and "resumed after step 1" in out, err


def test_reference_brings_along_in_python_what_it_computes_in():
    config = Config(reference=True)
    assert (config.precision, config.convolutions) == ("float32", "native")
    assert config == Config.from_flags({"reference": True}) == Config.from_preset(reference=True)
    with pytest.raises(UserError, match="`reference` uses float32"):
        Config(reference=True, precision="bfloat16")


def test_wasserstein_says_in_python_what_brings_along_what_it_needs():
    message = (
        r"needs `weight_clip` or `gradient_penalty`.* Config\.from_preset\(loss='wasserstein'\)"
    )
    with pytest.raises(UserError, match=message):
        Config(loss="wasserstein")
    config = Config.from_preset(loss="wasserstein")
    assert (config.discriminator_steps, config.weight_clip) == (5, 0.01)


@pytest.mark.parametrize(
    "values",
    [
        {"data_dir": np.array(["a", "b"])},
        {"data_dir": np.array(["a"])},
        {"data_dir": np.zeros([99, 99])},
        {"data_dir": ["a", "b"]},
        {"epochs": np.array([1, 2])},
        {"epochs": True},
        {"learning_rate": np.array([])},
        {"dropout": False},
        {"dataset": np.array(["mnist", "folder"])},
        {"augment": {"color"}},
    ],
)
def test_errors_about_values_of_other_types_are_one_line(values):
    (name,) = values
    with pytest.raises(dcgan_tf.UserError, match=f"^`{name}` must be ") as error:
        Config(**values)
    assert "\n" not in str(error.value)


def test_numpy_numbers_are_accepted():
    config = Config(epochs=np.int64(3), learning_rate=np.float32(0.5), noise_dim=np.array(7))
    assert (config.epochs, config.learning_rate, config.noise_dim) == (3, 0.5, 7)
    assert all(type(value) is not np.ndarray for value in dataclasses.astuple(config))
