"""The labels of datasets, and their classes."""

import zipfile

import imageio.v3 as iio
import numpy as np
import pytest

from dcgan_tf.conditional.labels import NO_CLASSES, Classes, Labels
from dcgan_tf.datasets import disk_images
from dcgan_tf.datasets.loading import load_images, load_labels, load_split, load_training_labels
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError

SHADES = {"cats/a.png": 10, "cats/kittens/b.png": 20, "dogs/c.png": 110, "eels/d.png": 210}


def write_images(folder, names=SHADES):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        iio.imwrite(path, np.full((8, 8), SHADES.get(name, 0), np.uint8))


def config_of(source, **settings):
    defaults = {"held_out": 0.0, "batch_size": 2, "image_size": 8, "max_bad_images": 0.5}
    given = {"dataset": "folder", "data_dir": str(source), "conditional": True}
    given["cache_dir"] = str(source.parent / "cache")
    return Config(**defaults | given | settings)


@pytest.mark.parametrize("kind", ["folder", "folder in a folder", "zip"])
def test_folders_are_classes(tmp_path, kind):
    source = tmp_path / "images"
    write_images(source / "all" if kind == "folder in a folder" else source)
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
            for name in SHADES:
                archive.write(source / name, f"images/{name}")
        source = tmp_path / "images.zip"
    config = config_of(source)
    images = load_images(config)
    labels = load_training_labels(config, images)
    assert labels.names == ["cats", "dogs", "eels"]
    # A shade's hundreds are the number of its class.
    np.testing.assert_array_equal(labels.ids, images[:][:, 0, 0, 0] // 100)
    assert labels.classes == Classes(labels.names, [2, 1, 1])
    assert isinstance(images, disk_images.DiskImages), "decoded once, for images and labels"


def test_damaged_images_have_no_label(tmp_path):
    write_images(tmp_path / "images")
    (tmp_path / "images" / "cats" / "a.png").write_bytes(b"no image")
    config = config_of(tmp_path / "images")
    images = load_images(config)
    labels = load_training_labels(config, images)
    assert len(images) == 3 and labels.ids.tolist() == [0, 1, 2]


def test_no_class_is_called_all(tmp_path):
    write_images(tmp_path / "images", ["all/a.png", "cats/b.png"])
    config = config_of(tmp_path / "images")
    images = load_images(config)
    with pytest.raises(UserError, match="a class can't be called all, because `label` all means"):
        load_training_labels(config, images)


def test_classes_are_those_of_both_splits(tmp_path):
    source = tmp_path / "images"
    for number in range(60):
        path = source / f"{number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        iio.imwrite(path, np.full((8, 8), number % 3, np.uint8))
    config = config_of(source, held_out=0.3)
    for split in ("train", "test"):
        images = load_split(config, split)
        np.testing.assert_array_equal(load_labels(config, split), images[:][:, 0, 0, 0])
        assert 5 < len(images) < 55


@pytest.mark.parametrize(
    "names, expected",
    [
        (["cats/a.png", "b.png", "dogs/c.png"], "b.png is not in a class folder"),
        (["cats/a.png", "cats/b.png"], "cats/a.png is not in a class folder"),
        (["a.png", "b.png"], "into two or more folders, one for each class"),
    ],
)
def test_images_in_no_folder_of_a_class_are_refused(tmp_path, names, expected):
    write_images(tmp_path / "images", names)
    config = config_of(tmp_path / "images")
    with pytest.raises(UserError, match=expected):
        load_training_labels(config, load_images(config))


def test_labels_up_to_255_are_taken(tmp_path):
    digits, labels = np.zeros((256, 8, 8), np.uint8), np.arange(256, dtype=np.uint8)
    np.savez(tmp_path / "mnist.npz", x_train=digits, y_train=labels, x_test=digits, y_test=labels)
    config = Config(conditional=True, data_dir=str(tmp_path))
    assert load_training_labels(config, digits[..., None]).classes.names[-1] == "255"


def test_run_without_conditional_has_no_labels(tmp_path):
    write_images(tmp_path / "images", ["a.png", "b.png"])
    config = config_of(tmp_path / "images", conditional=False)
    images = load_images(config)
    assert isinstance(images, np.ndarray) and load_training_labels(config, images) is None


def test_a_class_is_found_by_its_name():
    classes = Labels(np.array([0, 1, 1]), ["cat", "dog"]).classes
    assert (len(classes), classes.index("dog"), classes.counts) == (2, 1, [1, 2])
    with pytest.raises(UserError, match="`label` eel is not one of the run's classes: cat, dog$"):
        classes.index("eel")
    with pytest.raises(UserError, match="`label` 7 needs a conditional run"):
        NO_CLASSES.index("7")
    many = Classes([*map(str, range(100))], [1] * 100)
    with pytest.raises(UserError, match="28, 29, …$"):
        many.index("cat")
