"""Users' folders, by the rules of new runs: nothing is lost, misread or misfiled."""

import io
import os
import struct
import unicodedata
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from dcgan_tf.conditional.labels import Classes
from dcgan_tf.datasets import folder, image_files, survey
from dcgan_tf.datasets.loading import load_images, load_labels, load_split, load_training_labels
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from tests.datasets.test_folder import (
    BLUE,
    GREEN,
    RED,
    TURNS,
    blocks,
    load,
    noise,
    numbers,
    save,
    zip_of,
)


@pytest.fixture
def source(tmp_path):
    """An empty folder for images."""
    path = tmp_path / "images"
    path.mkdir()
    return path


def read(source, size=8, split="train", **settings):
    """The images of a folder as a new run reads them; by default, none are held out."""
    return load(source, size, split, **{"reading": 2} | settings)


def config_of(source, **settings):
    given = {"dataset": "folder", "data_dir": str(source), "image_size": 8, "batch_size": 1}
    given |= {"held_out": 0.0, "conditional": True, "cache_dir": str(source.parent / "cache")}
    return Config.from_flags(given | settings)


def classes_of(source, split="train", **settings):
    """The class of each image of a split, by the first pixel of the image."""
    config = config_of(source, **settings)
    names = folder.folder_class_names(config)
    images, labels = load_split(config, split), load_labels(config, split)
    return {int(image[0, 0, 0]): names[label] for image, label in zip(images[:], labels)}


def save_gray(path, shade):
    save(path, np.full((8, 8), shade, np.uint8))


# Endings and what a file is.


@pytest.mark.parametrize(
    "name, feature",
    [
        *(("a.jfif", None), ("a.jpe", None), ("a.tif", None), ("a.TIFF", None), ("a.ppm", None)),
        *(("a.tga", None), ("a.pcx", None), ("a.dib", None), ("a.sgi", None), ("a.apng", None)),
        *(("a.avif", "avif"), ("a.jp2", "jpg_2000")),
    ],
)
def test_more_extensions_are_read(source, name, feature):
    if feature and not features.check(feature):
        pytest.skip(f"Pillow here has no {feature}")
    save(source / name, blocks(RED))
    assert np.abs(read(source)[0].astype(int) - RED).max() <= 3


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_orientation_of_a_tiff_is_applied_once(source, orientation):
    stored = np.concatenate([blocks(RED, GREEN), blocks(BLUE, (255, 255, 255))])
    Image.fromarray(stored).save(source / "a.tif", tiffinfo={274: orientation})
    assert np.array_equal(read(source, 16)[0], TURNS[orientation](stored))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_the_content_decides_whatever_the_extension(source, format):
    for name in ("a.jpg", "b.tif", "without an extension"):
        Image.fromarray(blocks(RED)).save(source / name, format)
    images = read(source)
    assert len(images) == 3 and np.abs(images.astype(int) - RED).max() <= 3


def test_a_jpeg_called_heic_is_read_and_the_reverse_is_reported(source, caplog):
    Image.fromarray(blocks(RED)).save(source / "a.heic", "JPEG")
    Image.fromarray(blocks(RED)).save(source / "raw.nef", "TIFF")  # a preview, in a camera's file
    assert len(read(source)) == 1 and "1 .nef" in caplog.text
    (source / "b.jpg").write_bytes(b"\0\0\0\x24ftypheic" + bytes(99))
    with pytest.raises(UserError, match=r"b\.jpg \(HEIC under another name\)"):
        read(source)


def test_a_text_without_an_ending_is_not_a_picture(source):
    save_gray(source / "a.png", 1)
    (source / "README").write_text("pictures of mine")
    os.mkfifo(source / "pipe")
    assert len(read(source)) == 1


def test_pictures_that_are_not_read_are_counted_in_one_warning(source, caplog):
    save_gray(source / "a.png", 1)
    for i in range(3):
        (source / f"{i}.HEIC").write_bytes(b"....ftypheic")
    (source / "b.svg").write_text("<svg/>")
    (source / "notes.txt").write_text("no picture")
    Image.fromarray(blocks(RED)).save(source / "photo.jpg_large", "JPEG")
    assert len(read(source)) == 1
    (record,) = caplog.records
    assert "3 .heic, 1 .svg, 1 .jpg_large: convert them to PNG or JPEG" in record.getMessage()
    (source / "more.zip").write_bytes(b"")
    caplog.clear()
    read(source)
    assert any("1 .zip: unpack them" in record.getMessage() for record in caplog.records)


def test_an_older_run_reads_the_same_images_and_reports_the_others(source, caplog):
    save_gray(source / "a.png", 1)
    save(source / "b.jfif", blocks(RED), format="JPEG")
    assert load(source).shape == (1, 8, 8, 1)
    assert "1 .jfif" in caplog.text and "a new run does" in caplog.text


def test_a_class_that_would_vanish_is_an_error(source):
    save_gray(source / "cat" / "a.png", 1)
    (source / "dog").mkdir()
    (source / "dog" / "b.heic").write_bytes(b"")
    with pytest.raises(UserError, match=r"no picture of dog can be read \(1 \.heic\)"):
        classes_of(source)
    save_gray(source / "eel" / "c.png", 3)
    with pytest.raises(UserError, match=r"no picture of dog can be read"):
        classes_of(source)
    save_gray(source / "dog" / "c.png", 2)
    (source / "logo.svg").write_text("<svg/>")
    assert classes_of(source) == {1: "cat", 2: "dog", 3: "eel"}


# Links and folders of systems.


def test_links_to_folders_are_followed(source, tmp_path):
    for shade, name in enumerate(("cat", "dog"), 1):
        save_gray(tmp_path / "elsewhere" / name / "a.png", shade)
        (source / name).symlink_to(tmp_path / "elsewhere" / name)
    assert classes_of(source) == {1: "cat", 2: "dog"}
    assert [image[0, 0, 0] for image in read(source)] == [1, 2]


def test_no_folder_is_read_twice_even_in_a_loop_of_links(source, caplog):
    save_gray(source / "cat" / "a.png", 1)
    save_gray(source / "dog" / "b.png", 2)
    (source / "best").symlink_to(source / "cat")  # sorted before cat
    (source / "cat" / "loop").symlink_to(source)
    (source / "dog" / "above").symlink_to(source.parent)
    assert classes_of(source) == {1: "cat", 2: "dog"}
    assert "3 links to folders (best, cat/loop, dog/above)" in caplog.text
    caplog.clear()
    assert len(load(source)) == 2
    assert "3 links" in caplog.text


def test_a_link_within_a_linked_folder_is_followed(source, tmp_path):
    save_gray(tmp_path / "one" / "a.png", 1)
    save_gray(tmp_path / "other" / "b.png", 2)
    (tmp_path / "one" / "more").symlink_to(tmp_path / "other")
    (source / "link").symlink_to(tmp_path / "one")
    assert len(read(source)) == 2 and len(read(source / "link")) == 2


@pytest.mark.parametrize(
    "name", ["@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "__MACOSX", "@tmp"]
)
def test_system_folders_are_hidden(source, name):
    save_gray(source / "a.png", 1)
    save_gray(source / name / "a.png" / "SYNOPHOTO_THUMB_M.png", 2)
    for path in (source, zip_of(source)):
        assert len(read(path)) == 1
    assert len(load(source)) == (1 if name == "__MACOSX" else 2)


# Metadata.


def png_with(pixels, *chunks, at_end=False):
    """A PNG with more chunks, before the pixels or after them."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    content = content.getvalue()
    at = len(content) - 12 if at_end else 33
    return content[:at] + b"".join(chunks) + content[at:]


def chunk(kind, content, damaged=False):
    checksum = zlib.crc32(kind + content) ^ damaged
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


LARGE = zlib.compress(bytes(2 << 20))
TEXT = chunk(b"zTXt", b"a\0\0" + LARGE)


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize(
    "metadata",
    [
        [TEXT],
        [chunk(b"iCCP", b"a\0\0" + LARGE)],
        [chunk(b"tEXt", b"a\0" + b"b" * (1 << 20))] * 65,
        [chunk(b"tEXt", b"a\0b", damaged=True)],
        [chunk(b"pHYs", b"12")],
    ],
    ids=["text", "profile", "much text", "checksum", "resolution"],
)
def test_images_with_large_or_damaged_metadata_are_read(source, metadata, at_end):
    pixels = noise(8, 8, 3)
    (source / "a.png").write_bytes(png_with(pixels, *metadata, at_end=at_end))
    assert np.array_equal(read(source), [pixels])
    assert np.array_equal(read(zip_of(source)), [pixels])


def test_a_large_profile_is_applied_and_a_huge_one_ignored(source):
    adobe = adobe_rgb() + bytes(2 << 20)
    profile = chunk(b"iCCP", b"a\0\0" + zlib.compress(adobe))
    bomb = chunk(b"iCCP", b"a\0\0" + zlib.compress(adobe + bytes(64 << 20)))
    for name, metadata in (("a.png", profile), ("b.png", bomb)):
        (source / name).write_bytes(png_with(blocks((171, 35, 45)), TEXT, metadata))
    large, huge = read(source)[:, 0, 0]
    assert np.abs(large.astype(int) - (200, 30, 41)).max() <= 2
    assert huge.tolist() == [171, 35, 45]


def test_damaged_pixels_remain_damaged(source, caplog):
    save_gray(source / "a.png", 1)
    content = png_with(noise(64, 64, 3), TEXT)
    (source / "b.png").write_bytes(content[: len(content) // 2])
    (source / "c.png").write_bytes(content[:-600] + bytes(50) + content[-550:])
    assert len(read(source, max_bad_images=1.0)) == 1
    assert "b.png" in caplog.text and "c.png" in caplog.text


# Splits and classes.


def test_split_folders_decide_what_is_held_out(source):
    shade = 0
    for split in ("train", "val", "test"):
        for name in ("cat", "dog"):
            for i in range(4):
                shade += 1
                save_gray(source / split / name / f"{i}.png", shade)
    train, test = classes_of(source, held_out=0.5), classes_of(source, "test")
    assert train == {i: "cat" for i in range(1, 5)} | {i: "dog" for i in range(5, 9)}
    assert sorted(test) == [*range(9, 25)] and test[9] == test[17] == "cat"
    assert sorted(numbers(read(source))) == [*range(1, 9)]
    assert len(load(source)) == 24


@pytest.mark.parametrize(
    "names",
    [
        ("training/cat", "training/dog", "testing/cat", "testing/dog"),
        ("Train/cat", "Train/dog", "Validation/cat", "Validation/dog"),
        ("pets/train/cat", "pets/train/dog", "pets/test_set/cat", "pets/test_set/dog"),
        ("train/by class/cat", "train/by class/dog", "valid/by class/cat", "valid/by class/dog"),
        ("cat/train", "dog/train", "cat/test", "dog/test"),
        ("train2017/cat", "train2017/dog", "val2017/cat", "val2017/dog"),
    ],
)
def test_split_folders_are_recognized_in_any_spelling_and_place(source, names):
    for shade, name in enumerate(names):
        save_gray(source / name / "a.png", shade)
    for path in (source, zip_of(source)):
        assert classes_of(path) == {0: "cat", 1: "dog"}
        assert classes_of(path, "test") == {2: "cat", 3: "dog"}


@pytest.mark.parametrize(
    "names",
    [
        ["train/cat", "test/cat", "unlabeled/cat"],
        ["val/cat", "test/cat"],
        ["trainA", "trainB", "testA", "testB"],
        ["cats_train", "cats_test", "dogs_train", "dogs_test"],
        ["train", "training"],
    ],
)
def test_folders_that_may_be_splits_or_classes_are_refused(source, names):
    for shade, name in enumerate(names):
        save_gray(source / name / "a.png", shade)
    folders = ", ".join(sorted({name.split("/")[0] for name in names}))
    with pytest.raises(UserError, match=f"has the folders {folders}, some named like splits"):
        classes_of(source)
    config = config_of(source, conditional=False)
    assert len(load_images(config)) == len(names)
    pictures = folder.folder_report(config).lines()["pictures"]
    assert f"such as {folders} are not treated as splits" in pictures


def test_a_class_of_trains_is_a_class(source):
    for shade, name in enumerate(("car", "plane", "train", "training shoe")):
        save_gray(source / name / "a.png", shade)
    assert classes_of(source) == {0: "car", 1: "plane", 2: "train", 3: "training shoe"}


def test_class_names_are_compared_after_unicode_normalization(source):
    decomposed = unicodedata.normalize("NFD", "Käse")
    save_gray(source / decomposed / "a.png", 1)
    save_gray(source / "Brot" / "b.png", 2)
    assert classes_of(source) == {1: "Käse", 2: "Brot"}
    save_gray(source / "Käse" / "c.png", 3)
    assert classes_of(source) == {1: "Käse", 2: "Brot", 3: "Käse"}
    old = Classes(["Brot", decomposed], [1, 1])
    assert old.index("Käse") == old.index(decomposed) == 1
    assert Classes(["Käse"], [1]).index(decomposed) == 0


@pytest.mark.parametrize("count", [1, 2, 3])
def test_at_least_one_of_each_class_is_trained_on(source, count):
    for number in range(40):
        for i in range(count):
            save_gray(source / f"{number:02}" / f"{i}.png", number)
    config = config_of(source, held_out=0.5)
    trained = load_labels(config, "train")
    assert {*trained.tolist()} == {*range(40)}
    if count > 1:
        assert len(trained) + len(load_labels(config, "test")) == 40 * count
    assert load_training_labels(config, load_images(config)).classes.counts[0] >= 1


def test_a_class_of_an_older_run_that_is_all_held_out_is_an_error(source):
    for number in range(40):
        save_gray(source / f"{number:02}" / "0.png", number)
    config = config_of(source, held_out=0.5, reading=1)
    with pytest.raises(UserError, match="no training images of 0.*held out.*add more.*`held_out`"):
        load_training_labels(config, load_images(config))


# Archives.


def windows_zip(path, names):
    """A .zip with \\ in the paths of its members, as .NET used to write them."""
    with zipfile.ZipFile(path, "w") as archive:
        for shade, name in enumerate(names):
            content = io.BytesIO()
            Image.fromarray(np.full((8, 8), shade, np.uint8)).save(content, "PNG")
            archive.writestr(name, content.getvalue())
    return path


def test_backslashes_in_a_zip_become_slashes(tmp_path):
    names = [
        "pets\\cat\\00.png",
        "pets\\dog\\01.png",
        "pets\\.hidden\\02.png",
        "pets\\@eaDir\\3.png",
    ]
    path = windows_zip(tmp_path / "images.zip", names)
    assert classes_of(path) == {0: "cat", 1: "dog"}
    assert len(load(path)) == 4


def patched(path, offsets, value):
    """The .zip with two bytes changed in the headers of all members."""
    content = bytearray(path.read_bytes())
    for mark, offset in zip((b"PK\3\4", b"PK\1\2"), offsets):
        at = content.find(mark)
        while at >= 0:
            content[at + offset : at + offset + 2] = struct.pack("<H", value)
            at = content.find(mark, at + 4)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "offsets, value, message",
    [((8, 10), 9, r"Python can't read \(Deflate64\): unpack it"), ((6, 8), 1, "is encrypted: unp")],
)
@pytest.mark.parametrize("reading", [1, 2])
def test_a_cause_that_all_members_share_is_reported_once(
    tmp_path, offsets, value, message, reading
):
    path = windows_zip(tmp_path / "images.zip", [f"{i}.png" for i in range(5)])
    patched(path, offsets, value)
    with pytest.raises(UserError, match=message):
        load(path, reading=reading, max_bad_images=1.0)


# Depth, channels and colors.


def save_deep(path, values, bits=None):
    """Gray of 16 bits, as PNG with an sBIT chunk, or as TIFF."""
    image = Image.fromarray(np.asarray(values, np.uint16))
    save(path, image)
    if bits:
        content = path.read_bytes()
        path.write_bytes(content[:33] + chunk(b"sBIT", bytes([bits])) + content[33:])


@pytest.mark.parametrize("extension", ["png", "tif", "jpg"])
def test_12_bits_in_16_are_scaled_to_their_own_range(source, extension):
    """The brightest image of the folder sets the scale of all."""
    shades = np.arange(64).reshape(8, 8) * 60
    for i in range(20):
        path = source / f"{i}.{'png' if extension == 'jpg' else extension}"
        save_deep(path, shades // 4 if i else shades)
        path.rename(source / f"{i}.{extension}")
    expected = np.rint(shades / 4095 * 255), np.rint(shades // 4 / 4095 * 255)
    for settings in ({}, {"held_out": 0.3}):
        images = np.concatenate([read(source, split="train", **settings)])
        for image in images[..., 0]:
            assert any(np.abs(image - each).max() <= 1 for each in expected)
    assert load(source).max() < 16 if extension == "png" else True


def test_held_out_images_are_scaled_like_all_others(source):
    for i in range(30):
        save_deep(source / f"{i}.png", np.full((8, 8), 4000 if i == 7 else 1000))
    values = {
        value
        for split in ("train", "test")
        for value in np.unique(read(source, split=split, held_out=0.4)).tolist()
    }
    assert values == {round(1000 / 4095 * 255), round(4000 / 4095 * 255)}


def test_the_significant_bits_of_a_png_are_used(source):
    save_deep(source / "a.png", np.full((8, 8), 1000), bits=12)
    assert (read(source) == round(1000 / 4095 * 255)).all()
    # As the PNG specification requires: 12 bits, scaled to 16.
    save_deep(source / "b.png", np.full((8, 8), 65535), bits=12)
    assert read(source)[:, 0, 0, 0].tolist() == [round(1000 / 65535 * 255), 255]


def test_full_range_and_8_bit_images_are_unchanged(source):
    save_deep(source / "a.png", np.full((8, 8), 65535))
    save_gray(source / "b.png", 100)
    save(source / "c.pgm", Image.fromarray(np.full((8, 8), 128 * 257, np.uint16)))
    assert read(source)[:, 0, 0, 0].tolist() == [255, 100, 128]


def png_of_16_bits(pixels):
    """A PNG of 16 bits, uint16 [H, W, 3], which Pillow does not write."""
    height, width = pixels.shape[:2]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")


def test_dark_16_bit_color_and_dark_gray_are_reported(source):
    def report():
        return folder.folder_report(config_of(source, conditional=False)).lines()["pictures"]

    (source / "a.png").write_bytes(png_of_16_bits(np.full((8, 8, 3), 4095, np.uint16)))
    assert "16-bit color uses 6% of its range" in report()
    (source / "b.png").write_bytes(png_of_16_bits(np.full((8, 8, 3), 60000, np.uint16)))
    assert "16-bit" not in report()
    for i in range(5):
        save_deep(source / f"{i}.png", np.full((8, 8), 60000 if i == 3 else 4000))
    assert (
        "goes up to 60,000; white is 65,535" in report()
        and "no value above 6% of white" in report()
    )


@pytest.mark.parametrize("name", ["a.gif", "a.tif", "a.webp"])
def test_frames_and_pages_that_are_not_read_are_reported(source, name):
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, GREEN)]
    save(source / name, frames[0])
    config = config_of(source, conditional=False)
    assert "frames" not in folder.folder_report(config).lines()["pictures"]
    save(source / name, frames[0], save_all=True, append_images=frames[1:])
    assert "1 have several frames or pages" in folder.folder_report(config).lines()["pictures"]


def test_float_tiffs_are_read_and_negative_values_refused(source):
    save(source / "a.tif", Image.fromarray(np.full((8, 8), 0.5, np.float32)))
    assert np.isin(read(source), (127, 128)).all()
    save(source / "b.tif", Image.fromarray(np.full((8, 8), -1000, np.int32)))
    with pytest.raises(UserError, match=r"b\.tif has values from -1000 to -1000, .*8 bits"):
        read(source)


@pytest.mark.parametrize(
    "extension, options", [("png", {}), ("jpg", {}), ("webp", {"quality": 60})]
)
def test_gray_images_are_recognized_by_their_pixels(source, extension, options):
    smooth = np.linspace(0, 255, 64).reshape(8, 8).astype(np.uint8)
    for i in range(3):
        save(
            source / f"{i}.{extension}",
            Image.fromarray(np.rot90(smooth, i)).convert("RGB"),
            **options,
        )
    save(source / "palette.gif", Image.fromarray(smooth).convert("P"))
    assert read(source).shape == (4, 8, 8, 1)
    assert load(source).shape == (4, 8, 8, 3)
    tinted = np.dstack([smooth, smooth, np.maximum(smooth, 12)])
    save(source / "tinted.png", tinted)
    assert np.array_equal(read(source)[4], tinted)


def test_both_splits_have_the_channels_of_the_whole_folder(source, monkeypatch):
    for i in range(20):
        save(source / f"{i}.png", np.dstack([np.full((8, 8), i, np.uint8)] * 3))
    save(source / "red.png", blocks(RED))
    for limit in (folder.MEMORY_LIMIT, 0):
        monkeypatch.setattr(folder, "MEMORY_LIMIT", limit)
        for split in ("train", "test"):
            assert read(source, split=split, held_out=0.5).shape[3] == 3


def test_a_large_folder_is_surveyed_once(source, monkeypatch):
    monkeypatch.setattr(folder, "MEMORY_LIMIT", 0)
    looked, has_color = [], survey.has_color
    monkeypatch.setattr(
        survey, "has_color", lambda *args: looked.append(args[2]) or has_color(*args)
    )
    for i in range(5):
        save(source / f"{i}.png", np.dstack([np.full((8, 8), i, np.uint8)] * 3))
    for _ in range(2):
        assert read(source).shape == (5, 8, 8, 1)
    assert len(looked) == 5
    save(source / "0.png", blocks(RED))
    assert read(source).shape == (5, 8, 8, 3)
    assert len(looked) == 6, "the first says it"


def icc(gamma, primaries):
    """A profile with three gammas and primaries, in XYZ for D50."""

    def fixed(*values):
        return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))

    curve = b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256)) + bytes(2)
    xyz = [b"XYZ \0\0\0\0" + fixed(*column) for column in primaries]
    white = b"XYZ \0\0\0\0" + fixed(0.9642, 1.0, 0.8249)
    text = b"desc\0\0\0\0" + struct.pack(">I", 2) + b"a\0" + bytes(78)
    tags = [(b"rXYZ", xyz[0]), (b"gXYZ", xyz[1]), (b"bXYZ", xyz[2]), (b"wtpt", white)]
    tags += [(b"rTRC", curve), (b"gTRC", curve), (b"bTRC", curve), (b"desc", text), (b"cprt", text)]
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags:
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content
    size = at + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + fixed(0.9642, 1.0, 0.8249) + bytes(48)
    return header + struct.pack(">I", len(tags)) + table + body


def adobe_rgb():
    return icc(
        2.19921875,
        [(0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)],
    )


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp"])
def test_adobe_rgb_is_shown_as_in_every_viewer(source, name):
    options = (
        {} if name in ("a.png", "a.tif") else {"quality": 100, "lossless": True, "subsampling": 0}
    )
    save(source / name, blocks((171, 35, 45)), icc_profile=adobe_rgb(), **options)
    shown = read(source)[0].astype(int)
    assert np.abs(shown - (200, 30, 41)).max() <= 3
    save(source / name, blocks((171, 35, 45)), **options)
    assert np.abs(read(source)[0].astype(int) - (171, 35, 45)).max() <= 2


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_profiles_change_nothing_but_colors(source, fit):
    """With an sRGB profile and without one, and a wide picture in Adobe RGB with its margin."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    wide = noise(40, 64, 3)
    save(source / "a.png", wide)
    save(source / "b.png", wide, icc_profile=srgb)
    save(source / "c.png", blocks((171, 35, 45), (171, 35, 45)), icc_profile=adobe_rgb())
    plain, with_profile, adobe = read(source, fit=fit, background="#0000ff")
    assert np.array_equal(plain, with_profile)
    inside = slice(2, 6) if fit == "pad" else slice(None)
    assert np.abs(adobe[inside].astype(int) - (200, 30, 41)).max() <= 2
    assert fit != "pad" or (adobe[:2] == BLUE).all()


def test_profiles_are_applied_with_transparency_and_palettes(source):
    pixels = np.dstack([blocks((171, 35, 45)), np.full((8, 8), 255, np.uint8)])
    pixels[:, 4:, 3] = 0
    save(source / "a.png", pixels, icc_profile=adobe_rgb())
    palette = Image.fromarray(blocks((171, 35, 45))).convert("P", palette=Image.Palette.ADAPTIVE)
    save(source / "p.png", palette, icc_profile=adobe_rgb())
    images = read(source, background="#0000ff").astype(int)
    assert np.abs(images[0, :, :4] - (200, 30, 41)).max() <= 2 and (images[0, :, 4:] == BLUE).all()
    assert np.abs(images[1] - (200, 30, 41)).max() <= 2


@pytest.mark.parametrize("profile", [b"broken", adobe_rgb()[:200], b"\0" * 500])
def test_a_damaged_profile_is_ignored(source, profile):
    save(source / "a.png", blocks(GREEN), icc_profile=profile)
    save(source / "l.png", np.full((8, 8), 90, np.uint8), icc_profile=adobe_rgb())
    images = read(source)
    assert np.array_equal(images[0], blocks(GREEN)) and (images[1] == 90).all()


def test_srgb_changes_nothing(source):
    pixels = noise(8, 8, 3)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    save(source / "a.png", pixels, icc_profile=srgb)
    assert np.array_equal(read(source)[0], pixels)


# The report.


def test_the_report_counts_all_files(source):
    for i in range(30):
        save_gray(source / "cat" / f"{i}.png", i)
        save_gray(source / "dog" / f"{i}.png", 100 + i)
    (source / "cat" / "b.heic").write_bytes(b"")
    (source / "dog" / "damaged.png").write_bytes(b"no image")
    config = config_of(source, held_out=0.2, max_bad_images=0.5)
    trained, tested = load_images(config), load_split(config, "test")
    report = folder.folder_report(config)
    assert (report.all.found, report.all.trained) == (62, len(trained))
    assert report.all.left_out == {".heic": 1, "damaged": 1}
    assert report.all.held_out == len(tested) == 60 - len(trained)
    counts = load_training_labels(config, trained).classes.counts
    assert [report.classes[name].trained for name in ("cat", "dog")] == counts
    assert report.classes["cat"].found == 31 and report.classes["dog"].left_out == {"damaged": 1}
    assert report.as_dict()["classes"]["cat"]["left_out"] == {".heic": 1}


def test_a_report_does_not_decode_again(source, monkeypatch):
    for i in range(5):
        save_gray(source / f"{i}.png", i)
    config = config_of(source, conditional=False)
    load_images(config)
    monkeypatch.setattr(folder, "decode", None)
    assert str(folder.folder_report(config).all) == "5 found: 5 to train on, 0 held out"


def test_a_survey_reads_only_the_first_bytes_of_a_zips_members(source, monkeypatch):
    for i in range(20):
        save(source / f"{i:02}.png", blocks(RED))
    path, unpacked, unpack = zip_of(source), [], image_files.unpack
    monkeypatch.setattr(
        image_files, "unpack", lambda *args: unpacked.append(args[2]) or unpack(*args)
    )
    read(path)
    assert sorted(set(unpacked)) == [f"{i:02}.png" for i in range(20)] and len(unpacked) <= 22
