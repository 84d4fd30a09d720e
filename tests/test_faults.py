"""Faults on purpose: what a run, its files and its inputs may meet, many times over.

`pytest -n 0 -s -m long tests/test_faults.py` ends with a table of what was tried.
"""

import contextlib
import fcntl
import gzip
import io
import json
import logging
import multiprocessing
import os
import pickle
import pty
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import sample
import train
from dcgan_tf import events, history, reporting
from dcgan_tf.array_files import read_npz
from dcgan_tf.checkpoints import Checkpoints
from dcgan_tf.commandline import parse, run
from dcgan_tf.config import Config
from dcgan_tf.data import load_images
from dcgan_tf.errors import UserError
from dcgan_tf.folder import load_folder
from dcgan_tf.run_directory import RunDirectory, open_run
from dcgan_tf.training import Trainer
from tests import test_resume
from tests.conftest import ENVIRONMENT, ROOT, finish, one_sentence, start, train_command, write_idx
from tests.test_resume import assert_same_run, flags, state, table, wait_for

pytestmark = pytest.mark.long
MOST_SECONDS = 10
MOST_MEMORY = 1.5 * 2**30


@pytest.fixture(scope="module")
def held():
    """Takes rows of the campaign's table, and prints it at the end: fault, tries, what held."""
    rows = []
    yield lambda *row: rows.append(" | ".join(map(str, row)))
    print("", *rows, sep="\n")


# Mutated inputs


def flip(content, rng, at, size):
    content[at : at + 1] = bytes([content[at] ^ 1 << rng.randrange(8)])


def cut(content, rng, at, size):
    del content[at:]


def leave_out(content, rng, at, size):
    del content[at : at + size]


def double(content, rng, at, size):
    content[at:at] = content[at : at + size]


def insert(content, rng, at, size):
    content[at:at] = rng.randbytes(size)


def overwrite(content, rng, at, size):
    content[at : at + size] = rng.randbytes(len(content[at : at + size]))


def zero(content, rng, at, size):
    content[at : at + size] = bytes(len(content[at : at + size]))


def fill(content, rng, at, size):
    content[at : at + size] = b"\xff" * len(content[at : at + size])


def swap(content, rng, at, size):
    content[at:] = content[at + size :] + content[at : at + size]


CHANGES = (flip, cut, leave_out, double, insert, overwrite, zero, fill, swap)


def mutated(content, rng):
    """The bytes after one to three random changes, every second time near the beginning or end."""
    content = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        if content:
            at = rng.randrange(len(content))
            at = rng.choice([at, at, at % 64, max(0, len(content) - 1 - at % 64)])
            rng.choice(CHANGES)(content, rng, at, rng.choice([1, 2, 4, 16, 100, 1000]))
    return bytes(content)


def told(error):
    """What a command that ends in an error says."""

    def fail():
        raise error

    with contextlib.redirect_stderr(io.StringIO()) as err, pytest.raises(SystemExit):
        run(fail)
    return err.getvalue()


class Tries:
    """Calls that must each be right or end in one sentence, soon and with little memory.

    Whatever else happens is kept in `wrong`, under the name of the try.
    """

    def __init__(self):
        self.right, self.refused, self.wrong = 0, 0, {}
        self.before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @contextlib.contextmanager
    def of(self, name):
        began = time.monotonic()
        try:
            yield
            self.right += 1
        except (UserError, OSError) as error:  # what `run` makes one line of
            self.refused += 1
            if not one_sentence(told(error)):
                self.wrong[name] = repr(error)
        except SystemExit as end:
            self.right += end.code == 0
        except BaseException as error:
            self.wrong[name] = repr(error)[:200]
        if time.monotonic() - began > MOST_SECONDS:
            self.wrong[name] = "took too long"

    def check(self, held, fault):
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - self.before) * 1024
        count = self.right + self.refused + len(self.wrong)
        held(fault, count, f"{self.right} right, {self.refused} refused in a sentence")
        assert not self.wrong, {what: name for name, what in self.wrong.items()}
        assert grown < MOST_MEMORY
        assert count >= 20


@pytest.fixture
def elsewhere(tmp_path, monkeypatch, caplog):
    """Makes sure that nothing is written to the current, the home or the temporary folder."""
    caplog.set_level(logging.ERROR)
    places = [tmp_path / name for name in ("current", "home", "temporary")]
    for place in places:
        place.mkdir()
    monkeypatch.chdir(places[0])
    monkeypatch.setenv("HOME", str(places[1]))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(places[2]))
    yield
    assert [list(place.iterdir()) for place in places] == [[], [], []]


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


def test_gzip_bomb_is_read_no_further_than_it_says(tmp_path, held, elsewhere):
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


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def trap_array(path):
    """An array that makes a file when it is unpickled."""
    return np.array([Trap(path)], dtype=object)


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
def test_npz_of_floats_with_a_pixel_that_is_no_number_is_refused(tmp_path, mnist, value):
    pixels = mnist[:5].astype(np.float32)
    pixels[3, 4, 5] = value
    np.savez(tmp_path / "digits.npz", x_train=pixels)
    with pytest.raises(UserError, match=r"x_train is float32 \[5, 28, 28\], not uint8"):
        read_npz(tmp_path / "digits.npz")


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


def load_pictures(source, tmp_path, share=1.0):
    return load_folder(source, 8, "white", share, tmp_path / "cache")


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
    ],
)
def test_mutated_pictures(tmp_path, held, elsewhere, format, options):
    """Beside an intact picture, which must come out as if it were alone."""
    rng, tries = random.Random(4), Tries()
    source = tmp_path / "pictures"
    source.mkdir()
    (source / "intact.png").write_bytes(picture("PNG"))
    (expected,) = load_pictures(source, tmp_path)
    exif = Image.Exif()
    exif[0x0112], exif[0x8769] = 6, {0x9003: "2020"}
    content = picture(format, **options, **({} if format in ("GIF", "BMP") else {"exif": exif}))
    for i in range(100):
        (source / f"changed.{format.lower()}").write_bytes(mutated(content, rng))
        with tries.of(i):
            images = load_pictures(source, tmp_path)
            assert np.array_equal(images[-1], expected) and len(images) <= 2
    tries.check(held, f"mutated {format}{''.join(f', {option}' for option in options)}")


def test_bombs_among_pictures(tmp_path, held, elsewhere):
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
            load_pictures(source, tmp_path)
        (source / "intact.png").write_bytes(picture("PNG"))
        with tries.of(f"{i} beside an intact picture"):
            assert len(load_pictures(source, tmp_path)) <= 2
    tries.check(held, "decompression bombs: PNG, GIF, BMP")


NAMES = (
    *("../escape.png", "/absolute.png", "a/../../../escape.png", "C:\\a.png", "..\\..\\a.png"),
    *("a\0b.png", "a\nb.png", "\x1b[2Ja.png", "\ud800.png", "a" * 65000 + ".png", "a/" * 9999),
    *(".png", "..png", "a.png/", "a.png/b.png", "//a.png", "~/a.png", "$HOME.png", "con.png"),
)


def test_odd_zips_of_pictures(tmp_path, held, elsewhere):
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
                images = load_pictures(folder / "a.zip", tmp_path, share)
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
    saved = {name: values[name] for name in values if name not in ("images", "made_with")}
    config = Config.from_dict(saved)
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
    names = [*Config.__dataclass_fields__, *train.RunFlags.__dataclass_fields__]
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
            config, run_flags = parse("Trains.", Config, train.RunFlags, argv=argv)
            assert isinstance(run_flags.run_dir or config.default_run_dir(), str)
    capsys.readouterr()
    tries.check(held, "random flags")


# Kills

forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload([__name__])  # a fork of it starts in a second


def run_command(command, log, hook):
    """What a new `python train.py` does, once it has its imports."""
    for stream, path in ((1, os.devnull), (2, log)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    sys.argv = command[1:]
    if hook:
        sys.addaudithook(hook)
    run(train.main)


def fork(command, hook=None):
    """Starts a command of `train_command` in a fork, and gives it when it runs."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    log = command[3].removeprefix("--run_dir=") + ".errors"
    process = forks.Process(target=run_command, args=(command, log, hook))
    process.start()
    return process


def errors(run_dir):
    """What the last fork had to say."""
    return Path(f"{run_dir}.errors").read_text()


def end(command):
    """Runs a command to its end in a fork, and returns its exit code."""
    process = fork(command)
    process.join(240)
    return process.exitcode


def wait_in_fork(condition, process):
    """Waits until something is so; returns whether it was before the process ended."""
    while process.is_alive():
        if condition():
            return True
        time.sleep(0.001)
    return False


def changed(path):
    """A test of whether a file is another than it is now."""
    now = path.stat().st_mtime_ns if path.exists() else None
    return lambda: path.exists() and path.stat().st_mtime_ns != now


def left_over(run_dir):
    """What a write that was cut short left."""
    return [
        path.name
        for path in run_dir.rglob("*")
        if path.name.startswith("unfinished") or path.name.endswith(".part")
    ]


@pytest.fixture(scope="module")
def long_run(tmp_path_factory, digits_dir):
    """A run of 60 steps that nothing interrupted."""
    run_dir = tmp_path_factory.mktemp("long") / "run"
    assert finish(train_command(run_dir, digits_dir, "--epochs=10"))[0] == 0
    return run_dir


def test_a_hundred_kills_at_random_moments(tmp_path, digits_dir, long_run, held, monkeypatch):
    """Of about ten runs, each killed until it is at its end and compared with the whole one."""
    monkeypatch.setattr(test_resume, "LAST_STEP", 60)
    rng, kills, runs = random.Random(8), 0, 0
    while kills < 100:
        run_dir = tmp_path / str(runs)
        command = train_command(run_dir, digits_dir, "--epochs=10")
        for _ in range(10):
            begun = changed(run_dir / "step_times.npy")
            process = fork(command)
            wait_in_fork(begun, process)
            process.join(rng.uniform(0, 3))
            kills += process.is_alive()
            process.kill()
            process.join()
        assert end(command) == 0
        assert left_over(run_dir) == []
        assert_same_run(run_dir, long_run)
        shutil.rmtree(run_dir)
        runs += 1
    held("SIGKILL at a random moment of training", kills, f"{runs} runs bit for bit the same")


def test_kills_during_start_up(tmp_path, digits_dir, finished_run, held):
    rng = random.Random(9)
    command = train_command(tmp_path / "run", digits_dir)
    for _ in range(10):
        process = fork(command)
        process.join(rng.uniform(0.1, 4))
        process.kill()
        process.join()
    assert end(command) == 0
    assert left_over(tmp_path / "run") == []
    assert_same_run(tmp_path / "run", finished_run)
    held("SIGKILL at a random moment of start-up", 10, "the run bit for bit the same")


class KillBeforeRename:
    """Kills its process as a file is about to take its place, having cut some of it off or not."""

    def __init__(self, name, is_cut):
        self.name, self.is_cut = name, is_cut

    def __call__(self, event, arguments):
        if event == "os.rename" and Path(os.fspath(arguments[1])).name.startswith(self.name):
            if self.is_cut:
                os.truncate(arguments[0], os.path.getsize(arguments[0]) // 2)
            os.kill(os.getpid(), signal.SIGKILL)


WRITTEN = (
    *("config.json", "reals.png", "init.png", "step_times.npy", "ckpt-2.data", "ckpt-2.index"),
    *("checkpoint", "ckpt-4.data", "ckpt-4.index", "epoch_0001.png", "metrics.csv", "losses.png"),
    *("training.gif", "ckpt-6.data", "ckpt-8.index", "events.out", "epoch_0002.png"),
    *("training.gif", "ckpt-12.data", "ckpt-12.index", "checkpoint"),
)


def test_kills_as_each_file_is_written(tmp_path, digits_dir, finished_run, held):
    """One run, killed at each in turn, with half or all of it written."""
    command = train_command(tmp_path / "run", digits_dir)
    for i, name in enumerate(WRITTEN):
        process = fork(command, KillBeforeRename(name, is_cut=i % 2 == 0))
        process.join(240)
        assert process.exitcode == -signal.SIGKILL, name
    assert end(command) == 0
    assert left_over(tmp_path / "run") == []
    assert_same_run(tmp_path / "run", finished_run)
    held("SIGKILL as a file is written", len(WRITTEN), "the run bit for bit the same")


def test_kills_within_the_saving_of_a_checkpoint(tmp_path, digits_dir, long_run, held, monkeypatch):
    monkeypatch.setattr(test_resume, "LAST_STEP", 60)
    rng, kills = random.Random(10), 0
    command = train_command(tmp_path / "run", digits_dir, "--epochs=10")
    folder = tmp_path / "run" / "checkpoints"
    for _ in range(12):
        process = fork(command)
        after = rng.randrange(3)
        begun = changed(tmp_path / "run" / "step_times.npy")
        for _ in range(1 + after):
            wait_in_fork(begun, process)
            begun = changed(tmp_path / "run" / "step_times.npy")
        wait_in_fork((folder / "unfinished").exists, process)
        process.join(rng.uniform(0, 0.1))
        process.kill()
        process.join()
        kills += (folder / "unfinished").exists()
    assert kills >= 6
    assert end(command) == 0
    assert left_over(tmp_path / "run") == []
    assert_same_run(tmp_path / "run", long_run)
    held("SIGKILL while a checkpoint is half written", kills, "the run bit for bit the same")


# Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_sent_twice_saves_once(tmp_path, digits_dir, held, number):
    rng, slowest = random.Random(number), 0.0
    for i in range(5):
        run_dir = tmp_path / str(i)
        process = fork(train_command(run_dir, digits_dir, "--epochs=1000", "--checkpoint_steps=7"))
        assert wait_in_fork((run_dir / "samples" / "init.png").exists, process)
        process.join(rng.uniform(0, 8))
        began = time.monotonic()
        os.kill(process.pid, number)
        process.join(rng.choice([0, 0, 0.05, 0.5]))
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
        process.join(30)
        slowest = max(slowest, time.monotonic() - began)
        assert process.exitcode == 128 + number
        err = errors(run_dir)
        assert f"stopped by {number.name}: saved at step" in err and one_sentence(err)
        saved = int(err.split("saved at step ")[1].split()[0])
        newest = tf.train.latest_checkpoint(str(run_dir / "checkpoints"))
        assert newest.endswith(f"ckpt-{saved}") and table(run_dir)[-1][1] == str(saved)
        assert left_over(run_dir) == []
    held(f"{number.name} twice", 5, f"saved, exit code {128 + number}, within {slowest:.1f} s")


# Damaged files of a run


@pytest.fixture(scope="module")
def other_run(tmp_path_factory, digits_dir):
    """A finished run of another model."""
    run_dir = tmp_path_factory.mktemp("other") / "run"
    assert finish(train_command(run_dir, digits_dir, "--base_filters=4"))[0] == 0
    return run_dir


def flip_a_bit(content, rng):
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]


DAMAGES = {
    "cut to half": lambda content, rng: content[: len(content) // 2],
    "cut by one byte": lambda content, rng: content[:-1],
    "empty": lambda content, rng: b"",
    "random bytes": lambda content, rng: rng.randbytes(len(content)),
    "zeros": lambda content, rng: bytes(len(content)),
} | {f"a bit flipped, {i}": flip_a_bit for i in range(3)}

OTHER_DAMAGES = ("missing", "another model's")


def damage(path, name, rng, other_run):
    """Does one of DAMAGES to a file, or takes it away, or puts another model's in its place."""
    if name == "missing":
        path.unlink()
    elif name == "another model's":
        shutil.copy(other_run / "checkpoints" / path.name, path)
    else:
        path.write_bytes(DAMAGES[name](path.read_bytes(), rng))


@pytest.mark.parametrize(
    "name, suffixes",
    [
        *((name, [suffix]) for name in (*DAMAGES, *OTHER_DAMAGES) for suffix in ("index", "data")),
        ("another model's", ["index", "data"]),
    ],
)
def test_damaged_newest_checkpoint(
    run_main, finished_run, other_run, digits_dir, tmp_path, caplog, held, name, suffixes
):
    rng = random.Random(name)
    run_dir = tmp_path / "run"
    shutil.copytree(finished_run, run_dir)
    for suffix in suffixes:
        (path,) = (run_dir / "checkpoints").glob(f"ckpt-12.{suffix}*")
        damage(path, name, rng, other_run)
    code, out, _ = run_main(train, *flags(run_dir, digits_dir))
    assert code == 0 and "resumed after step 10" in out
    assert "ckpt-12 is damaged and not used" in caplog.text
    assert_same_run(run_dir, finished_run)
    held(f"newest checkpoint's {' and '.join(suffixes)}: {name}", 1, "named, the one before used")


@pytest.mark.parametrize(
    "name, suffix",
    [
        ("cut to half", "data"),
        ("empty", "index"),
        ("random bytes", "data"),
        ("a bit flipped, 0", "index"),
        ("a bit flipped, 0", "data"),
        ("missing", "data"),
        ("missing", "index"),
    ],
)
def test_damage_to_all_checkpoints_ends_in_a_sentence(
    run_main, finished_run, digits_dir, tmp_path, held, name, suffix
):
    run_dir = tmp_path / "run"
    shutil.copytree(finished_run, run_dir)
    for path in (run_dir / "checkpoints").glob(f"ckpt-*.{suffix}*"):
        damage(path, name, random.Random(name), None)
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    code, _, err = run_main(train, *flags(run_dir, digits_dir))
    assert code == 1 and "has no intact checkpoint" in err and one_sentence(err)
    code, _, err = run_main(sample, f"--run_dir={run_dir}", f"--output={tmp_path / 'a.png'}")
    assert code == 1 and one_sentence(err) and not (tmp_path / "a.png").exists()
    after = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    assert after.keys() == before.keys()
    assert [path.name for path in after if after[path] != before[path]] in ([], ["config.json"])
    held(f"every checkpoint's {suffix}: {name}", 1, "refused in a sentence, nothing changed")


@pytest.mark.parametrize("name", [*DAMAGES, "missing"])
def test_damaged_list_of_checkpoints(run_main, finished_run, digits_dir, tmp_path, held, name):
    run_dir = tmp_path / "run"
    shutil.copytree(finished_run, run_dir)
    damage(run_dir / "checkpoints" / "checkpoint", name, random.Random(name), None)
    code, out, _ = run_main(train, *flags(run_dir, digits_dir))
    assert code == 0 and "nothing left to do" in out
    assert_same_run(run_dir, finished_run)
    held(f"checkpoints/checkpoint: {name}", 1, "written anew")


@pytest.mark.parametrize("content", [b"", b"\xff", b"1", b"-12", b"9" * 5000, b"12 10", b"\x8012"])
def test_damaged_best(run_main, finished_run, tmp_path, held, content):
    run_dir = tmp_path / "run"
    shutil.copytree(finished_run, run_dir)
    (run_dir / "checkpoints" / "best").write_bytes(content)
    arguments = (f"--run_dir={run_dir}", f"--output={tmp_path / 'a.png'}", "--checkpoint=best")
    code, _, err = run_main(sample, *arguments)
    assert code == 1 and one_sentence(err) and not (tmp_path / "a.png").exists()
    held(f"checkpoints/best: {content[:9]}", 1, "refused in a sentence")


OTHER_FILES = (
    *("samples/init.png", "samples/epoch_0001.png", "samples/reals.png", "training.gif"),
    *("metrics.csv", "losses.png", "step_times.npy", "tensorboard/*", ".lock"),
)


@pytest.mark.parametrize("pattern", OTHER_FILES)
def test_damage_to_what_a_run_shows_does_not_stop_it(
    run_main, finished_run, digits_dir, tmp_path, held, pattern
):
    names = ["cut to half", "random bytes", "missing"]
    for name in names:
        run_dir = tmp_path / name
        shutil.copytree(finished_run, run_dir)
        (run_dir / "checkpoints" / "ckpt-12.index").unlink()
        (path,) = run_dir.glob(pattern)
        damage(path, name, random.Random(name), None)
        code, out, err = run_main(train, *flags(run_dir, digits_dir))
        assert code == 0 and "resumed after step 10" in out, err
        ours, theirs = state(run_dir), state(finished_run)
        assert [key for key in theirs if key.startswith("ckpt") and ours[key] != theirs[key]] == []
        shutil.rmtree(run_dir)
    held(f"{pattern} {', '.join(names)}", len(names), "the run goes on")


# Disks and folders


@pytest.fixture
def small_disk(tmp_path):
    """A folder that is a disk of 300 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", folder]).returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def remount(folder, options):
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def fill_up(folder):
    with (folder / "filler").open("wb", 0) as filler, contextlib.suppress(OSError):
        while filler.write(bytes(4096)):
            pass


PLACES = (
    (RunDirectory, "write_config", 0),
    (reporting.Report, "begin", 0),
    (reporting, "save_png", 1),
    (events.EventLog, "images", 0),
    (history.History, "save_times", 0),
    (Checkpoints, "save", 0),
    (Checkpoints, "save", 2),
    (Checkpoints, "_update_latest", 1),
    (events.EventLog, "histograms", 0),
    (reporting.Report, "end_epoch", 0),
    (reporting.Report, "write_files", 0),
    (reporting, "plot_losses", 0),
    (reporting, "save_gif", 0),
)


@pytest.mark.parametrize("owner, name, calls", PLACES)
def test_disk_that_is_full_from_some_moment_on(
    run_main, finished_run, digits_dir, small_disk, monkeypatch, held, owner, name, calls
):
    """Its moment is before the given call, after some more of it; then there is room again."""
    whole = getattr(owner, name)
    left = [calls]

    def on_a_full_disk(*arguments):
        if left[0] == 0:
            fill_up(small_disk)
        left[0] -= 1
        return whole(*arguments)

    arguments = flags(small_disk / "run", digits_dir)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, on_a_full_disk)
        code, _, err = run_main(train, *arguments)
        assert code == 1 and "No space left on device" in err and one_sentence(err)
    if (small_disk / "run" / "config.json").exists():
        code, _, err = run_main(train, *arguments)
        assert code == 1 and "No space left on device" in err and one_sentence(err)
    (small_disk / "filler").unlink()
    assert run_main(train, *arguments)[0] == 0
    assert left_over(small_disk / "run") == []
    assert_same_run(small_disk / "run", finished_run)
    held(f"disk full before {name}", 1, "one sentence; with room again, the run ends the same")


@pytest.mark.parametrize("kibibytes", [4, 8, 12, 20, 28, 40, 60, 90, 130, 29_000, 30_000, 59_000])
def test_disk_of_some_size(run_main, finished_run, digits_dir, small_disk, held, kibibytes):
    remount(small_disk, f"size={kibibytes}k")
    arguments = flags(small_disk / "run", digits_dir)
    code, _, err = run_main(train, *arguments)
    assert code == 1 and "No space left on device" in err and one_sentence(err)
    remount(small_disk, "size=300m")
    assert run_main(train, *arguments)[0] == 0
    assert left_over(small_disk / "run") == []
    assert_same_run(small_disk / "run", finished_run)
    held(f"disk of {kibibytes} KiB", 1, "one sentence; with room, the run ends the same")


def test_disk_that_can_not_be_written(run_main, finished_run, digits_dir, small_disk, held):
    arguments = flags(small_disk / "run", digits_dir)
    for steps in (None, 3):
        if steps:
            assert run_main(train, *arguments, f"--max_steps={steps}")[0] == 0
        remount(small_disk, "ro")
        code, _, err = run_main(train, *arguments)
        assert code == 1 and "Read-only file system" in err and one_sentence(err)
        remount(small_disk, "rw")
    assert run_main(train, *arguments)[0] == 0
    assert_same_run(small_disk / "run", finished_run)
    held("read-only disk, at the start and to go on", 2, "one sentence; then the run ends the same")


@pytest.mark.parametrize("folder", [".", "checkpoints", "samples", "tensorboard"])
def test_folder_that_can_not_be_written(run_main, finished_run, digits_dir, tmp_path, held, folder):
    arguments = flags(tmp_path / "run", digits_dir)
    assert run_main(train, *arguments, "--max_steps=3")[0] == 0
    if subprocess.run(["chattr", "+i", tmp_path / "run" / folder]).returncode:
        pytest.skip("chattr is not allowed here")
    try:
        code, _, err = run_main(train, *arguments)
        assert code == 1 and "Operation not permitted" in err and one_sentence(err)
    finally:
        subprocess.run(["chattr", "-i", tmp_path / "run" / folder], check=True)
    assert run_main(train, *arguments)[0] == 0
    assert_same_run(tmp_path / "run", finished_run)
    held(f"read-only folder {folder}", 1, "one sentence; then the run ends the same")


@pytest.mark.parametrize("is_moved", [False, True])
def test_run_directory_that_goes_away(tmp_path, digits_dir, long_run, held, monkeypatch, is_moved):
    monkeypatch.setattr(test_resume, "LAST_STEP", 60)
    rng = random.Random(11)
    for i in range(5):
        run_dir, other = tmp_path / str(i), tmp_path / f"moved {i}"
        process = fork(train_command(run_dir, digits_dir, "--epochs=10"))
        assert wait_in_fork((run_dir / "checkpoints" / "checkpoint").exists, process)
        process.join(rng.uniform(0, 6))
        if is_moved:
            run_dir.rename(other)
        else:
            shutil.rmtree(run_dir, ignore_errors=True)
        process.join(30)
        assert process.exitcode == 1
        assert "No such file or directory" in errors(run_dir) and one_sentence(errors(run_dir))
        shutil.rmtree(run_dir, ignore_errors=True)
    if is_moved:
        assert end(train_command(other, digits_dir, "--epochs=10")) == 0
        assert_same_run(other, long_run)
    held(f"run directory {'moved' if is_moved else 'deleted'} while in use", 5, "one sentence")


def test_second_run_in_a_directory_is_refused(tmp_path, digits_dir, long_run, held, monkeypatch):
    monkeypatch.setattr(test_resume, "LAST_STEP", 60)
    command = train_command(tmp_path / "run", digits_dir, "--epochs=10")
    first = fork(command)
    assert wait_in_fork((tmp_path / "run" / "config.json").exists, first)
    refused = 0
    while first.is_alive() and refused < 10:
        second = start(command)
        _, err = second.communicate()
        if first.is_alive():
            assert second.returncode == 1 and "is in use by another process" in err
            assert one_sentence(err)
            refused += 1
    first.join(240)
    assert first.exitcode == 0 and refused >= 2
    assert_same_run(tmp_path / "run", long_run)
    held("a second run in the same directory", refused, "refused in a sentence, the first the same")


# Numbers that are none


@pytest.mark.parametrize(
    "step, value", [(1, np.nan), (4, np.nan), (5, np.nan), (6, np.inf), (12, np.nan)]
)
def test_weight_that_is_no_number(
    run_main, finished_run, digits_dir, tmp_path, monkeypatch, held, step, value
):
    restore = Trainer.restore

    def restore_and_break(self, run):
        whole_step = self.train_step

        def broken_step(images):
            output = whole_step(images)
            if int(self.step) == step:
                self.discriminator.layers[0].kernel[0, 0].assign(value)
            return output

        self.train_step = broken_step
        return restore(self, run)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "restore", restore_and_break)
        code, _, err = run_main(train, *flags(tmp_path / "run", digits_dir))
    good = (step - 1) // 2 * 2
    last = f"ckpt-{good})" if good else "checkpoint: none)"
    assert code == 1 and last in err and one_sentence(err)
    named = re.search(r"step (\d+) (has|left)", err)
    assert int(named[1]) in (step, step + 1)
    code, out, _ = run_main(train, *flags(tmp_path / "run", digits_dir))
    assert code == 0 and (f"resumed after step {good}" if good else "from the start") in out
    assert_same_run(tmp_path / "run", finished_run)
    held(f"a weight {value} after step {step}", 1, "stopped there, last good checkpoint kept")


@pytest.mark.parametrize("rate", ["1e38", "1e30", "1e20", "1e10"])
def test_exploding_rate(run_main, digits_dir, tmp_path, held, rate):
    code, _, err = run_main(train, *flags(tmp_path / "run", digits_dir, f"--learning_rate={rate}"))
    newest = tf.train.latest_checkpoint(str(tmp_path / "run" / "checkpoints"))
    assert code == 1 and "lower --learning_rate" in err and one_sentence(err)
    assert (newest or "none") in err
    held(f"a learning rate of {rate}", 1, err.split(", and was")[0].removeprefix("train.py: "))


# Surroundings


JUMPING_CLOCK = """
import itertools, runpy, sys, time
real, jumps = time.time, itertools.cycle([0, 3, -2, 400, -400, 0.5])
time.time = lambda: real() + 86400 * next(jumps)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_clock_that_jumps_by_days(tmp_path, digits_dir, finished_run, held):
    command = train_command(tmp_path / "run", digits_dir)
    code, _, err = finish([command[0], "-c", JUMPING_CLOCK, *command[1:]])
    assert code == 0 and err == ""
    assert_same_run(tmp_path / "run", finished_run)
    held("a clock that jumps by days at each look", 1, "the run ends the same")


def test_clock_that_jumps_between_two_parts_of_a_run(
    run_main, tmp_path, digits_dir, finished_run, held
):
    """The first part is two days older: files of events carry the time in their names."""
    arguments = flags(tmp_path / "run", digits_dir)
    assert run_main(train, *arguments, "--max_steps=7")[0] == 0
    (path,) = (tmp_path / "run" / "tensorboard").iterdir()
    parts = path.name.split(".")
    parts[3] = str(int(parts[3]) - 2 * 86400)
    path.rename(path.with_name(".".join(parts)))
    assert run_main(train, *arguments)[0] == 0
    assert_same_run(tmp_path / "run", finished_run)
    held("a clock set two days ahead between two parts", 1, "the run ends the same")


def start_in_terminal(command, is_immune):
    """Starts a command as the leader of a terminal's session; gives the terminal's other side."""

    def take_terminal():
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        if is_immune:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    near, far = pty.openpty()
    process = subprocess.Popen(
        command,
        env=ENVIRONMENT,
        stdin=far,
        stdout=far,
        stderr=far,
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    os.close(far)
    return process, near


@pytest.mark.parametrize("file", ["config.json", "checkpoints/ckpt-4.index"])
@pytest.mark.parametrize("is_immune", [False, True])
def test_terminal_that_goes_away(tmp_path, digits_dir, finished_run, held, is_immune, file):
    command = train_command(tmp_path / "run", digits_dir)
    process, terminal = start_in_terminal(command, is_immune)
    wait_for((tmp_path / "run" / file).exists, process)
    if not is_immune:
        time.sleep(1)
    os.close(terminal)
    process.wait(240)
    if is_immune:
        assert process.returncode == 0
    else:
        assert process.returncode == 129
        assert (tmp_path / "run" / "checkpoints" / "checkpoint").exists()
        assert end(command) == 0
    assert_same_run(tmp_path / "run", finished_run)
    what = "goes on to its end" if is_immune else "saved, and ends the same later"
    held(f"terminal closed{' under nohup' * is_immune} after {file}", 1, what)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("lines", [0, 1, 7])
def test_closed_pipe(tmp_path, digits_dir, finished_run, held, stream, lines):
    """As by `train.py | head`."""
    process = start(train_command(tmp_path / "run", digits_dir))
    pipe = getattr(process, stream)
    for _ in range(lines if stream == "stdout" else 0):
        pipe.readline()
    pipe.close()
    process.wait(240)
    assert process.returncode == 0
    assert_same_run(tmp_path / "run", finished_run)
    held(f"{stream} closed after {lines} lines", 1, "the run ends the same")


@pytest.mark.parametrize("home", ["unset", "absent", "read-only", "a file"])
def test_home_that_is_no_use(tmp_path, digits_dir, finished_run, held, home):
    names = {"absent": tmp_path / "absent", "read-only": Path("/proc"), "a file": ROOT / "train.py"}
    environment = {"HOME": str(names[home])} if home in names else {}
    command = train_command(tmp_path / "run", digits_dir)
    if home == "unset":
        command = ["env", "-u", "HOME", *command]
    process = start(command, **environment)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0 and err == ""
    assert_same_run(tmp_path / "run", finished_run)
    held(f"HOME {home}", 1, "the run ends the same")


# Code in a run's files


@pytest.mark.parametrize("name", ["step_times.npy", "config.json", "ckpt-12.index", "ckpt-12.data"])
def test_pickles_in_a_run_are_not_run(run_main, finished_run, digits_dir, tmp_path, held, name):
    trap = Trap(tmp_path / "ran")
    array, archive = io.BytesIO(), io.BytesIO()
    np.save(array, trap_array(tmp_path / "ran"))
    np.savez(archive, times=trap_array(tmp_path / "ran"))
    contents = [pickle.dumps(trap), array.getvalue(), archive.getvalue()]
    for i, content in enumerate(contents):
        run_dir = tmp_path / str(i)
        shutil.copytree(finished_run, run_dir)
        if name == "step_times.npy":
            (run_dir / "checkpoints" / "ckpt-12.index").unlink()
        (path,) = run_dir.rglob(f"{name}*")
        path.write_bytes(content)
        code, _, err = run_main(train, *flags(run_dir, digits_dir))
        assert not (tmp_path / "ran").exists()
        if name == "config.json":
            assert code == 1 and one_sentence(err)
        else:
            assert code == 0
            assert_same_run(run_dir, finished_run)
    held(f"a pickle as {name}", len(contents), "not run")


def test_pickle_within_a_checkpoint_is_not_run(run_main, digits_dir, tmp_path, monkeypatch, held):
    content = io.BytesIO()
    np.save(content, trap_array(tmp_path / "ran"))
    arguments = flags(tmp_path / "run", digits_dir)
    with monkeypatch.context() as patch:
        patch.setattr(history.History, "serialize", lambda self: content.getvalue())
        assert run_main(train, *arguments, "--max_steps=3")[0] == 0
    code, _, err = run_main(train, *arguments)
    assert code == 1 and "has no intact checkpoint" in err and one_sentence(err)
    assert not (tmp_path / "ran").exists()
    held("a pickle within a checkpoint", 1, "not run, refused in a sentence")
