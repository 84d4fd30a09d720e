"""Images that a program passes: accepted forms, errors, and runs on them."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import dcgan_tf
from dcgan_tf.commands import evaluate, sample, train
from dcgan_tf.data import make_batches
from dcgan_tf.datasets import passed
from dcgan_tf.datasets.disk_images import DiskImages, fingerprint
from dcgan_tf.datasets.passed import read_passed
from dcgan_tf.settings.choices import ARCHITECTURES
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.training import Trainer
from tests.small import DENSE

ARRAYS = Config(dataset="arrays", held_out=0.0)
LABELED = Config(dataset="arrays", conditional=True)


class Iterated:
    """An iterable of images of unknown length."""

    def __init__(self, make):
        self.make = make

    def __iter__(self):
        return iter(self.make())


class Sequence:
    """A sequence without an iterator, like an old `keras.utils.PyDataset`."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index % len(self.items)]


@pytest.fixture
def digits(mnist):
    """150 real digits, uint8 [150, 28, 28]: two and a half chunks."""
    return mnist[:150]


FORMS = {
    "wide": lambda x: {"images": x[:, :20]},
    "with channels": lambda x: {"images": x[..., np.newaxis]},
    "gray": lambda x: {"images": x},
    "tensor": lambda x: {"images": tf.constant(x)},
    "list of arrays": lambda x: {"images": [*x]},
    "list of pictures": lambda x: {"images": [Image.fromarray(each) for each in x]},
    "iterated": lambda x: {"images": Iterated(lambda: x)},
    "sequence": lambda x: {"images": Sequence([*x])},
    "dataset": lambda x: {"images": tf.data.Dataset.from_tensor_slices(x[..., np.newaxis])},
    "batches": lambda x: {"images": tf.data.Dataset.from_tensor_slices(x[..., None]).batch(40)},
    "pairs": lambda x: {"images": [*zip(x, range(len(x)))]},
    "in [0, 1]": lambda x: {"images": x / 255, "value_range": (0, 1)},
    "in [-1, 1]": lambda x: {"images": x.astype("f") / 127.5 - 1, "value_range": (-1, 1)},
    "int64": lambda x: {"images": x.astype(int), "value_range": (0, 255)},
}


@pytest.mark.parametrize("form", FORMS)
def test_images_are_the_same_in_every_form(digits, form):
    found = read_passed(ARRAYS, **FORMS[form](digits)).images["train"]
    np.testing.assert_array_equal(found, digits[:, : found.shape[1], :, np.newaxis])
    assert found.shape[1] == 28 or form == "wide"


def test_held_out_images_stay_held_out_when_more_are_added(digits):
    numbered = np.broadcast_to(np.arange(150, dtype="u1")[:, None, None, None], (150, 4, 4, 3))
    config = Config(dataset="arrays", held_out=0.2)
    few, all_of_them = (read_passed(config, numbered[:count]).images for count in (100, 150))
    few, all_of_them = (
        {split: images[:, 0, 0, 0] for split, images in each.items()} for each in (few, all_of_them)
    )
    assert sorted(np.concatenate([*all_of_them.values()])) == [*range(150)]
    assert {*few["test"]} < {*all_of_them["test"]} and {*few["train"]} < {*all_of_them["train"]}
    assert 15 <= len(all_of_them["test"]) <= 45


@pytest.mark.parametrize("own", [False, True], ids=["beside", "in pairs"])
@pytest.mark.parametrize("kind", [int, str, bytes])
def test_labels_are_the_ids_of_their_classes(digits, own, kind):
    labels = np.arange(150) % 3 * 5 + 2  # 2, 7, 12
    named = labels.astype(kind) if kind is not bytes else labels.astype("S")
    images = tf.data.Dataset.from_tensor_slices((digits, named)).batch(32) if own else digits
    if own:
        images = images.map(lambda image, label: (image[..., tf.newaxis], label))
    found = read_passed(LABELED, images, None if own else named)
    names = ["2", "7", "12"] if kind is int else ["12", "2", "7"]
    assert found.class_names == names
    assert sum(map(len, found.images.values())) == 150
    for split, pixels in found.images.items():
        assert len(found.labels[split]) == len(pixels) > 0
        for image, label in zip(pixels, found.labels[split]):
            (index, *_) = np.flatnonzero((digits == image[..., 0]).all((1, 2)))
            assert names[label] == str(labels[index])


def test_large_sets_go_to_a_file_that_is_deleted_with_them(digits, tmp_path, monkeypatch):
    config = Config(dataset="arrays", cache_dir=str(tmp_path), held_out=0.4)
    in_memory = read_passed(config, digits).images
    monkeypatch.setattr(passed, "MEMORY_LIMIT", 70 * 28 * 28)
    found = read_passed(config, digits).images
    assert isinstance(found["train"], DiskImages) and isinstance(found["test"], np.ndarray)
    assert not [*tmp_path.iterdir()]
    for split in found:
        np.testing.assert_array_equal(found[split][:], in_memory[split])
    with pytest.raises(UserError, match="may never end: set their length"):
        read_passed(config, Iterated(lambda: itertools.cycle(digits)))


ONE_HOT = np.eye(10)[np.arange(150) % 10]


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x: {"images": x / 255.0}, "float64, with values such as 0 and 1: pass the"),
        (lambda x: {"images": (x / 255).astype("u1")}, "no value above 1, but white is 255"),
        (lambda x: {"images": x.astype(int)}, "`images` are int64, with values such as 0 and 255"),
        (lambda x: {"images": x / 255, "value_range": (-1, 0.5)}, "outside `value_range=.-1, 0.5"),
        (lambda x: {"images": x / np.nan, "value_range": (0, 1)}, "infinite or not a number"),
        (lambda x: {"images": x / 255, "value_range": (1, 0)}, "values of black and white, such"),
        (lambda x: {"images": x / 255, "value_range": 1}, "values of black and white, such as"),
        (lambda x: {"images": x * 1j}, "`images` must be numbers, not complex128"),
        (lambda x: {"images": x[:0]}, "`images` are empty"),
        (lambda x: {"images": []}, "`images` are empty"),
        (lambda x: {"images": x[0]}, r"one has the shape \[28\]"),
        (lambda x: {"images": x.reshape(150, -1)}, r"one has the shape \[784\]"),
        (lambda x: {"images": np.stack([x[0]] * 3, -1)}, r"a batch, but \[…, 28, 3\] is one"),
        (lambda x: {"images": np.stack([x] * 5, -1)}, r"one has the shape \[28, 28, 5\]"),
        (lambda x: {"images": [x[0], x[1, :20, :20]]}, r"shapes, \[28, 28, 1\] and \[20, 20, 1\]"),
        (lambda x: {"images": [[1, 2], [3]]}, "`images` can't be read as arrays|has the shape"),
        (lambda x: {"images": "faces/"}, "not str; for pictures in a folder, use `dataset=folder`"),
        (lambda x: {"images": 5}, "or a list of images, not int"),
        (lambda x: {"images": np.array(5)}, "or a list of images, not ndarray"),
        (
            lambda x: {"images": [{"image": x[0], "label": 3}]},
            "dictionaries with the keys image, label: ",
        ),
        (lambda x: {"images": [Image.fromarray(x[0]).convert("P")]}, "a picture of mode P"),
        (lambda x: {"images": (each for each in x)}, "generator, which can be read only once"),
        (lambda x: {"images": tf.data.Dataset.from_tensor_slices(x).repeat()}, "never end"),
        (
            lambda x: {"images": tf.data.Dataset.from_tensor_slices(x).shuffle(150)},
            "come in a different order each time, so a run could not be resumed: leave out",
        ),
        (lambda x: {"images": x, "labels": range(149)}, "there are 149 `labels` for 150 `images`"),
        (lambda x: {"images": x, "labels": ONE_HOT}, r"\[N\], not float64 \[150, 10\]"),
        (lambda x: {"images": x, "labels": ONE_HOT[:, 0]}, r"\[N\], not float64 \[150\]"),
        (lambda x: {"images": [*zip(x, ONE_HOT)]}, r"label of shape \[10\] with 1 images: pass"),
        (lambda x: {"images": [*zip(x, range(150))], "labels": range(150)}, "already have labels"),
        (lambda x: {"labels": range(150)}, "describe `images`: pass those, too"),
    ],
)
def test_what_is_not_images_is_refused_in_one_sentence(digits, change, message):
    with pytest.raises(UserError, match=message) as error:
        read_passed(LABELED, **{"images": None} | change(digits))
    assert "\n" not in str(error.value)


def test_images_and_settings_that_exclude_each_other(digits):
    with pytest.raises(UserError, match="the config has `dataset=mnist`"):
        read_passed(Config(), digits)
    with pytest.raises(UserError, match="`labels` are for `conditional=True`"):
        read_passed(ARRAYS, digits, range(150))
    with passed.passing(read_passed(LABELED, digits)), pytest.raises(UserError, match="have none"):
        passed.load_passed_labels(LABELED, "train")
    with pytest.raises(UserError, match="`data_dir` is not for `dataset` arrays"):
        Config.from_preset(dataset="arrays", data_dir="x")
    with pytest.raises(UserError, match="`held_out` is for `dataset` folder or arrays, not for mn"):
        Config.from_preset(held_out=0.5)


@pytest.mark.parametrize(
    "images, labels, message",
    [
        (np.ones((9, 28, 28, 1)), None, r"uint8 \[N, H, W, C\] in \[0, 255\], not float64"),
        (np.ones((9, 28, 28), "u1"), None, r"not uint8 \[9, 28, 28\]"),
        (np.ones((9, 28, 28, 1), "u1"), np.ones(8, int), r"`labels` must be \[9\], one per image"),
    ],
)
def test_batches_and_trainers_refuse_what_is_not_images(images, labels, message):
    with pytest.raises(UserError, match=message):
        make_batches(images, Config(batch_size=4), 0, 1, labels=labels)
    if labels is None:
        with pytest.raises(UserError, match=message):
            Trainer(Config(batch_size=4), images)


@pytest.fixture
def settings(monkeypatch):
    """Of a small conditional run, 3 steps per epoch."""
    monkeypatch.setitem(ARCHITECTURES, "dense", DENSE)
    return {
        "dataset": "arrays",
        "architecture": "dense",
        "conditional": True,
        "image_size": 14,
        "batch_size": 40,
        "epochs": 2,
        "eval_every": 1,
        "held_out": 0.2,
        "precision": "float32",
        "convolutions": "native",
    }


def test_a_run_on_arrays_resumes_only_with_the_same_arrays(digits, settings, tmp_path, run_main):
    data = {"images": digits / 255, "labels": np.arange(150) % 2, "value_range": (0, 1)}
    run = dcgan_tf.train(Config(**settings | {"max_steps": 3}), tmp_path / "run", **data)
    assert run.classes.names == ("0", "1") and sum(run.classes.counts) < 150
    found = run.evaluate(20)
    config = run.config
    again = dcgan_tf.load_run(run.path)
    assert again.step == run.step == 3 and again.evaluate(20, **data) == found
    with pytest.raises(UserError, match="images only in Python: pass them"):
        again.evaluate(20)
    with pytest.raises(UserError, match="does not hold the images that"):
        again.evaluate(20, **data | {"images": digits[::-1] / 255})
    with pytest.raises(UserError, match="was trained on other images: 1"):
        dcgan_tf.train(config, run.path, **data | {"images": digits[::-1] / 255})
    with pytest.raises(UserError, match="was trained on other images"):
        dcgan_tf.train(config, run.path, **data | {"labels": 1 - data["labels"]})
    for command in (train, evaluate):
        code, _, err = run_main(command, f"--run_dir={run.path}")
        assert code == 1 and err.count("\n") == 1
        assert "--dataset=arrays takes images only in Python: pass them as in dcgan" in err
    output = tmp_path / "x.png"
    code, _, err = run_main(sample, f"--run_dir={run.path}", f"--output={output}", "--label=1")
    assert code == 0 and output.is_file(), err
    assert dcgan_tf.train(Config(**settings), run.path, **data).step == 6


def test_a_run_that_python_starts_without_images_leaves_nothing(settings, tmp_path):
    with pytest.raises(UserError, match="pass them as in"):
        dcgan_tf.train(Config(**settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_fingerprint_is_that_of_the_pixels(digits, settings, tmp_path):
    """Images on disk have the same fingerprint as in memory."""
    one = read_passed(ARRAYS, digits).images["train"]
    assert fingerprint(one) == fingerprint(digits[..., np.newaxis])
