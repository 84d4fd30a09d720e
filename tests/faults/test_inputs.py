"""Damaged, odd and hostile inputs: image files, archives, configs and flags."""

import contextlib
import gzip
import io
import json
import pickle
import random
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from dcgan_tf.commands import train
from dcgan_tf.commands.flags import parse
from dcgan_tf.datasets.arrays import read_npz_images
from dcgan_tf.datasets.folder import load_folder
from dcgan_tf.datasets.loading import load_images
from dcgan_tf.run.open_run import open_run
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from tests.conftest import write_idx
from tests.faults.mutation import Trap, Tries, mutated, trap_array

pytestmark = pytest.mark.long


def check_digits(folder):
    images = load_images(Config(data_dir=str(folder), batch_size=1))
    assert images.dtype == np.uint8 and images.shape[1:] == (28, 28, 1) and len(images)


@pytest.mark.parametrize("zipped", [False, True])
def test_mutated_idx_files(tmp_path, mnist, held, elsewhere, zipped):
    rng, tries = random.Random(1), Tries()
    plain = tmp_path / "plain"
    write_idx(plain, mnist[:5])
    content = gzip.compress(plain.read_bytes()) if zipped else plain.read_bytes()
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / f"train-images-idx3-ubyte{'.gz' * zipped}"
    for i in range(150):
        path.write_bytes(mutated(content, rng))
        with tries.of(i):
            check_digits(folder)
    tries.check(held, f"mutated IDX file{', gzipped' * zipped}")


def test_a_gzip_bomb_is_read_only_up_to_its_declared_size(tmp_path, held, elsewhere):
    rng, tries = random.Random(2), Tries()
    header = gzip.compress(struct.pack(">iiii", 2051, 5, 28, 28))
    more = gzip.compress(bytes(2**24))
    for i in range(20):
        path = tmp_path / "train-images-idx3-ubyte.gz"
        path.write_bytes(header + rng.randrange(200, 400) * more)
        with tries.of(i), pytest.raises(UserError, match="holds more"):
            check_digits(tmp_path)
    tries.check(held, "gzip bomb of 3 to 6 GiB")


def npz(**arrays):
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def npy(header, content=b""):
    """A .npy file of any header."""
    header = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


def zip_of(members, **options):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", **options) as archive:
        for name, member in members:
            archive.writestr(name, member)
    return content.getvalue()


def encrypted(content):
    """A .zip whose every member says that it is encrypted."""
    content = bytearray(content)
    for mark, flag in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = content.find(mark)
        while at >= 0:
            content[at + flag] |= 1
            at = content.find(mark, at + 4)
    return bytes(content)


SHAPES = ("(5, 28, 28)", "(9" + "9" * 12 + ", 28, 28)", f"({2**70}, 28, 28)", f"({2**31}, 28, 28)")
HEADERS = [
    f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}"
    for descr in ("'|u1'", "'|O'", "'<f8'", "'|V4000000000'", "'|u1', 'x': 1", "[('a', '|u1')]")
    for order in ("False", "True", "None")
    for shape in (*SHAPES, "(-1, 28, 28)", "()", "(0, 28, 28)", "(5, 28, 28.0)", "'abc'")
] + ["{}", "[]", "", "(" * 5000, "{'descr'", "\x00", "__import__('os')", "1" * 5000, "{[]: 1}"]


def test_mutated_npz_files(tmp_path, mnist, held, elsewhere):
    rng, tries = random.Random(3), Tries()
    folder = tmp_path / "data"
    folder.mkdir()
    whole = npz(x_train=mnist[:5])
    contents = [mutated(whole, rng) for _ in range(250)]
    packed = io.BytesIO()
    np.savez_compressed(packed, x_train=mnist[:5])
    contents += [mutated(packed.getvalue(), rng) for _ in range(150)]
    pixels = mnist[:5].tobytes()
    contents += [zip_of([("x_train.npy", npy(header, pixels))]) for header in HEADERS]
    contents += [whole[:size] for size in range(0, len(whole), len(whole) // 20)]
    contents += [npz(x_train=trap_array(tmp_path / "ran")), zip_of([("x_train.npy", b"")])]
    array = io.BytesIO()
    np.save(array, mnist[:5])
    contents += [array.getvalue(), zip_of([("x_train.npy", b"\x93NUMPY\x09\x00")])]
    contents += [encrypted(whole), encrypted(packed.getvalue())]
    contents += [pickle.dumps(Trap(tmp_path / "ran")), zip_of([("x_train", whole)])]
    contents += [npz(x_train=np.full((5, 28, 28), value)) for value in (np.nan, np.inf, 0.5)]
    for i, content in enumerate(contents):
        (folder / "digits.npz").write_bytes(content)
        with tries.of(i):
            check_digits(folder)
    assert not (tmp_path / "ran").exists()
    tries.check(held, "mutated .npz, its headers, huge shapes, pickles")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_npz_of_floats_with_a_nan_or_infinity_is_refused(tmp_path, mnist, value):
    pixels = mnist[:5].astype(np.float32)
    pixels[3, 4, 5] = value
    np.savez(tmp_path / "digits.npz", x_train=pixels)
    with pytest.raises(UserError, match=r"x_train is float32 \[5, 28, 28\], not uint8"):
        read_npz_images(tmp_path / "digits.npz", "train")


def picture(format, **options):
    content = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    Image.fromarray(pixels).save(content, format, **options)
    return content.getvalue()


def chunk(kind, content):
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def png(width, height, data, *chunks):
    """A PNG of any size, whatever its data."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [header, *chunks, chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b"")]
    )


ENDINGS = {"JPEG2000": "jp2"}
WITH_EXIF = ("PNG", "JPEG", "WEBP")


def load_pictures(source, tmp_path, reading, share=1.0):
    settings = {"data_dir": str(source), "cache_dir": str(tmp_path / "cache"), "reading": reading}
    return load_folder(
        Config(image_size=8, max_bad_images=share, held_out=0.0, **settings), "train"
    )


@pytest.mark.parametrize("reading", [1, 2])
@pytest.mark.parametrize(
    "format, options",
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("GIF", {}),
        ("BMP", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("PPM", {}),
        ("JPEG2000", {}),
        ("AVIF", {}),
        ("TGA", {}),
        ("PCX", {}),
        ("SGI", {}),
    ],
)
def test_mutated_pictures(tmp_path, held, elsewhere, format, options, reading):
    """Beside an intact picture, which must come out as if it were alone."""
    rng, tries = random.Random(4), Tries()
    source = tmp_path / "pictures"
    source.mkdir()
    (source / "intact.png").write_bytes(picture("PNG"))
    (expected,) = load_pictures(source, tmp_path, reading)
    exif = Image.Exif()
    exif[0x0112], exif[0x8769] = 6, {0x9003: "2020"}
    content = picture(format, **options, **({"exif": exif} if format in WITH_EXIF else {}))
    changed = source / f"changed.{ENDINGS.get(format, format.lower())}"
    for i in range(100):
        changed.write_bytes(mutated(content, rng))
        with tries.of(i):
            images = load_pictures(source, tmp_path, reading)
            assert np.array_equal(images[-1], expected) and len(images) <= 2
    tries.check(held, f"mutated {format}{''.join(f', {option}' for option in options)}")


@pytest.mark.parametrize("reading", [1, 2])
def test_bombs_among_pictures(tmp_path, held, elsewhere, reading):
    tries = Tries()
    sizes = (60_000, 30_000, 2**31 - 1, 2**32 - 1, 0)
    bombs = [png(width, height, bytes(1000)) for width in sizes for height in sizes]
    text = [chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**28))), chunk(b"iCCP", b"x" * 999)]
    bombs += [png(8, 8, bytes(8 * 25), some) for some in text]
    bombs += [b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + bytes(6) + b";"]
    bombs += [
        struct.pack(
            "<2sIHHIIiiHHIIIIII", b"BM", 54, 0, 0, 54, 40, 2**31 - 1, side, 1, 24, 0, 0, 0, 0, 0, 0
        )
        for side in (2**31 - 1, -(2**31), 60_000)
    ]
    for i, content in enumerate(bombs):
        source = tmp_path / str(i)
        source.mkdir()
        (source / "bomb.png").write_bytes(content)
        with tries.of(i):
            load_pictures(source, tmp_path, reading)
        (source / "intact.png").write_bytes(picture("PNG"))
        with tries.of(f"{i} beside an intact picture"):
            assert len(load_pictures(source, tmp_path, reading)) <= 2
    tries.check(held, "decompression bombs: PNG, GIF, BMP")


NAMES = (
    *("../escape.png", "/absolute.png", "a/../../../escape.png", "C:\\a.png", "..\\..\\a.png"),
    *("a\0b.png", "a\nb.png", "\x1b[2Ja.png", "\ud800.png", "a" * 65000 + ".png", "a/" * 9999),
    *(".png", "..png", "a.png/", "a.png/b.png", "//a.png", "~/a.png", "$HOME.png", "con.png"),
)


@pytest.mark.parametrize("reading", [1, 2])
def test_odd_zips_of_pictures(tmp_path, held, elsewhere, reading):
    rng, tries = random.Random(5), Tries()
    good, packed = picture("PNG"), {"compression": zipfile.ZIP_DEFLATED}
    members = [(f"{i}.png", good) for i in range(3)]
    whole = zip_of(members)
    with_bomb = [*members, ("bomb.png", bytes(2**28 + 1)), ("other.png", bytes(2**26))]
    contents = {f"mutated {i}": mutated(whole, rng) for i in range(150)}
    contents |= {
        f"mutated deflated {i}": mutated(zip_of(members, **packed), rng) for i in range(50)
    }
    contents |= {f"cut {size}": whole[:size] for size in range(0, len(whole), len(whole) // 15)}
    for name in NAMES:
        with contextlib.suppress(UnicodeEncodeError):
            contents[f"named {name[:20]!r}"] = zip_of([*members, (name, good)])
            contents[f"damaged {name[:20]!r}"] = zip_of([*members, (name, b"not a picture")])
    contents |= {
        "encrypted": encrypted(whole),
        "bomb": zip_of(with_bomb, **packed),
        "nested": zip_of([*members, ("nested.zip", whole), ("nested.png", whole)]),
        "only nested": zip_of([("nested.zip", whole)]),
        "empty": zip_of([]),
        "no pictures": zip_of([("a.x\ny", good)]),
        "twice the same": whole + whole,
        "many": zip_of([(f"{i}.png", b"") for i in range(5000)]),
        "bzip2": zip_of(members, compression=zipfile.ZIP_BZIP2),
        "lzma": zip_of(members, compression=zipfile.ZIP_LZMA),
    }
    for kind in ("ZIP_BZIP2", "ZIP_LZMA"):
        content = zip_of(members, compression=getattr(zipfile, kind))
        contents |= {f"mutated {kind} {i}": mutated(content, rng) for i in range(40)}
    folder = tmp_path / "data"
    folder.mkdir()
    for name, content in contents.items():
        (folder / "a.zip").write_bytes(content)
        for share in (0.0, 1.0):
            with tries.of(f"{name}, {share}"):
                images = load_pictures(folder / "a.zip", tmp_path, reading, share)
                assert images.dtype == np.uint8 and len(images)
    assert [path.name for path in folder.iterdir()] == ["a.zip"]
    tries.check(held, ".zip: mutated, odd names, bombs, nested, encrypted, cut")


VALUES = [
    *(None, True, -1, 0, 1, 2**63, 10**30, 0.5, -0.0, float("nan"), float("inf"), "", "x", "inf"),
    *("9" * 5000, "\0", "\ud800", "a\nb", "x" * 10**6, [], {}, [[]], [None], {"a": 1}, [28, 28, 1]),
    *(
        [float("inf")],
        [10**30],
        {"shape": []},
        {"shape": [float("nan")], "sha256": 1, "number": {}},
    ),
    *({"shape": [28, 28, 1]}, {"shape": {}, "number": None, "sha256": None}, 10**400, [10**400]),
]


def test_mutated_configs(tmp_path, held, finished_run, mnist):
    rng, tries = random.Random(6), Tries()
    images = mnist[:50, ..., np.newaxis]
    source = finished_run / "config.json"
    values = json.loads(source.read_text())
    config, _ = RunDirectory(finished_run).read_config()
    contents = {f"mutated {i}": mutated(source.read_bytes(), rng) for i in range(300)}
    for i in range(400):
        changed = json.loads(source.read_text())
        part = rng.choice([changed, changed, changed["images"]])
        part[rng.choice(list(part))] = rng.choice(VALUES)
        contents[f"changed {i}"] = json.dumps(changed).encode()
    for i, value in enumerate(VALUES):
        contents[f"images {i}"] = json.dumps(values | {"images": value}).encode()
        contents[f"all {i}"] = json.dumps(value).encode()
    for name in values:
        contents[f"without {name}"] = json.dumps(
            {other: values[other] for other in values if other != name}
        ).encode()
    deep = {"[": b"[" * 10**5, "{": b'{"a":' * 10**5, "[]": b"[" * 10**5 + b"]" * 10**5}
    contents |= deep | {"digits": b"1" * 10**6, "nothing": b"", "UTF-16": "{}".encode("utf-16")}
    for name, content in contents.items():
        path = tmp_path / "run"
        path.mkdir(exist_ok=True)
        (path / "config.json").write_bytes(content)
        with tries.of(name), open_run(path, config, images, True):
            pass
        if name not in tries.wrong and tries.right == 0:
            assert (path / "config.json").read_bytes() == content
    tries.check(held, "mutated config.json")


def test_random_flags(tmp_path, held, elsewhere, capsys):
    rng, tries = random.Random(7), Tries()
    names = [*Config.__dataclass_fields__, *train.TrainFlags.__dataclass_fields__]
    names += ["", "x", "help", "flagfile", "undefok", "helpxml", "only_check_args", "h", "=", "é"]
    texts = [
        "",
        "0",
        "1",
        "-1",
        "1e400",
        "nan",
        "inf",
        "-inf",
        "1e-400",
        "0x10",
        "1_0",
        "١",
        "9" * 5000,
    ]
    texts += [
        "true",
        "no",
        "mnist",
        "paper",
        "wasserstein",
        "\udcff",
        "a\nb",
        "../x",
        "/",
        "x" * 10**5,
    ]
    texts += ["10", "0.5", "1.0", " 1", "None", "float16", "\x1b[2J", "/nowhere/flags"]
    for _ in range(1500):
        argv = ["train.py"]
        for _ in range(rng.randint(1, 4)):
            name, value = rng.choice(names), rng.choice(texts)
            forms = [f"--{name}={value}", f"-{name}={value}", f"--{name}", f"--no{name}", value]
            argv += (rng.choice([*forms[:1] * 4, *forms, "--", "-"]),)
        with tries.of(argv):
            config, run_flags = parse("Trains.", Config, train.TrainFlags, argv=argv)
            assert isinstance(run_flags.run_dir or config.default_run_dir(), str)
    capsys.readouterr()
    tries.check(held, "random flags")
