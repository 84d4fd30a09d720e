"""The datasets that come with the project, with Debian or from Keras."""

import hashlib
import struct
import time
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

from dcgan_tf.datasets import named
from dcgan_tf.datasets.loading import load_images
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from tests.conftest import write_idx, write_labels


def test_bundled_mnist_is_the_original():
    images = named.load_mnist_images(Config(), "train")
    assert images.shape == (60000, 28, 28, 1) and images.dtype == np.uint8
    # The md5 of the original, uncompressed train-images-idx3-ubyte.
    idx = struct.pack(">iiii", 2051, 60000, 28, 28) + images.tobytes()
    assert hashlib.md5(idx).hexdigest() == "6bbc9ace898e44ae57da46a324031adb"


def test_bundled_mnist_has_its_test_split():
    images = named.load_mnist_images(Config(), "test")
    idx = struct.pack(">iiii", 2051, 10000, 28, 28) + images.tobytes()
    # The md5 of the original, uncompressed t10k-images-idx3-ubyte.
    assert hashlib.md5(idx).hexdigest() == "2646ac647ad5339dbf082846283269ea"


def test_damaged_bundled_mnist_is_an_error(monkeypatch, tmp_path):
    damaged = tmp_path / "mnist.npz"
    damaged.write_bytes(named.MNIST_FILE.read_bytes()[:-1])
    monkeypatch.setattr(named, "MNIST_FILE", damaged)
    for load in (named.load_mnist_images, named.load_mnist_labels):
        with pytest.raises(UserError, match="mnist.npz is damaged"):
            load(Config(), "train")


def test_stacked_mnist_has_a_digit_in_each_channel_and_all_modes(mnist):
    images = named.load_stacked_mnist_images(Config(), "train")
    assert images.shape == (60000, 28, 28, 3)
    known = {digit.tobytes() for digit in mnist}
    channels = [images[i, ..., c].tobytes() for i in range(100) for c in range(3)]
    assert known.issuperset(channels) and len(set(channels)) > 290
    assert np.array_equal(images, load_images(Config(dataset="stacked_mnist", seed=5)))


def no_network():
    raise Exception("URL fetch failure")


def test_fashion_mnist_comes_from_debians_folder_before_a_download(tmp_path, mnist, monkeypatch):
    monkeypatch.setattr(keras.datasets.fashion_mnist, "load_data", no_network)
    monkeypatch.setattr(named, "DEBIAN_FASHION_MNIST", tmp_path)
    write_idx(tmp_path / "train-images-idx3-ubyte", mnist[:9])
    write_labels(tmp_path / "train-labels-idx1-ubyte", np.arange(9))
    images = named.load_fashion_mnist_images(Config(), "train")
    assert np.array_equal(images[..., 0], mnist[:9])
    assert named.load_fashion_mnist_labels(Config(), "train").tolist() == list(range(9))
    monkeypatch.setattr(named, "DEBIAN_FASHION_MNIST", tmp_path / "absent")
    for load in (named.load_fashion_mnist_images, named.load_fashion_mnist_labels):
        with pytest.raises(UserError, match="could not be downloaded .URL fetch failure"):
            load(Config(), "train")


def test_the_error_of_a_failed_cifar10_download_suggests_a_copy(monkeypatch):
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", no_network)
    expected = (
        "cifar10 could not be downloaded .URL fetch failure.*`data_dir` to a folder with its binary"
    )
    for load in (named.load_cifar10_images, named.load_cifar10_labels):
        with pytest.raises(UserError, match=expected):
            load(Config(), "train")


@pytest.mark.parametrize(
    "source, shape, load_images, load_labels",
    [
        (
            keras.datasets.fashion_mnist,
            (28, 28),
            named.load_fashion_mnist_images,
            named.load_fashion_mnist_labels,
        ),
        (
            keras.datasets.cifar10,
            (32, 32, 3),
            named.load_cifar10_images,
            named.load_cifar10_labels,
        ),
    ],
)
def test_a_download_has_its_splits_and_labels(
    monkeypatch, tmp_path, source, shape, load_images, load_labels
):
    rng = np.random.default_rng(0)
    train, test = (rng.integers(256, size=(count, *shape), dtype=np.uint8) for count in (4, 2))
    column = np.array([[3], [1], [4], [1]], np.uint8)  # as CIFAR-10's labels are
    monkeypatch.setattr(named, "DEBIAN_FASHION_MNIST", tmp_path / "absent")
    monkeypatch.setattr(source, "load_data", lambda: ((train, column), (test, column[2:])))
    for split, images in (("train", train), ("test", test)):
        found = load_images(Config(), split)
        assert np.array_equal(found.reshape(images.shape), images) and found.ndim == 4
    assert load_labels(Config(), "train").tolist() == [3, 1, 4, 1]
    assert load_labels(Config(), "test").tolist() == [4, 1]


@pytest.mark.parametrize(
    "load_images, load_labels",
    [
        (named.load_mnist_images, named.load_mnist_labels),
        (named.load_fashion_mnist_images, named.load_fashion_mnist_labels),
    ],
)
def test_the_users_copy_comes_first(tmp_path, mnist, load_images, load_labels):
    write_idx(tmp_path / "train-images-idx3-ubyte", mnist[7:9])
    write_labels(tmp_path / "train-labels-idx1-ubyte", np.array([8, 9]))
    settings = Config(data_dir=str(tmp_path))
    assert np.array_equal(load_images(settings, "train")[..., 0], mnist[7:9])
    assert load_labels(settings, "train").tolist() == [8, 9]


def test_the_users_copy_of_cifar10_comes_first(tmp_path):
    images = np.arange(2 * 32 * 32 * 3, dtype=np.uint8).reshape(2, 32, 32, 3)
    np.savez(tmp_path / "x.npz", x_train=images, y_train=np.array([[5], [2]]))
    settings = Config(data_dir=str(tmp_path))
    assert np.array_equal(named.load_cifar10_images(settings, "train"), images)
    assert named.load_cifar10_labels(settings, "train").tolist() == [5, 2]


def test_one_process_at_a_time_downloads(monkeypatch, tmp_path):
    """Keras writes to the file in place: another process would read a partial file."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    inside, most = [0], [0]

    def load_data():
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.2)
        inside[0] -= 1
        return [(np.zeros((2, 32, 32, 3), np.uint8), np.zeros((2, 1), np.uint8))] * 2

    monkeypatch.setattr(keras.datasets.cifar10, "load_data", load_data)
    with ThreadPoolExecutor(3) as pool:
        found = [*pool.map(lambda _: named.download("cifar10", "train"), range(3))]
    assert most == [1] and all(images.shape == (2, 32, 32, 3) for images, _ in found)
