import gzip
import hashlib
import struct

import imageio.v3 as iio
import numpy as np
import pytest

from dcgan_tf import data
from dcgan_tf.cli.errors import UserError
from dcgan_tf.config import DATASETS, Config
from dcgan_tf.datasets import arrays
from dcgan_tf.datasets.disk_images import DiskImages
from tests.conftest import write_idx


def test_every_dataset_has_a_loader():
    assert tuple(data.LOADERS) == DATASETS


def test_bundled_mnist_is_the_canonical_one():
    images = data.load_images(Config())
    assert images.shape == (60000, 28, 28, 1) and images.dtype == np.uint8
    # The md5 of the original, uncompressed train-images-idx3-ubyte.
    idx = struct.pack(">iiii", 2051, 60000, 28, 28) + images.tobytes()
    assert hashlib.md5(idx).hexdigest() == "6bbc9ace898e44ae57da46a324031adb"


def test_damaged_bundled_mnist_is_named(monkeypatch, tmp_path):
    damaged = tmp_path / "mnist.npz"
    damaged.write_bytes(data.MNIST_FILE.read_bytes()[:-1])
    monkeypatch.setattr(data, "MNIST_FILE", damaged)
    with pytest.raises(UserError, match="mnist.npz is damaged"):
        data.load_images(Config())


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images.idx3-ubyte"])
@pytest.mark.parametrize("zipped", [False, True])
def test_idx_files_plain_and_gzipped(tmp_path, mnist, name, zipped):
    write_idx(tmp_path / name, mnist[:9])
    if zipped:
        plain = tmp_path / name
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
    assert np.array_equal(arrays.read_array_folder(tmp_path)[..., 0], mnist[:9])


def test_npz_in_keras_layout(tmp_path, mnist):
    np.savez(tmp_path / "digits.npz", x_train=mnist[:9], y_train=np.zeros(9))
    assert np.array_equal(arrays.read_array_folder(tmp_path)[..., 0], mnist[:9])


def idx(magic=2051, count=2, rows=28, columns=28, pixels=2 * 28 * 28):
    return struct.pack(">iiii", magic, count, rows, columns) + bytes(pixels)


@pytest.mark.parametrize(
    "content, told",
    [
        (b"", "no IDX images"),
        (b"GIF89a", "no IDX images"),
        (idx(magic=2049), "holds labels"),
        (idx()[:12], "not N×28×28"),
        (idx(rows=32), "not N×28×28"),
        (idx(count=0), "not N×28×28"),
        (idx(count=-1), "should hold 3,367,254,359,280 bytes of images and holds 1,568"),
        (idx(pixels=1000), "should hold 1,568 bytes of images and holds 1,000"),
        (idx(pixels=1569), "should hold 1,568 bytes of images and holds more"),
    ],
)
def test_bad_idx_is_named_with_what_is_wrong(tmp_path, content, told):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"train-images-idx3-ubyte.*{told}"):
        arrays.read_array_folder(tmp_path)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-9], lambda b: b"x" + b, lambda b: b[:30] + b[40:]]
)
def test_bad_gzip_is_named(tmp_path, damage):
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(damage(gzip.compress(idx())))
    with pytest.raises(UserError, match="train-images-idx3-ubyte.gz is damaged or cut short"):
        arrays.read_array_folder(tmp_path)


@pytest.mark.parametrize(
    "arrays, told",
    [
        ({"images": np.zeros((3, 28, 28), np.uint8)}, "no array x_train"),
        ({"x_train": np.zeros((3, 28, 28))}, "float64"),
        ({"x_train": np.zeros((3, 32, 32), np.uint8)}, "32, 32"),
        ({"x_train": np.array([{}], dtype=object)}, "not an intact .npz"),
    ],
)
def test_bad_npz_is_named_with_what_is_wrong(tmp_path, arrays, told):
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(UserError, match=f"mine.npz.*{told}"):
        arrays.read_array_folder(tmp_path)


def test_truncated_npz_is_named(tmp_path, mnist):
    np.savez(tmp_path / "mine.npz", x_train=mnist[:9])
    whole = (tmp_path / "mine.npz").read_bytes()
    (tmp_path / "mine.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="mine.npz is not an intact .npz"):
        arrays.read_array_folder(tmp_path)


def test_folder_without_images_says_what_it_needs(tmp_path):
    with pytest.raises(UserError, match=r"0 \.npz files and no train-images-idx3-ubyte"):
        arrays.read_array_folder(tmp_path)
    with pytest.raises(UserError, match="is not a folder"):
        arrays.read_array_folder(tmp_path / "absent")


def test_fewer_images_than_a_batch_gives_both_numbers(digits_dir):
    with pytest.raises(UserError, match="--batch_size 64 is more than the 50 images"):
        data.load_images(Config(data_dir=str(digits_dir), batch_size=64))


def test_fashion_mnist_comes_from_debians_folder_before_a_download(tmp_path, mnist, monkeypatch):
    def no_network():
        raise Exception("URL fetch failure")

    monkeypatch.setattr(data.keras.datasets.fashion_mnist, "load_data", no_network)
    monkeypatch.setattr(data, "DEBIAN_FASHION_MNIST", tmp_path)
    write_idx(tmp_path / "train-images-idx3-ubyte", mnist[:9])
    assert len(data.load_images(Config(dataset="fashion_mnist", batch_size=4))) == 9
    monkeypatch.setattr(data, "DEBIAN_FASHION_MNIST", tmp_path / "absent")
    with pytest.raises(UserError, match="could not be downloaded .URL fetch failure"):
        data.load_images(Config(dataset="fashion_mnist"))


def test_resizing_keeps_flat_images_and_their_own_size(mnist):
    flat = np.full((3, 28, 28, 1), 77, np.uint8)
    assert (data.resize(flat, 64) == 77).all() and data.resize(flat, 64).shape == (3, 64, 64, 1)
    assert data.resize(flat, None) is flat and data.resize(flat, 28) is flat
    digits = mnist[:1500, ..., np.newaxis]
    small = data.resize(digits, 14)
    # Antialiased halving keeps the mean; picking every second pixel would not keep a blur.
    assert abs(small.mean() - digits.mean()) < 0.5 and len(small) == 1500


def test_stacked_mnist_has_a_digit_in_each_channel_and_all_modes(mnist):
    images = data.load_images(Config(dataset="stacked_mnist"))
    assert images.shape == (60000, 28, 28, 3)
    known = {digit.tobytes() for digit in mnist}
    channels = [images[i, ..., c].tobytes() for i in range(100) for c in range(3)]
    assert known.issuperset(channels) and len(set(channels)) > 290
    assert np.array_equal(images, data.load_images(Config(dataset="stacked_mnist", seed=5)))


def test_cifar10_in_its_binary_version(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(6, 32, 32, 3), dtype=np.uint8)
    for number in (1, 2):
        records = [bytes([7]) + im.transpose(2, 0, 1).tobytes() for im in images[:: 2 * number - 3]]
        (tmp_path / f"data_batch_{number}.bin").write_bytes(b"".join(records))
    found = arrays.read_cifar10_folder(tmp_path)
    assert np.array_equal(found, np.concatenate([images[::-1], images]))
    (tmp_path / "data_batch_2.bin").write_bytes(b"cut short")
    with pytest.raises(UserError, match="data_batch_2.bin has 9 bytes"):
        arrays.read_cifar10_folder(tmp_path)


def test_cifar10_as_npz_or_not_at_all(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="no data_batch_1.bin"):
        arrays.read_cifar10_folder(tmp_path)
    images = np.arange(2 * 32 * 32 * 3, dtype=np.uint8).reshape(2, 32, 32, 3)
    np.savez(tmp_path / "x.npz", x_train=images)
    config = Config(dataset="cifar10", data_dir=str(tmp_path), batch_size=2)
    assert np.array_equal(data.load_images(config), images)

    def no_network():
        raise Exception("URL fetch failure")

    monkeypatch.setattr(data.keras.datasets.cifar10, "load_data", no_network)
    with pytest.raises(UserError, match="cifar10 could not be downloaded .URL fetch failure"):
        data.load_images(Config(dataset="cifar10"))


def test_folder_of_images_trains_like_an_array(tmp_path, mnist):
    """The batches of images on disk are those of the same images in memory."""
    for i, digit in enumerate(mnist[:20]):
        iio.imwrite(tmp_path / f"{i:02d}.png", digit)
    config = Config(
        dataset="folder", data_dir=str(tmp_path), image_size=28, batch_size=4, held_out=0.0
    )
    images = data.load_images(config)
    assert np.array_equal(images[..., 0], mnist[:20])
    (tmp_path / "pixels").write_bytes(images.tobytes())
    on_disk = DiskImages([tmp_path / "pixels"], images.shape)
    pairs = zip(*(data.make_batches(x, config, 3, 9) for x in (images, on_disk)), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)
    with pytest.raises(UserError, match="--dataset folder needs --data_dir"):
        data.load_images(Config(dataset="folder"))


def test_flipping_mirrors_half_of_the_images_and_can_be_repeated(mnist):
    images = mnist[:256, ..., np.newaxis]
    plain = next(iter(data.make_batches(images, Config(), 1, 2))).numpy()
    flipped = next(iter(data.make_batches(images, Config(flip=True), 1, 2))).numpy()
    again = next(iter(data.make_batches(images, Config(flip=True), 1, 2))).numpy()
    same = (flipped == plain).all(axis=(1, 2, 3))
    mirrored = (flipped == plain[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same | mirrored).all() and 90 < mirrored.sum() < 166
    assert np.array_equal(flipped, again)


def test_scale_maps_the_ends_to_minus_one_and_one():
    pixels = np.array([[[[0], [255]]]], np.uint8)
    assert data.scale(pixels).numpy().ravel().tolist() == [-1.0, 1.0]


def numbered_images(count):
    """Images whose every pixel is the image's own number, so that a batch tells who is in it."""
    return np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 28, 28, 1), np.uint8)


def members(batches):
    return [np.rint(b[:, 0, 0, 0].numpy() * 127.5 + 127.5).astype(int).tolist() for b in batches]


def test_an_epoch_shows_each_image_once_in_full_batches_and_in_an_order_of_its_own():
    config = Config(batch_size=8, seed=5)
    batches = members(data.make_batches(numbered_images(50), config, 0, 12))
    assert [len(batch) for batch in batches] == [8] * 12
    first, second = np.ravel(batches[:6]).tolist(), np.ravel(batches[6:]).tolist()
    assert len(set(first)) == len(set(second)) == 48
    assert first != second and first != sorted(first)
    left_out = [set(range(50)) - set(epoch) for epoch in (first, second)]
    assert left_out[0] != left_out[1]
    assert members(data.make_batches(numbered_images(50), config, 0, 12)) == batches
    other = Config(batch_size=8, seed=6)
    assert members(data.make_batches(numbered_images(50), other, 0, 6)) != batches[:6]


def test_batches_can_start_in_the_middle_of_an_epoch():
    config = Config(batch_size=8)
    whole = members(data.make_batches(numbered_images(50), config, 0, 12))
    assert members(data.make_batches(numbered_images(50), config, 9, 12)) == whole[9:]
    ahead = data.make_batches(numbered_images(50), config, 9, 12, device="/CPU:0")
    assert members(ahead) == whole[9:]


def test_every_image_is_equally_likely_in_every_place():
    batches = members(data.make_batches(numbered_images(10), Config(batch_size=2), 0, 1500))
    counts = np.bincount(np.ravel(batches[::5]), minlength=10)
    # 600 draws over 10 images: chi-squared with 9 degrees of freedom, 27.9 at p = 0.001.
    assert ((counts - 60) ** 2 / 60).sum() < 27.9


LABELS = arrays.IDX_LABELS


def test_test_images_and_labels_of_idx_files(tmp_path, mnist):
    write_idx(tmp_path / "t10k-images-idx3-ubyte", mnist[:9])
    labels = struct.pack(">ii", 2049, 4) + bytes([3, 1, 4, 1])
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    assert np.array_equal(arrays.read_array_folder(tmp_path, "test")[..., 0], mnist[:9])
    found = arrays.read_array_folder(tmp_path, "train", LABELS)
    assert found.tolist() == [3, 1, 4, 1]
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(labels[:-1])
    with pytest.raises(UserError, match="hold 4 bytes of labels and holds 3"):
        arrays.read_array_folder(tmp_path, "test", LABELS)


def test_labels_of_an_npz_may_have_two_axes_as_cifars_have(tmp_path):
    np.savez(tmp_path / "a.npz", y_test=np.array([[5], [2]]), y_train=np.zeros((2, 10)))
    assert arrays.read_array_folder(tmp_path, "test", LABELS).tolist() == [5, 2]
    assert arrays.read_cifar10_folder(tmp_path, "test", LABELS).tolist() == [5, 2]
    with pytest.raises(UserError, match=r"y_train is float64 \[2, 10\], not integer \[N\]"):
        arrays.read_array_folder(tmp_path, "train", LABELS)


def test_labels_of_cifar10s_binary_version(tmp_path):
    records = np.zeros((2, 1 + 3072), np.uint8)
    records[:, 0] = 7, 2
    records[1, 1] = 9
    (tmp_path / "test_batch.bin").write_bytes(records.tobytes())
    assert arrays.read_cifar10_folder(tmp_path, "test", LABELS).tolist() == [7, 2]
    images = arrays.read_cifar10_folder(tmp_path, "test")
    assert images.shape == (2, 32, 32, 3) and images[1, 0, 0].tolist() == [9, 0, 0]
    with pytest.raises(UserError, match="no data_batch_1.bin"):
        arrays.read_cifar10_folder(tmp_path, "train", LABELS)


def test_bundled_mnist_has_its_test_part():
    images = data.load_held_out(Config())
    idx = struct.pack(">iiii", 2051, 10000, 28, 28) + images.tobytes()
    # The md5 of the original, uncompressed t10k-images-idx3-ubyte.
    assert hashlib.md5(idx).hexdigest() == "2646ac647ad5339dbf082846283269ea"
