"""A user's own arrays as a folder's images."""

import numpy as np
import pytest

from dcgan_tf.datasets import folder
from dcgan_tf.datasets.loading import load_images, load_labels, load_split
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from tests.datasets.test_folder import noise


def config_of(source, **settings):
    given = {"dataset": "folder", "data_dir": str(source), "image_size": 8, "batch_size": 1}
    given |= {"held_out": 0.0, "cache_dir": str(source.parent / "cache")}
    return Config.from_flags(given | settings)


def read(source, split="train", **settings):
    return load_split(config_of(source, **settings), split)[:]


COLOR, GRAY = noise(5, 8, 8, 3), noise(5, 8, 8)


@pytest.mark.parametrize(
    "values, expected",
    [
        (COLOR, COLOR),
        (COLOR[0], COLOR[:1]),
        (COLOR.transpose(0, 3, 1, 2), COLOR),
        (GRAY, GRAY[..., None]),
        (GRAY[..., None], GRAY[..., None]),
        (GRAY[0], GRAY[:1, ..., None]),
        (COLOR.astype(np.int64), COLOR),
        (GRAY > 127, np.where(GRAY > 127, np.uint8(255), np.uint8(0))[..., None]),
        ((COLOR / 255).astype(np.float32), COLOR),
        ((COLOR / 127.5 - 1).astype(np.float32), COLOR),
        ((GRAY / 255).astype(np.float16), GRAY[..., None]),
    ],
    ids=[
        *("color", "one", "channels first", "gray", "a channel", "one gray", "integers"),
        *("booleans", "0 to 1", "-1 to 1", "half"),
    ],
)
@pytest.mark.parametrize("kind", ["npy", "npz", "file"])
def test_arrays_are_images(tmp_path, values, expected, kind):
    source = tmp_path / "arrays"
    source.mkdir()
    if kind == "npz":
        np.savez(source / "a.npz", images=values)
    else:
        np.save(source / "a.npy", values)
    images = read(source / "a.npy" if kind == "file" else source)
    assert np.array_equal(images, expected)


def test_the_range_of_floats_is_that_of_all_files_and_is_reported(tmp_path):
    source = tmp_path / "arrays"
    source.mkdir()
    np.save(source / "a.npy", np.full((8, 8), 0.5, np.float32))
    assert np.isin(read(source), (127, 128)).all()
    np.save(source / "b.npy", np.full((8, 8), -1, np.float32))
    config = config_of(source)
    images = load_images(config)
    assert images[:, 0, 0, 0].tolist() == [191, 0]
    assert "its arrays are floats in [-1, 1]" in folder.folder_report(config).lines()["pictures"]


@pytest.mark.parametrize(
    "values, message",
    [
        (np.float32([[0, 200]]), "floats from 0 to 200, an ambiguous range"),
        (np.float32([[-0.1, 1]]), "floats from -0.1 to 1, an ambiguous range"),
        (np.float32([[0, np.nan]]), "an ambiguous range"),
        (np.float32([[0, np.inf]]), "an ambiguous range"),
        (np.int32([[0, 300]]), r"int32 \[1, 2\]: save it as uint8"),
        (np.int32([[-1, 100]]), r"int32 \[1, 2\]: save it as uint8"),
        (np.zeros((5, 8, 8, 2), np.uint8), r"uint8 \[5, 8, 8, 2\], not .*with 1, 3 or 4 channels"),
        (np.zeros((3, 8, 8), np.uint8), r"uint8 \[3, 8, 8\], not \[H, W\]"),
        (np.zeros((0, 8, 8), np.uint8), r"uint8 \[0, 8, 8\], not \[H, W\]"),
        (np.zeros((5, 8, 8), np.complex64), r"complex64 \[5, 8, 8\]: save it as uint8"),
    ],
)
def test_ambiguous_arrays_are_refused(tmp_path, values, message):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(UserError, match=message):
        read(tmp_path / "a.npy")


def test_code_in_an_array_is_not_run_and_a_damaged_file_is_an_error(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(UserError, match=r"a\.npy is not an intact \.npy"):
        read(tmp_path / "a.npy")
    np.savez(tmp_path / "b.npz", images=COLOR)
    content = (tmp_path / "b.npz").read_bytes()
    (tmp_path / "b.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"b\.npz is not an intact \.npz"):
        read(tmp_path / "b.npz")


def test_an_npz_of_keras_has_splits_and_labels(tmp_path):
    arrays = {"x_train": COLOR, "y_train": [[0], [1], [0], [2], [1]]}
    np.savez(tmp_path / "a.npz", **arrays, x_test=COLOR[:3] // 2, y_test=[0, 1, 2])
    config = config_of(tmp_path / "a.npz", conditional=True)
    labels = load_labels(config, "train")
    assert labels.tolist() == [0, 0, 1, 1, 2] and folder.folder_class_names(config) == [*"012"]
    assert np.array_equal(load_images(config)[:], COLOR[[0, 2, 1, 4, 3]])
    assert np.array_equal(load_split(config, "test")[:], COLOR[:3] // 2)


def test_folders_of_arrays_are_classes(tmp_path):
    for shade, name in enumerate(("cat", "dog")):
        (tmp_path / "arrays" / name).mkdir(parents=True)
        np.save(tmp_path / "arrays" / name / "many.npy", np.full((4, 8, 8), shade, np.uint8))
    config = config_of(tmp_path / "arrays", conditional=True)
    assert load_labels(config, "train").tolist() == load_images(config)[:][:, 0, 0, 0].tolist()


def test_16_bit_arrays_share_one_range(tmp_path):
    np.save(tmp_path / "a.npy", np.full((2, 8, 8), 4000, np.uint16))
    assert (read(tmp_path / "a.npy") == round(4000 / 4095 * 255)).all()


def test_changed_arrays_are_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "MEMORY_LIMIT", 0)
    for values in (COLOR, COLOR[:2], COLOR[::-1]):
        np.save(tmp_path / "a.npy", values)
        assert np.array_equal(read(tmp_path / "a.npy"), values)


def test_some_arrays_are_held_out(tmp_path):
    shades = np.arange(100, dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(8, 2)
    np.save(tmp_path / "a.npy", shades)
    train, test = (read(tmp_path / "a.npy", split, held_out=0.2) for split in ("train", "test"))
    found = np.concatenate([train, test])[:, 0, 0, 0]
    assert sorted(found) == [*range(100)] and 8 <= len(test) <= 35
