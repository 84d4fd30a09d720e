import dataclasses
import functools

import numpy as np
import pytest

from dcgan_tf.models import make_discriminator
from dcgan_tf.settings.choices import DATASETS
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.settings.presets import PRESETS


def test_defaults_are_the_tutorials():
    config = Config()
    assert (config.dataset, config.epochs, config.batch_size) == ("mnist", 50, 256)
    assert (config.learning_rate, config.beta_1, config.noise_dim) == (1e-4, 0.9, 100)


@pytest.mark.parametrize(
    "name, value",
    [
        ("dataset", "cats"),
        ("epochs", 0),
        ("epochs", "3"),
        ("epochs", 10**19),
        ("batch_size", -1),
        ("max_steps", 0),
        ("checkpoint_steps", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("beta_1", 1.0),
        ("noise_dim", 0),
        ("seed", -1),
        ("seed", 2**31),
        ("data_dir", 5),
    ],
)
def test_impossible_value_is_refused_by_name(name, value):
    with pytest.raises(UserError, match=f"`{name}` must be .*{value!r}"):
        Config(**{name: value})


def test_numpys_numbers_and_paths_are_taken(tmp_path):
    config = Config(batch_size=np.int64(8), beta_1=np.float64(0.5), data_dir=tmp_path)
    assert config == Config(batch_size=8, beta_1=0.5, data_dir=str(tmp_path))
    assert [type(each) for each in (config.batch_size, config.beta_1)] == [int, float]


@pytest.mark.parametrize("name", PRESETS)
def test_flags_override_their_preset(name):
    config = Config.from_flags({"preset": name, "batch_size": 7, "dropout": 0.1})
    assert (config.preset, config.batch_size, config.dropout) == (name, 7, 0.1)
    others = {"batch_size", "dropout"}
    rest = {k: v for k, v in PRESETS[name].items() if k not in others}
    assert {k: getattr(config, k) for k in rest} == rest


def test_paper_preset_is_the_papers():
    config = Config.from_flags({"preset": "paper"})
    assert (config.learning_rate, config.beta_1, config.batch_size) == (2e-4, 0.5, 128)
    assert (config.initializer_stddev, config.negative_slope, config.dropout) == (0.02, 0.2, 0)
    assert (config.noise, config.image_size) == ("uniform", 64)


@pytest.mark.parametrize(
    ("given", "epochs", "max_steps"),
    [({}, 10**6, 30_000), ({"epochs": 7}, 7, None), ({"epochs": 7, "max_steps": 3}, 7, 3)],
)
def test_epochs_take_the_place_of_a_presets_steps(given, epochs, max_steps):
    config = Config.from_flags({"preset": "small"} | given)
    assert (config.epochs, config.max_steps) == (epochs, max_steps)


@pytest.mark.parametrize(
    ("given", "steps", "decay"),
    [
        ({}, 23_430, (11_430, 12_000)),
        ({"max_steps": 500}, 500, (11_430, 12_000)),
        ({"epochs": 7}, None, (0, None)),
        ({"epochs": 7, "decay_from": 10, "decay_steps": 20}, None, (10, 20)),
    ],
)
def test_epochs_take_the_place_of_a_presets_decay(given, steps, decay):
    config = Config.from_flags({"preset": "photographs"} | given)
    assert (config.max_steps, (config.decay_from, config.decay_steps)) == (steps, decay)


@pytest.mark.parametrize(
    ("given", "has"),
    [
        ({}, True),
        ({"conditional": True}, True),
        ({"auxiliary_weight": 0.0}, False),
        ({"label_input": "concat"}, False),
        ({"clusters": 0}, False),
    ],
)
def test_a_presets_auxiliary_classifier_needs_a_projection(given, has):
    config = Config.from_flags({"preset": "photographs"} | given)
    assert config.has_auxiliary_classifier == has


def test_unknown_preset_names_all():
    with pytest.raises(UserError, match="one of tutorial, fast, digits, .*, small, not 'big'"):
        Config.from_flags({"preset": "big"})


def test_unknown_dataset_names_all():
    with pytest.raises(UserError) as error:
        Config(dataset="cats")
    assert all(name in str(error.value) for name in DATASETS)


def test_a_file_may_have_old_names_but_no_unknown_ones():
    old = {"leaky_slope": 0.2, "steps_per_call": 4, "convolutions": "phases", "real_penalty": 3.0}
    new = {"negative_slope": 0.2, "steps_per_execution": 4, "convolutions": "subpixel"}
    config = Config(**new, r1_gamma=3.0)
    assert Config(**Config.with_new_names(old)) == Config.from_flags(old) == config
    assert Config.unknown(dataclasses.asdict(config) | old) == []
    assert Config.unknown(old | {"sped": 1, "sneed": 1}) == ["sneed", "sped"]


def test_an_old_name_in_python_is_answered_by_the_new_one():
    for make in (Config, functools.partial(dataclasses.replace, Config())):
        with pytest.raises(UserError, match="`real_penalty` is now called `r1_gamma`"):
            make(real_penalty=1.0)


def test_a_preset_in_python_is_that_of_the_command():
    flags = {"preset": "paper", "epochs": 3}
    assert Config.from_preset("paper", epochs=3) == Config.from_flags(flags)
    assert Config.from_preset(epochs=3) == Config(epochs=3)


def test_only_settings_that_change_the_result_count_as_differences():
    config = Config(precision="bfloat16")
    free = Config(epochs=3, max_steps=9, checkpoint_steps=5, data_dir="/elsewhere")
    assert config.differences(dataclasses.asdict(free)) == []
    assert config.differences({}) == []
    given = {"preset": "fast", "batch_size": 64, "precision": "float32", "seed": 7}
    assert config.differences(given) == [
        "`preset` was tutorial, is fast",
        "`batch_size` was 256, is 64",
        "`seed` was 0, is 7",
        "`precision` was bfloat16, is float32",
    ]


def test_a_size_has_one_form_however_it_is_given():
    for given in ("64x128", "64X128", (64, 128), [64, 128]):
        assert Config(image_size=given).image_size == "64x128"
    for given in (64, "64", "64x64", (64, 64), np.int64(64)):
        assert Config(image_size=given).image_size == 64
    assert Config(image_size="64x128").height_and_width == (64, 128)
    assert Config.from_flags({"image_size": "64x128"}).default_run_dir().endswith("_size=64x128")
    same = Config.with_new_names({"image_size": "64"})
    assert Config(image_size=64).differences(same) == []


@pytest.mark.parametrize("size", [0, True, 2.5, "wide", (64, 128, 3), (64, 9000), "0x64"])
def test_a_size_of_no_image_is_refused(size):
    with pytest.raises(UserError, match="`image_size` must be a whole number .* HEIGHTxWIDTH, not"):
        Config(image_size=size)


def test_settings_of_models_are_all_that_weights_are_computed_with():
    assert {"negative_slope", "batch_norm_epsilon", "kernel_size"} < {*Config.of_models()}
    assert not {"dropout", "batch_norm_momentum", "epochs", "seed"} & {*Config.of_models()}


def test_run_goes_on_by_its_own_settings_but_for_how_long_and_where():
    config = Config(epochs=2, max_steps=9, seed=3)
    assert config.resumed({}) == config.resumed({"seed": 3, "precision": "auto"}) == config
    assert config.resumed({"epochs": 4}) == Config(epochs=4, seed=3)
    assert config.resumed({"epochs": 4, "max_steps": 20}) == Config(epochs=4, max_steps=20, seed=3)
    assert config.resumed({"device": "cpu"}) == dataclasses.replace(config, device="cpu")
    assert Config(device="gpu", strategy="multi_worker").resumed({}) == Config()


def test_default_run_dir_names_what_was_changed():
    assert Config().default_run_dir() == "runs/mnist"
    assert Config(epochs=3).default_run_dir() == "runs/mnist"
    assert Config(seed=1, beta_1=0.5).default_run_dir() == "runs/mnist-beta_1=0.5-seed=1"
    paper = Config.from_flags({"preset": "paper", "beta_1": 0.4})
    assert paper.default_run_dir() == "runs/mnist-paper-beta_1=0.4"
    tuned = Config(init_from="runs/mnist-paper/")
    assert tuned.default_run_dir() == "runs/mnist-init_from=mnist-paper"


def test_default_run_dir_is_no_longer_than_a_file_system_takes():
    """Runs of other settings have other folders, even where the names begin alike."""
    paper = dict(PRESETS["paper"], loss="hinge", ema_decay=0.5)
    names = [Config(seed=seed, **paper).default_run_dir() for seed in (0, 1, 1)]
    assert all(len(name.encode()) < 255 for name in names)
    assert names[0] != names[1] == names[2]


@pytest.mark.parametrize(
    "given, expected",
    [
        (
            {"preset": "paper", "gradient_penalty": 10.0},
            "`gradient_penalty` needs .* independently",
        ),
        ({"gradient_penalty": 10.0, "weight_clip": 0.1}, "serve the same purpose"),
        ({"r1_gamma": 1.0, "sync_batch_norm": True}, "leave out `sync_batch_norm`"),
        ({"preset": "small", "reference": True}, "batch norm, whose second derivative is wrong"),
        (
            {"preset": "paper", "unroll_steps": 1, "reference": True},
            "batch norm, whose second derivative is wrong",
        ),
        ({"reference": True, "convolutions": "subpixel"}, "`precision=float32` and `convol"),
        ({"reference": True, "precision": "bfloat16"}, "`reference` uses float32"),
        (
            {"loss": "hinge", "label_smoothing": 0.1},
            "`loss=hinge` has no target: .* bce, minimax, least",
        ),
        ({"fade_in": 100}, "`fade_in` grows another run: set `init_from`"),
        ({"pack": 3}, "`batch_size=256` is not a multiple of `pack=3`"),
        ({"init_from": ""}, "`init_from` is empty: set a value, or leave it out"),
        ({"held_out": 0.5}, "`held_out` is for `dataset` folder or arrays, not for mnist"),
        ({"dataset": "tfrecords", "fit": "pad"}, "`fit` is for `dataset` folder"),
    ],
)
def test_combination_that_makes_no_sense_is_refused_with_the_reason(given, expected):
    with pytest.raises(UserError, match=expected):
        Config.from_flags(given)


def test_what_a_preset_brings_can_be_left_out():
    config = Config.from_flags({"preset": "small", "unroll_steps": 2, "r1_gamma": 0.0})
    assert not config.r1_gamma and config.augment == "color,translation"
    glorot = Config.from_flags({"preset": "paper", "initializer_stddev": 0.0, "image_size": 8})
    kernel = make_discriminator(glorot, (8, 8, 1)).layers[0].kernel.numpy()
    # Uniform within ± √(6 / (fan in + fan out)), for a kernel of 4×4 from 1 channel to 64.
    assert kernel.std() == pytest.approx((2 / (16 * (1 + 64))) ** 0.5, rel=0.1)


def test_wasserstein_brings_what_it_needs():
    config = Config.from_flags({"loss": "wasserstein"})
    assert (config.discriminator_steps, config.weight_clip) == (5, 0.01)
    assert config.images_per_step == 5 * 256
    config = Config.from_flags({"loss": "wasserstein", "gradient_penalty": 10.0})
    assert (config.discriminator_steps, config.weight_clip) == (5, None)
    with pytest.raises(UserError, match="needs `weight_clip` or `gradient_penalty`"):
        Config(loss="wasserstein")
