"""Reading IDX files, .npz files and CIFAR-10's binary version, and refusing bad ones."""

import gzip
import os
import struct

import numpy as np
import pytest

from dcgan_tf.datasets.arrays import (
    read_cifar10_images,
    read_cifar10_labels,
    read_images,
    read_labels,
)
from dcgan_tf.datasets.loading import load_images
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from tests.conftest import write_idx


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images.idx3-ubyte"])
@pytest.mark.parametrize("zipped", [False, True])
def test_idx_files_plain_and_gzipped(tmp_path, mnist, name, zipped):
    write_idx(tmp_path / name, mnist[:9])
    if zipped:
        plain = tmp_path / name
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
    assert np.array_equal(read_images(tmp_path, "train")[..., 0], mnist[:9])


def test_npz_in_keras_layout(tmp_path, mnist):
    np.savez(tmp_path / "digits.npz", x_train=mnist[:9], y_train=np.zeros(9))
    assert np.array_equal(read_images(tmp_path, "train")[..., 0], mnist[:9])


def test_a_missing_idx_file_is_not_replaced_by_an_npz(tmp_path, mnist):
    both = {f"{name}_{split}": mnist[:9] for name in "xy" for split in ("train", "test")}
    np.savez(tmp_path / "digits.npz", **both)
    write_idx(tmp_path / "train-images-idx3-ubyte", mnist[9:18])
    assert np.array_equal(read_images(tmp_path, "train")[..., 0], mnist[9:18])
    with pytest.raises(UserError, match="1 .npz files, other IDX files and no train-labels-idx1"):
        read_labels(tmp_path, "train")
    with pytest.raises(UserError, match="no t10k-images-idx3-ubyte"):
        read_images(tmp_path, "test")


def idx(magic=2051, count=2, rows=28, columns=28, pixels=2 * 28 * 28):
    return struct.pack(">iiii", magic, count, rows, columns) + bytes(pixels)


@pytest.mark.parametrize(
    "content, expected",
    [
        (b"", "no IDX images"),
        (b"GIF89a", "no IDX images"),
        (idx(magic=2049), "holds labels"),
        (idx()[:12], "not N×28×28"),
        (idx(rows=32), "not N×28×28"),
        (idx(count=0), "not N×28×28"),
        (idx(count=-1), "should hold 3,367,254,359,280 bytes of images but holds 1,568"),
        (idx(pixels=1000), "should hold 1,568 bytes of images but holds 1,000"),
        (idx(pixels=1569), "should hold 1,568 bytes of images but holds more"),
    ],
)
def test_the_error_of_a_bad_idx_file_tells_what_is_wrong(tmp_path, content, expected):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"train-images-idx3-ubyte.*{expected}"):
        read_images(tmp_path, "train")


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-9], lambda b: b"x" + b, lambda b: b[:30] + b[40:]]
)
def test_the_error_names_a_bad_gzip_file(tmp_path, damage):
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(damage(gzip.compress(idx())))
    with pytest.raises(UserError, match="train-images-idx3-ubyte.gz is damaged or cut short"):
        read_images(tmp_path, "train")


@pytest.mark.parametrize(
    "arrays, expected",
    [
        ({"images": np.zeros((3, 28, 28), np.uint8)}, "no array x_train"),
        ({"x_train": np.zeros((3, 28, 28))}, "float64"),
        ({"x_train": np.zeros((3, 32, 32), np.uint8)}, "32, 32"),
        ({"x_train": np.array([{}], dtype=object)}, "not an intact .npz"),
    ],
)
def test_the_error_of_a_bad_npz_tells_what_is_wrong(tmp_path, arrays, expected):
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(UserError, match=f"mine.npz.*{expected}"):
        read_images(tmp_path, "train")


def test_the_error_names_a_truncated_npz(tmp_path, mnist):
    np.savez(tmp_path / "mine.npz", x_train=mnist[:9])
    whole = (tmp_path / "mine.npz").read_bytes()
    (tmp_path / "mine.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="mine.npz is not an intact .npz"):
        read_images(tmp_path, "train")


def test_folder_without_images_says_what_it_needs(tmp_path):
    with pytest.raises(UserError, match=r"0 \.npz files and no train-images-idx3-ubyte"):
        read_images(tmp_path, "train")
    with pytest.raises(UserError, match="is not a folder"):
        read_images(tmp_path / "absent", "train")


def test_test_images_and_labels_of_idx_files(tmp_path, mnist):
    write_idx(tmp_path / "t10k-images-idx3-ubyte", mnist[:9])
    labels = struct.pack(">ii", 2049, 4) + bytes([3, 1, 4, 1])
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    assert np.array_equal(read_images(tmp_path, "test")[..., 0], mnist[:9])
    found = read_labels(tmp_path, "train")
    assert found.tolist() == [3, 1, 4, 1]
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(labels[:-1])
    with pytest.raises(UserError, match="hold 4 bytes of labels but holds 3"):
        read_labels(tmp_path, "test")


def test_cifar10_in_its_binary_version(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(6, 32, 32, 3), dtype=np.uint8)
    for number in (1, 2):
        records = [bytes([7]) + im.transpose(2, 0, 1).tobytes() for im in images[:: 2 * number - 3]]
        (tmp_path / f"data_batch_{number}.bin").write_bytes(b"".join(records))
    found = read_cifar10_images(tmp_path, "train")
    assert np.array_equal(found, np.concatenate([images[::-1], images]))
    (tmp_path / "data_batch_2.bin").write_bytes(b"cut short")
    with pytest.raises(UserError, match="data_batch_2.bin has 9 bytes"):
        read_cifar10_images(tmp_path, "train")


def test_cifar10_comes_from_an_npz_or_fails(tmp_path):
    with pytest.raises(UserError, match="no data_batch_1.bin"):
        read_cifar10_images(tmp_path, "train")
    images = np.arange(2 * 32 * 32 * 3, dtype=np.uint8).reshape(2, 32, 32, 3)
    np.savez(tmp_path / "x.npz", x_train=images)
    assert np.array_equal(read_cifar10_images(tmp_path, "train"), images)
    with pytest.raises(UserError, match="is not a folder"):
        read_cifar10_labels(tmp_path / "x.npz", "train")


def test_labels_of_an_npz_may_have_two_axes_like_those_of_cifar10(tmp_path):
    np.savez(tmp_path / "a.npz", y_test=np.array([[5], [2]]), y_train=np.zeros((2, 10)))
    assert read_labels(tmp_path, "test").tolist() == [5, 2]
    assert read_cifar10_labels(tmp_path, "test").tolist() == [5, 2]
    with pytest.raises(UserError, match=r"y_train is float64 \[2, 10\], not integer \[N\]"):
        read_labels(tmp_path, "train")


@pytest.mark.parametrize("labels", [5, [1, -1], [256, 3]])
def test_labels_that_are_not_a_list_of_bytes_are_refused(tmp_path, labels):
    np.savez(tmp_path / "a.npz", y_train=labels)
    with pytest.raises(UserError, match=r"y_train (is int64 \[\], not|has labels from -?[13] to)"):
        read_labels(tmp_path, "train")


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "a.npz", "data_batch_1.bin"])
def test_pipes_are_ignored(tmp_path, name):
    os.mkfifo(tmp_path / name)
    for read in (read_images, read_cifar10_images):
        with pytest.raises(UserError, match="0 .npz files and no"):
            read(tmp_path, "train")


def test_labels_of_cifar10s_binary_version(tmp_path):
    records = np.zeros((2, 1 + 3072), np.uint8)
    records[:, 0] = 7, 2
    records[1, 1] = 9
    (tmp_path / "test_batch.bin").write_bytes(records.tobytes())
    assert read_cifar10_labels(tmp_path, "test").tolist() == [7, 2]
    images = read_cifar10_images(tmp_path, "test")
    assert images.shape == (2, 32, 32, 3) and images[1, 0, 0].tolist() == [9, 0, 0]
    with pytest.raises(UserError, match="no data_batch_1.bin"):
        read_cifar10_labels(tmp_path, "train")


@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
def test_a_folder_of_pictures_gets_a_suggestion(tmp_path, dataset):
    folder = tmp_path / "pictures"
    (folder / "cats").mkdir(parents=True)
    for name in ("a.jpg", "cats/b.jfif"):
        (folder / name).write_bytes(b"")
    expected = "holds 2 pictures: add `dataset=folder`, and `preset=small` if few"
    with pytest.raises(UserError, match=expected):
        load_images(Config(dataset=dataset, data_dir=str(folder)))
    (tmp_path / "a.zip").write_bytes(b"")
    with pytest.raises(UserError, match="is not a folder: for images of your own, add `dataset=f"):
        load_images(Config(dataset=dataset, data_dir=str(tmp_path / "a.zip")))
    (folder / "train-00000-of-00001.tfrecord").write_bytes(b"")
    with pytest.raises(UserError, match="for TFRecords, add `dataset=tfrecords`"):
        load_images(Config(dataset=dataset, data_dir=str(folder)))


def test_other_arrays_get_a_suggestion(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=np.zeros((20, 64, 64, 3), np.float32))
    with pytest.raises(UserError, match=r"float32 .* for arrays of your own, add `dataset=folder`"):
        load_images(Config(data_dir=str(tmp_path)))
