import contextlib
import errno
import hashlib
import io
import json
import logging
import os
import resource
import struct
import tempfile
import threading
import warnings
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from dcgan_tf.datasets import decoding, disk_images, folder, image_files, survey, workers
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.fixture
def source(tmp_path):
    """An empty folder for images."""
    path = tmp_path / "images"
    path.mkdir()
    return path


@pytest.fixture
def on_disk(monkeypatch):
    """Makes every dataset too large for memory."""
    monkeypatch.setattr(folder, "MEMORY_LIMIT", 0)


def load(source, size=8, split="train", **settings):
    """The images of a folder or .zip; none are held out, and the cache is beside it."""
    cache = str(source.parent / "cache")
    defaults = {"max_bad_images": 0.0, "held_out": 0.0, "cache_dir": cache, "reading": 1}
    given = {"data_dir": str(source), "image_size": size} | settings
    return folder.load_folder(Config(**defaults | given), split)


def save(path, pixels, **options):
    """Saves an array or a Pillow image, in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    image.save(path, **options)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def blocks(*colors, side=8):
    """Squares of one color each, side by side: uint8 [side, side * len(colors), 3]."""
    return np.asarray(colors, np.uint8).repeat(side, axis=0)[None].repeat(side, axis=0)


def save_numbered(source, count):
    """Saves images 00.png, 01.png, …, each filled with its index."""
    for i in range(count):
        save(source / f"{i:02}.png", np.full((8, 8, 3), i, np.uint8))


def numbers(images):
    """The indices of such images."""
    return images[:][:, 0, 0, 0].tolist()


def zip_of(source):
    """A .zip with the same files."""
    path = source.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(source.rglob("*"), reverse=True):
            archive.write(file, file.relative_to(source))
    return path


@pytest.mark.parametrize(
    "name, options",
    [
        ("a.png", {}),
        ("a.bmp", {}),
        ("a.gif", {}),
        ("a.webp", {"lossless": True}),
        ("a.jpg", {"quality": 100, "subsampling": 0}),
        ("a.JPEG", {"quality": 100, "subsampling": 0}),
        ("A.PNG", {}),
    ],
)
def test_every_format_keeps_its_colors(source, name, options):
    pixels = np.concatenate([blocks(RED, GREEN), blocks(BLUE, (90, 160, 30))])
    save(source / name, pixels, **options)
    images = load(source, 16)
    assert images.shape == (1, 16, 16, 3) and images.dtype == np.uint8
    tolerance = 2 if "J" in name.upper() else 0
    assert np.abs(images[0].astype(int) - pixels).max() <= tolerance


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_the_first_frame_of_an_animation_is_read(source, name):
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, GREEN)]
    save(source / name, frames[0], save_all=True, append_images=frames[1:])
    assert np.abs(load(source)[0].astype(int) - RED).max() <= 2


def test_an_image_of_the_right_size_is_unchanged(source):
    pixels = noise(16, 16, 3)
    save(source / "a.png", pixels)
    assert np.array_equal(load(source, 16)[0], pixels)


def test_odd_margins_do_not_blur(source):
    pixels = noise(16, 19, 3)
    save(source / "a.png", pixels)
    assert np.array_equal(load(source, 16)[0], pixels[:, 1:17])


def test_a_wide_image_is_cropped_padded_or_stretched(source):
    """Red, green and blue squares in a row are cropped to the middle, padded, or squeezed."""
    save(source / "a.png", blocks(RED, GREEN, BLUE, side=12))
    assert np.array_equal(load(source, 12)[0], blocks(GREEN, side=12))
    padded = load(source, 12, fit="pad")[0].astype(int)
    assert (padded[:4] == 255).all() and (padded[8:] == 255).all()
    stretched = load(source, 12, fit="stretch")[0].astype(int)
    for row in (*padded[4:8], *stretched):  # resizing blurs where two colors meet
        assert np.abs(row[[1, 6, 10]] - [RED, GREEN, BLUE]).max() < 20


def test_a_rectangle_is_cropped_padded_or_stretched_to_in_the_same_way(source):
    save(source / "a.png", blocks(RED, GREEN, BLUE, side=12))  # 12×36
    assert np.array_equal(load(source, (12, 24))[0], blocks(RED, GREEN, BLUE, side=12)[:, 6:30])
    tall = load(source, (24, 4))[0]  # 12×2 of the middle, doubled
    assert tall.shape == (24, 4, 3) and (tall == GREEN).all()
    padded = load(source, (20, 36), fit="pad", background="black")[0]
    assert np.array_equal(padded[4:16], blocks(RED, GREEN, BLUE, side=12))
    assert not padded[:4].any() and not padded[16:].any()
    stretched = load(source, (6, 36), fit="stretch")[0].astype(int)
    for row in stretched:
        assert np.abs(row[[5, 17, 30]] - [RED, GREEN, BLUE]).max() < 3


def test_padding_has_the_backgrounds_color_which_gray_images_may_lack(source):
    save(source / "tall.png", np.full((16, 8), 90, np.uint8))
    gray = load(source, fit="pad", background="#202020")[0, ..., 0]
    assert gray[0].tolist() == [32, 32, 90, 90, 90, 90, 32, 32] and (gray == gray[0]).all()
    red = load(source, fit="pad", background="red")[0]
    assert red[0].tolist() == [list(RED)] * 2 + [[90] * 3] * 4 + [list(RED)] * 2
    assert load(source, fit="crop", background="red").shape[3] == 1
    assert load(source, fit="stretch", background="red").shape[3] == 1


def test_padding_follows_the_exif_rotation(source):
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees
    save(source / "a.png", np.full((8, 16, 3), 90, np.uint8), exif=exif)
    padded = load(source, fit="pad", background="black")[0, ..., 0]
    assert (padded == [0, 0, 90, 90, 90, 90, 0, 0]).all()


def test_gray_images_have_one_channel(source):
    shades = noise(8, 8)
    save(source / "1.png", Image.fromarray(shades > 127))
    save(source / "l.png", shades)
    save(source / "la.png", np.dstack([shades, np.full_like(shades, 255)]))
    images = load(source)
    assert images.shape == (3, 8, 8, 1)
    assert np.array_equal(images[0, ..., 0], np.where(shades > 127, 255, 0))
    assert np.array_equal(images[1, ..., 0], shades)
    assert np.array_equal(images[2, ..., 0], shades)


def test_one_colored_image_gives_all_three_channels(source):
    shades = noise(8, 8)
    save(source / "gray.png", shades)
    save(source / "red.png", blocks(RED))
    images = load(source)
    assert images.shape == (2, 8, 8, 3)
    assert np.array_equal(images[0], np.dstack([shades] * 3))


def test_16_bit_gray_is_scaled_from_its_whole_range(source):
    shades = noise(8, 8)
    save(source / "a.png", shades.astype(np.uint16) * 257)
    assert np.array_equal(load(source)[0, ..., 0], shades)


def test_cmyk_becomes_rgb(source):
    save(source / "a.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0)), quality=100)
    assert np.abs(load(source)[0].astype(int) - RED).max() <= 3


def test_palette_counts_as_color_and_its_transparency_shows_the_background(source):
    image = Image.new("P", (8, 8), 0)
    image.putpalette([*RED, *GREEN])
    image.paste(1, (4, 0, 8, 8))
    save(source / "a.png", image, transparency=1)
    assert np.array_equal(
        load(source, background="#0000ff")[0], blocks(RED, BLUE, side=4).repeat(2, 0)
    )


@pytest.mark.parametrize("name, behind", [("white", (255, 255, 255)), ("#102030", (16, 32, 48))])
def test_alpha_shows_the_background(source, name, behind):
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:, 4:] = (200, 100, 0, 51)  # a fifth
    save(source / "a.png", pixels)
    image = load(source, background=name)[0]
    assert np.array_equal(image[:, :4], np.broadcast_to(behind, (8, 4, 3)))
    expected = np.array([200, 100, 0]) / 5 + np.array(behind) * 4 / 5
    assert np.abs(image[:, 4:] - expected).max() <= 1


@pytest.mark.parametrize("shades", [np.uint8([[7, 156]]), np.uint16([[7, 156 * 257]])])
def test_a_transparent_shade_of_gray_shows_the_background(source, shades):
    save(source / "a.png", np.tile(shades, (8, 4)), transparency=7)
    for name, behind in (("white", 255), ("#102030", [16, 32, 48])):
        image = load(source, background=name)[0]
        assert (image[:, ::2] == behind).all() and (image[:, 1::2] == 156).all()


def test_transparent_gray_has_color_only_on_a_colored_background(source):
    pixels = np.zeros((8, 8, 2), np.uint8)
    save(source / "a.png", pixels)
    assert np.array_equal(load(source, background="gray"), np.full((1, 8, 8, 1), 128))
    assert np.array_equal(load(source, background="red")[0], blocks(RED))


TURNS = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),  # the stored top is the right side: turn clockwise
    7: lambda stored: np.rot90(stored, 2).swapaxes(0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.jpg"])
def test_exif_orientation_is_applied(source, orientation, name):
    stored = np.concatenate([blocks(RED, GREEN), blocks(BLUE, (255, 255, 255))])
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {} if name == "a.png" else {"quality": 100, "lossless": True, "subsampling": 0}
    save(source / name, stored, exif=exif, **options)
    assert np.abs(load(source, 16)[0].astype(int) - TURNS[orientation](stored)).max() <= 2


def test_an_image_with_damaged_exif_is_read(source):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x8769] = {0x9003: "2020"}
    damaged = exif.tobytes().replace(struct.pack(">HH", 0x9003, 2), struct.pack(">HH", 0x9003, 9))
    for name, content in [("a.png", damaged), ("b.png", b"Exif\0\0garbage"), ("c.png", b"x")]:
        save(source / name, blocks(RED), exif=content)
    assert np.array_equal(load(source), [blocks(RED)] * 3)


def test_the_pictures_of_a_run_are_not_learned(source):
    save_numbered(source, 3)
    run = source / "runs" / "first"
    save(run / "samples" / "init.png", np.full((8, 8, 3), 9, np.uint8))
    (run / "checkpoints").mkdir()
    assert numbers(load(source)) == [0, 1, 2, 9]
    (run / "config.json").write_text("{}")
    assert numbers(load(source)) == [0, 1, 2]
    assert numbers(load(run)) == [9]  # asked for by name


def test_the_middle_of_landscape_and_portrait_is_kept(source):
    landscape = blocks(RED, GREEN, BLUE, side=10)
    save(source / "landscape.png", landscape)
    save(source / "portrait.png", landscape.swapaxes(0, 1))
    for size in (4, 10, 25):
        assert np.array_equal(load(source, size), [blocks(GREEN, side=size)] * 2)


def test_shrinking_averages_and_enlarging_keeps_the_places(source):
    fine = np.indices((64, 64)).sum(0) % 2 * 255
    save(source / "fine.png", fine.astype(np.uint8))
    assert np.abs(load(source, 8).astype(int) - 127).max() <= 3
    save(source / "fine.png", blocks((0, 0, 0), (255, 255, 255), side=2).repeat(2, axis=0))
    image = load(source, 16)[0]
    assert image[:, 0].max() < 20 and image[:, -1].min() > 235


def test_large_jpegs_keep_their_colors(source):
    pixels = blocks((20, 20, 20), (200, 40, 90), side=256).repeat(2, axis=0)
    save(source / "a.jpg", pixels, quality=95)
    image = load(source, 8)[0].astype(int)
    assert np.abs(image[:, 0] - (20, 20, 20)).max() <= 3
    assert np.abs(image[:, -1] - (200, 40, 90)).max() <= 3


def test_files_are_sorted_by_path_and_others_ignored(source):
    names = ["b.png", "a/z.png", "a/deep/er.png", "a-b.png", "B.png", "10.png", "9.png"]
    order = ["10.png", "9.png", "B.png", "a-b.png", "a/deep/er.png", "a/z.png", "b.png"]
    for name in names:
        save(source / name, np.full((8, 8), order.index(name), np.uint8))
    for name in [".hidden.png", ".thumbs/a.png", "__MACOSX/a.png", "a/._b.png"]:
        save(source / name, noise(8, 8, 3))
    (source / "labels.csv").write_text("a,b")
    for images in (load(source), load(zip_of(source))):
        assert images[:, 0, 0].tolist() == [[i] for i in range(7)]


def test_nothing_of_a_zip_is_unpacked_to_disk(tmp_path):
    content = io.BytesIO()
    Image.new("RGB", (8, 8), RED).save(content, "PNG")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("/absolute.png", "plain.png"):
            archive.writestr(name, content.getvalue())
        archive.writestr("a/../../escape.png", b"damaged")
    assert len(load(tmp_path / "a.zip")) == 2
    assert [path.name for path in tmp_path.rglob("*")] == ["a.zip"]


def huge_png():
    """A small PNG whose header declares 50,000×50,000 pixels."""

    def chunk(kind, content):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def encoded(format, **options):
    content = io.BytesIO()
    Image.fromarray(noise(64, 64, 3)).save(content, format, **options)
    return content.getvalue()


DAMAGED = {
    "empty.png": lambda: b"",
    "text.jpg": lambda: b"not an image at all",
    "bomb.png": huge_png,
    "cut.png": lambda: encoded("PNG")[:3000],
    "header.png": lambda: encoded("PNG")[:20],
    "cut.jpg": lambda: encoded("JPEG")[:2000],
    "cut.gif": lambda: encoded("GIF")[:2000],
    "cut.bmp": lambda: encoded("BMP")[:2000],
    "cut.webp": lambda: encoded("WEBP")[:500],
    "changed.png": lambda: encoded("PNG")[:2000] + bytes(50) + encoded("PNG")[2050:],
    "tiff.png": lambda: encoded("TIFF"),
    "eps.jpg": lambda: encoded("EPS"),
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("zipped", [False, True])
def test_a_damaged_file_is_left_out_with_a_warning(source, name, zipped, caplog):
    save_numbered(source, 3)
    (source / name).write_bytes(DAMAGED[name]())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = load(zip_of(source) if zipped else source, max_bad_images=0.25)
    assert numbers(images) == [0, 1, 2]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and name in record.getMessage()
    assert "object at" not in record.getMessage()


def test_more_pixels_than_the_limit_are_not_decoded(source, monkeypatch, caplog):
    monkeypatch.setattr(decoding, "MAX_PIXELS", 100)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 99)
    save(source / "at_limit.png", noise(10, 10))
    save(source / "over.png", noise(10, 11))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(load(source, max_bad_images=0.5)) == 1
    assert "over.png" in caplog.text and "11×10, more than 100 pixels" in caplog.text


def test_a_broken_link_counts_as_damaged(source, on_disk, caplog):
    save_numbered(source, 1)
    (source / "link.png").symlink_to("nowhere.png")
    assert len(load(source, max_bad_images=0.5)) == 1
    assert "link.png" in caplog.text
    (source / "nowhere.png").write_bytes((source / "00.png").read_bytes())
    assert len(load(source)) == 3


def test_a_pipe_does_not_block(source, caplog):
    save_numbered(source, 4)
    os.mkfifo(source / "pipe.png")
    assert len(load(source, max_bad_images=0.5)) == 4
    assert "pipe.png" in caplog.text and "not a regular file" in caplog.text
    with pytest.raises(UserError, match="neither a folder nor an intact .zip: not a regular file"):
        load(source / "pipe.png")


def test_damaged_members_of_a_zip_are_left_out_with_a_warning(source, monkeypatch, caplog):
    save_numbered(source, 4)
    save(source / "large.png", noise(64, 64, 3))
    monkeypatch.setattr(image_files, "MAX_MEMBER_BYTES", 5000)
    archive = zip_of(source)
    content = bytearray(archive.read_bytes())
    # Member 01 says that it is encrypted, in both of its headers.
    first, second = (content.find(b"01.png", at) for at in (0, content.find(b"PK\1\2")))
    content[first - 30 + 6] |= 1
    content[second - 46 + 8] |= 1
    # One byte of member 02 is not what its checksum says.
    content[content.find(b"02.png") + 40] ^= 1
    archive.write_bytes(content)
    assert numbers(load(archive, max_bad_images=0.6)) == [0, 3]
    one, two, large = (record.getMessage() for record in caplog.records)
    assert "01.png" in one and "encrypted" in one
    assert "02.png" in two and "CRC" in two
    assert "large.png" in large and "more than 5,000" in large


def test_the_error_of_too_many_damaged_images_gives_both_counts(source, caplog):
    save_numbered(source, 20)
    (source / "03.png").write_bytes(b"")
    (source / "11.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"2 of 20 .*03\.png .*`max_bad_images` allows 1:"):
        load(source, max_bad_images=0.09)
    assert not caplog.records
    assert len(load(source, max_bad_images=0.1)) == 18


def test_one_damaged_image_among_few_is_an_error(source):
    save_numbered(source, 3)
    (source / "00.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"1 of 3 .*`max_bad_images` allows 0:"):
        load(source, max_bad_images=0.01)


def test_the_fraction_is_not_rounded_down_by_binary_fractions(source):
    save_numbered(source, 100)
    for i in range(30):
        with pytest.raises(UserError, match="allows 0") if i else contextlib.nullcontext():
            load(source, max_bad_images=0.0)
        (source / f"{i:02}.png").write_bytes(b"")
    with pytest.raises(UserError, match="30 of 100 .*allows 29"):
        load(source, max_bad_images=0.29)
    save(source / "00.png", noise(8, 8))
    assert len(load(source, max_bad_images=0.29)) == 71


def test_the_fraction_is_of_both_splits_together(source):
    save_numbered(source, 60)
    held_out = load(source, split="test", held_out=0.1)
    assert 2 <= len(held_out) < 20
    damaged = f"{numbers(held_out)[0]:02}.png"
    (source / damaged).write_bytes(b"")
    settings = {"held_out": 0.1, "max_bad_images": 0.02}  # one of 60
    assert len(load(source, split="test", **settings)) == len(held_out) - 1
    assert len(load(source, **settings)) == 60 - len(held_out)


@pytest.mark.parametrize(
    "error, message",
    [
        (OSError(errno.EIO, os.strerror(errno.EIO)), "Input/output error"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_a_file_that_cannot_be_read_now_is_not_damaged(
    source, on_disk, monkeypatch, error, message
):
    save_numbered(source, 5)
    opened = decoding.open_image

    def open_image(files, name):
        if name == "03.png":
            raise error
        return opened(files, name)

    monkeypatch.setattr(decoding, "open_image", open_image)
    with pytest.raises(UserError, match=f"03.png can't be read: {message}"):
        load(source, max_bad_images=0.5)
    monkeypatch.undo()
    assert numbers(load(source, max_bad_images=0.5)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("limit", [0, folder.MEMORY_LIMIT])
def test_all_images_damaged_is_an_error_whatever_the_fraction(source, monkeypatch, limit):
    monkeypatch.setattr(folder, "MEMORY_LIMIT", limit)
    (source / "a.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"1 of 1 images are damaged, first a\.png"):
        load(source, max_bad_images=1.0)


def test_ten_damaged_images_are_named_and_the_rest_counted(source, caplog):
    save_numbered(source, 13)
    for i in range(1, 13):
        (source / f"{i:02}.png").write_bytes(b"")
    assert len(load(source, max_bad_images=1.0)) == 1
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 11
    assert all(f"{i + 1:02}.png" in messages[i] for i in range(10))
    assert messages[10].startswith("2 more")


@pytest.mark.parametrize(
    "names, message",
    [
        ([], r"has no images \(PNG, JPEG, GIF, BMP or WebP\); it has no files$"),
        (["a.mp4", "b.MP4", "c/d.mp4"], r"it has 3 files: \.mp4$"),
        (["README", "a.tiff"], r"it has 2 files: \.tiff, no suffix$"),
        ([f"a.{letter}" for letter in "abcdefg"], r"7 files: \.a, \.b, \.c, \.d, \.e, …$"),
        ([".hidden.png", "__MACOSX/a.png"], "it has no files$"),
    ],
)
def test_the_error_of_a_source_without_images_lists_what_it_has(source, names, message):
    for name in names:
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes(b"content")
    for path in (source, zip_of(source)):
        with pytest.raises(UserError, match=f"`data_dir` {path} .*{message}"):
            load(path)


def test_a_missing_source_is_an_error(tmp_path):
    with pytest.raises(UserError, match="`data_dir` .*absent does not exist"):
        load(tmp_path / "absent")


@pytest.mark.parametrize("damage", [lambda b: b"text", lambda b: b"", lambda b: b[: len(b) // 2]])
def test_a_bad_zip_is_an_error(source, damage):
    save_numbered(source, 3)
    archive = zip_of(source)
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(UserError, match=r"`data_dir` .*images\.zip is neither a folder nor an int"):
        load(archive)


@pytest.mark.parametrize("background", ["whyte", "#12345", "255,255,255"])
def test_a_background_that_is_not_a_color_is_an_error(source, background):
    save_numbered(source, 1)
    with pytest.raises(UserError, match=f"`background` '{background}' is not a color"):
        load(source, background=background)


def test_images_up_to_the_limit_stay_in_memory(source, monkeypatch):
    save_numbered(source, 5)
    monkeypatch.setattr(folder, "MEMORY_LIMIT", 5 * 8 * 8 * 3)
    assert isinstance(load(source), np.ndarray)
    assert not (source.parent / "cache").exists()
    monkeypatch.setattr(folder, "MEMORY_LIMIT", 5 * 8 * 8 * 3 - 1)
    assert isinstance(load(source), disk_images.DiskImages)


@pytest.fixture
def both(source, monkeypatch):
    """The same 20 images as an array, and on disk."""
    for i in range(20):
        save(source / f"{i:02}.png", noise(8, 8, 3, seed=i))
    array = load(source)
    monkeypatch.setattr(folder, "MEMORY_LIMIT", 0)
    return array, load(source)


@pytest.mark.parametrize(
    "index",
    [
        [3, 1, 1, 19],
        [],
        [-1, -20],
        np.arange(20)[::-1],
        np.array([7, 2], np.int32),
        np.array([[1, 2], [3, 4]]),
        slice(None),
        slice(5, 9),
        slice(-3, None),
        slice(15, 2, -4),
        slice(20, 30),
        4,
        np.arange(20) % 3 == 0,
    ],
    ids=str,
)
def test_images_on_disk_are_indexed_like_an_array(both, index):
    array, images = both
    assert images[index].dtype == np.uint8
    assert images[index].shape == array[index].shape
    assert np.array_equal(images[index], array[index])


def test_images_on_disk_have_the_shape_and_type_of_an_array(both):
    array, images = both
    assert images.shape == array.shape and images.dtype == array.dtype
    assert len(images) == len(array)
    for index in ([20], [-21], 20, (0, 1), (..., 0)):
        with pytest.raises(IndexError):
            images[index]


def test_threads_can_read_at_once(both):
    array, images = both

    def read(seed):
        index = np.random.default_rng(seed).integers(0, 20, 30)
        return np.array_equal(images[index], array[index])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(100)))


def test_the_error_names_a_file_that_is_cut_short_while_in_use(both):
    _, images = both
    os.truncate(images.paths[0], 100)
    with pytest.raises(OSError) as failure:
        images[[5]]
    assert failure.value.filename == str(images.paths[0])


def test_fingerprint_is_the_sha256_of_the_pixels(both, monkeypatch):
    array, images = both
    expected = hashlib.sha256(array.tobytes()).hexdigest()
    assert disk_images.fingerprint(array) == disk_images.fingerprint(images) == expected
    monkeypatch.setattr(disk_images, "CHUNK", 3)
    assert disk_images.fingerprint(images) == disk_images.fingerprint(array) == expected
    assert disk_images.fingerprint(array[::-1]) != expected


@pytest.fixture
def decoded(monkeypatch, on_disk):
    """The names that were decoded so far."""
    names = []
    decode = folder.decode

    def note(files, image_format, name):
        names.append(name)
        return decode(files, image_format, name)

    monkeypatch.setattr(folder, "decode", note)
    return names


@pytest.mark.parametrize("zipped", [False, True])
def test_an_unchanged_source_is_decoded_once(source, decoded, zipped):
    save_numbered(source, 5)
    path = zip_of(source) if zipped else source
    first = load(path)
    assert sorted(decoded) == [f"{i:02}.png" for i in range(5)]
    second = load(path)
    assert len(decoded) == 5
    assert np.array_equal(first[:], second[:]) and first.shape == second.shape


def test_warnings_and_limit_apply_again_without_decoding(source, decoded, caplog):
    save_numbered(source, 4)
    (source / "02.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"1 of 4 .*02\.png"):
        load(source, max_bad_images=0.0)
    for _ in range(2):
        caplog.clear()
        assert numbers(load(source, max_bad_images=0.25)) == [0, 1, 3]
        assert "02.png" in caplog.text
    with pytest.raises(UserError, match=r"1 of 4 .*02\.png"):
        load(source, max_bad_images=0.0)
    assert len(decoded) == 4


def touch(path):
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


@pytest.mark.parametrize(
    "change",
    [
        lambda source: save(source / "01.png", np.full((8, 8, 3), 77, np.uint8)),
        lambda source: touch(source / "01.png"),
        lambda source: save(source / "nested" / "a.png", blocks(RED)),
        lambda source: (source / "01.png").unlink(),
        lambda source: (source / "01.png").rename(source / "09.png"),
        lambda source: [save(path, noise(8, 8)) for path in source.iterdir()],
    ],
    ids=["content", "time", "added", "removed", "renamed", "gray"],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_a_changed_source_is_decoded_again(source, decoded, monkeypatch, change, zipped):
    save_numbered(source, 3)
    load(zip_of(source) if zipped else source)
    assert len(decoded) == 3
    change(source)
    path = zip_of(source) if zipped else source
    images = load(path)
    assert len(decoded) == 3 + len(images)
    monkeypatch.setattr(folder, "MEMORY_LIMIT", 1 << 20)
    assert np.array_equal(images[:], load(path))


def test_each_fit_has_a_file_of_its_own(source, decoded):
    save(source / "a.png", blocks(RED, GREEN, BLUE))
    kept = [load(source, fit=fit)[0] for fit in ("crop", "pad", "stretch", "crop")]
    assert decoded == ["a.png"] * 3
    assert np.array_equal(kept[0], kept[3]) and not np.array_equal(kept[0], kept[1])
    assert not np.array_equal(kept[1], kept[2])


def test_size_and_background_have_files_of_their_own(source, decoded):
    save(source / "a.png", np.zeros((8, 8, 4), np.uint8))
    assert load(source).shape == (1, 8, 8, 3)
    assert load(source, size=4).shape == (1, 4, 4, 3)
    assert np.array_equal(load(source, background="red")[0], blocks(RED))
    assert len(decoded) == 3
    assert np.array_equal(load(source, background="#fff")[0], np.full((8, 8, 3), 255))
    assert len(decoded) == 3


def test_folders_of_the_same_content_have_files_of_their_own(tmp_path, decoded):
    for name in ("one", "other"):
        save(tmp_path / name / "a.png", blocks(RED))
        os.utime(tmp_path / name / "a.png", (0, 0))
        load(tmp_path / name)
    assert len(decoded) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda pixels, note: os.truncate(pixels, 100),
        lambda pixels, note: pixels.write_bytes(pixels.read_bytes() + b"x"),
        lambda pixels, note: pixels.unlink(),
        lambda pixels, note: note.unlink(),
        lambda pixels, note: os.truncate(note, 10),
        lambda pixels, note: note.write_text("[]"),
        lambda pixels, note: note.write_text("{}"),
        lambda pixels, note: note.write_text("[" * 100_000),
        lambda pixels, note: pixels.write_bytes(b"x" + pixels.read_bytes()[1:]),
        *(
            lambda pixels, note, other=other: note.write_text(
                json.dumps(json.loads(note.read_text()) | other)
            )
            for other in (
                {"shape": [3, 0, 0, 0]},
                {"shape": [3, 10**30, 8, 3]},
                {"damaged": [1]},
                {"sha256": None},
            )
        ),
    ],
)
def test_a_damaged_cache_file_is_made_again(source, decoded, damage):
    save_numbered(source, 3)
    pixels = load(source).paths[0]
    assert json.loads(pixels.with_suffix(".json").read_text())["source"] == str(source)
    damage(pixels, pixels.with_suffix(".json"))
    assert numbers(load(source)) == [0, 1, 2]
    assert len(decoded) == 6


def test_an_interrupted_call_leaves_no_partial_cache(source, monkeypatch, on_disk):
    save_numbered(source, 3)

    def interrupted(files, image_format, name):
        if name == "02.png":
            raise KeyboardInterrupt
        return np.zeros((8, 8, 3), np.uint8)

    with monkeypatch.context() as patch:
        patch.setattr(folder, "decode", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load(source)
    assert [path.suffix for path in (source.parent / "cache").iterdir()] == [".lock"]
    assert numbers(load(source)) == [0, 1, 2]


def test_the_error_names_a_file_that_cannot_be_written(source, on_disk):
    save_numbered(source, 3)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))
    try:
        with pytest.raises(OSError) as failure:
            load(source)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert failure.value.filename.endswith(".pixels")
    assert [path.suffix for path in (source.parent / "cache").iterdir()] == [".lock"]


def test_only_a_few_results_are_ahead_of_their_use():
    started, lock = [0], threading.Lock()

    def work(name):
        with lock:
            started[0] += 1
        return name

    names = [str(i) for i in range(500)]
    for used, result in enumerate(workers.in_parallel(work, names)):
        assert result == names[used]
        assert started[0] <= used + workers.IN_FLIGHT
    assert started == [500]


def test_headers_are_read_up_to_the_first_colored_image(source, monkeypatch):
    monkeypatch.setattr(workers, "IN_FLIGHT", 2)
    save_numbered(source, 9)
    read = []
    has_color = survey.has_color
    monkeypatch.setattr(survey, "has_color", lambda *args: read.append(0) or has_color(*args))
    load(source)
    assert len(read) <= 2


def test_the_cache_is_in_the_temporary_folder_without_a_home(source, monkeypatch, on_disk):
    save_numbered(source, 1)
    (source / "file").write_text("not a folder")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(source / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(source.parent))
    images = load(source, cache_dir=None)
    assert images.paths[0].parent == source.parent / f"dcgan_tf-{os.getuid()}"
    assert images.paths[0].parent.stat().st_mode & 0o777 == 0o700


def test_held_out_images_are_chosen_by_name_and_never_trained_on(source):
    save_numbered(source, 60)

    def images_of(split, path=source):
        return set(numbers(load(path, split=split, held_out=0.25)))

    train, test = images_of("train"), images_of("test")
    assert train | test == set(range(60)) and not train & test
    assert 7 <= len(test) <= 23  # 15 expected, with a standard deviation of 3.4
    assert images_of("test", zip_of(source)) == test
    for i in range(60, 80):
        save(source / f"{i}.png", np.full((8, 8, 3), i, np.uint8))
    assert images_of("train") >= train and images_of("test") >= test


def test_splits_that_are_kept_on_disk_have_files_of_their_own(source, on_disk):
    save_numbered(source, 30)
    for path in (source, zip_of(source)):
        train, test = (load(path, split=split, held_out=0.25) for split in ("train", "test"))
        assert sorted(numbers(train) + numbers(test)) == list(range(30))


def test_a_split_without_images_is_refused(source):
    save_numbered(source, 1)
    with pytest.raises(UserError, match="`held_out` 0.0 leaves none of its .* to compare with"):
        load(source, split="test")


def test_a_folder_must_be_given_and_the_default_size_is_64(source):
    with pytest.raises(UserError, match="`dataset` folder needs `data_dir`"):
        folder.load_folder(Config(), "train")
    save_numbered(source, 1)
    assert load(source, size=None).shape == (1, 64, 64, 3)
