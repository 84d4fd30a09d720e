"""TFRecords: read back by TensorFlow's own reader, and read by index."""

import json
import math
import os
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dcgan_tf import data
from dcgan_tf.commands import tfrecords, train
from dcgan_tf.datasets import tfrecords as records
from dcgan_tf.datasets.disk_images import DiskImages, fingerprint
from dcgan_tf.datasets.tfrecords import read_tfrecords, write_tfrecords
from dcgan_tf.files.atomic_files import locked_folder
from dcgan_tf.run.checkpoints import Checkpoints
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError
from dcgan_tf.training import Trainer
from tests.conftest import STEPS_PER_EPOCH, finish, fork, one_sentence, thorough, train_command
from tests.small import state as variables
from tests.test_resume import state


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(256, size=(23, 8, 8, 3)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path, images):
    write_tfrecords(images, tmp_path / "records", "train", 4)
    return tmp_path / "records"


def test_tensorflows_own_reader_finds_the_images(folder, images):
    paths = sorted(map(str, folder.glob("*.tfrecord")))
    assert len(paths) == 4
    found = []
    for record in tf.data.TFRecordDataset(paths):
        parsed = tf.io.parse_single_example(record, {"image": tf.io.FixedLenFeature([], tf.string)})
        found.append(np.frombuffer(parsed["image"].numpy(), np.uint8).reshape(8, 8, 3))
    assert np.array_equal(found, images)


def test_images_are_read_by_index(folder, images):
    read = read_tfrecords(folder, "train")
    assert read.shape == images.shape and len(read) == 23
    for index in (0, -1, 22, slice(4, 15), [22, 0, 7, 7]):
        assert np.array_equal(read[index], images[index])
    assert fingerprint(read) == fingerprint(images)


def test_batches_are_those_of_the_images_themselves(folder, images):
    config = Config(batch_size=5)
    read = read_tfrecords(folder, "train")
    pairs = zip(*(data.make_batches(each, config, 2, 9) for each in (images, read)), strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)


def test_a_folders_images_are_written_as_they_are_fitted(run_main, tmp_path):
    (tmp_path / "wide").mkdir()
    for i in range(4):
        Image.new("RGB", (16, 8), (50 * i, 0, 0)).save(tmp_path / "wide" / f"{i}.png")
    source = ["--dataset=folder", f"--data_dir={tmp_path / 'wide'}", "--held_out=0"]
    settings = ["--fit=pad", "--background=blue", "--image_size=8"]
    code, _, err = run_main(tfrecords, *source, *settings, f"--output={tmp_path / 'records'}")
    assert code == 0, err
    written = read_tfrecords(tmp_path / "records", "train")[:]
    assert (written[:, [0, 1, 6, 7]] == [0, 0, 255]).all()
    assert (written[:, 2:6, :, 0] == np.reshape([0, 50, 100, 150], (4, 1, 1))).all()


@pytest.mark.parametrize("shards", [1, 23, 30])
def test_any_number_of_shards(tmp_path, images, shards):
    write_tfrecords(images, tmp_path, "test", shards)
    assert np.array_equal(read_tfrecords(tmp_path, "test")[:], images)


def rewrite(folder, **values):
    """Changes some values of train.json."""
    note = folder / "train.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | values))


def swap(folder):
    """Swaps the names of two shards of the same size."""
    first, second = (folder / f"train-0000{i}-of-00004.tfrecord" for i in (0, 1))
    first.rename(folder / "aside")
    second.rename(first)
    (folder / "aside").rename(second)


SHARD = "train-00001-of-00004.tfrecord"


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda folder: (folder / SHARD).unlink(), f"{SHARD} is missing"),
        (lambda folder: (folder / SHARD).unlink() or (folder / SHARD).mkdir(), "is missing"),
        (lambda folder: (folder / SHARD).unlink() or os.mkfifo(folder / SHARD), "is missing"),
        (
            lambda folder: (folder / "train.json").unlink(),
            "train.json is missing: write it with dcgan",
        ),
        (
            lambda folder: (folder / "train.json").unlink() or os.mkfifo(folder / "train.json"),
            "train.json is missing",
        ),
        (lambda folder: os.truncate(folder / SHARD, 1000), "was cut short"),
        (lambda folder: os.truncate(folder / SHARD, 0), "(too small for|holds 17 images, not 23)"),
        (lambda folder: (folder / "train.json").write_text("{"), "train.json can't be used"),
        (lambda folder: (folder / "train.json").write_text("[]"), "train.json can't be used"),
        (lambda folder: (folder / "train.json").write_text("{}"), "'shape'"),
        (lambda folder: (folder / "train.json").write_text("[" * 99_999), "train.json can't be"),
        (lambda folder: (folder / "train.json").write_bytes(b"\xff"), "train.json can't be used"),
        *(
            (
                lambda folder, value=value: rewrite(folder, shards=value),
                "is not a whole number from 1",
            )
            for value in (0, -1, math.inf, math.nan, "4", [4], None, True, 4.0, {}, 10**30)
        ),
        (lambda folder: rewrite(folder, shards=2**31 - 1), "00000-of-2147483647.* is missing"),
        (lambda folder: rewrite(folder, shards=3), "00000-of-00003.tfrecord is missing"),
        *(
            (lambda folder, value=value: rewrite(folder, shape=value), "train.json can't be used")
            for value in (
                None,
                7,
                "2388",
                [],
                [23],
                [23, 8, 8],
                [23, 8, 8, 3, 1],
                [0, 8, 8, 3],
                [22, 8, 8, 3],
                [24, 8, 8, 3],
                [23, 8, 8, -3],
                [23, 8, 8, "3"],
                [23, 8, 8, 3.5],
                [23, 8, 8, math.inf],
                [23, 8, 8, 1],
                [23, 9, 9, 3],
                [23, 10**6, 10**6, 3],
                [10**30, 8, 8, 3],
                [23, 10**30, 10**30, 3],
                [2**31 - 1, 2**31 - 1, 2**31 - 1, 3],
            )
        ),
        *(
            (lambda folder, value=value: rewrite(folder, sha256=value), "their sha256 differs")
            for value in ("", None, 5, [], "0" * 64)
        ),
        (swap, "does not hold the images that .*train.json describes"),
    ],
)
def test_damage_is_an_error(folder, damage, message):
    damage(folder)
    with pytest.raises(UserError, match=message) as error:
        read_tfrecords(folder, "train")
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_a_shard_of_other_images_is_refused(folder, images):
    write_tfrecords(255 - images, folder / "others", "train", 4)
    (folder / "others" / SHARD).replace(folder / SHARD)
    with pytest.raises(UserError, match="does not hold the images that .*train.json describes"):
        read_tfrecords(folder, "train")


@pytest.mark.parametrize("compared", [0, 1 << 30], ids=["large", "small"])
def test_every_flipped_bit_is_found_where_it_is_read(folder, images, monkeypatch, compared):
    """Wherever it is in a record: its length, the checksum of that, the pixels, their checksum."""
    monkeypatch.setattr(records, "MAX_VERIFIED_BYTES", compared)
    shard = folder / "train-00002-of-00004.tfrecord"
    content = shard.read_bytes()
    size = len(content) // 6  # of the 23 images it has numbers 12 to 17
    for place in (*range(30), size // 2, *range(size - 6, size)):
        place += 3 * size
        shard.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(OSError, match="was cut short or changed") as error:
            read_tfrecords(folder, "train")[15]
        assert error.value.filename == str(shard)
    if not compared:
        assert np.array_equal(read_tfrecords(folder, "train")[:15], images[:15])


@pytest.mark.parametrize("place", [0, -10], ids=["header", "pixels"])
def test_a_record_that_was_changed_is_never_trained_on(folder, place):
    read = read_tfrecords(folder, "train")
    shard = folder / "train-00002-of-00004.tfrecord"
    content = bytearray(shard.read_bytes())
    content[place] ^= 1
    shard.write_bytes(content)
    with pytest.raises(OSError, match="changed"):
        read[:]


@pytest.mark.parametrize("damaged", [SHARD, "train.json"])
def test_damaged_records_must_be_deleted_before_they_are_written_again(folder, images, damaged):
    (folder / damaged).write_bytes(b"")
    with pytest.raises(UserError, match="damaged TFRecords .*: delete train.json and the files"):
        write_tfrecords(images, folder, "train", 4)
    for path in folder.glob("train*"):
        path.unlink()
    write_tfrecords(images, folder, "train", 4)
    assert np.array_equal(read_tfrecords(folder, "train")[:], images)


def test_what_a_killed_process_left_is_deleted(folder, images):
    (folder / ".part").mkdir()
    (folder / ".part" / "test-00000-of-00009.tfrecord").write_bytes(b"half a reco")
    write_tfrecords(images, folder, "test", 2)
    assert np.array_equal(read_tfrecords(folder, "test")[:], images)
    assert len(list(folder.iterdir())) == 8


def test_nothing_is_overwritten_and_a_failure_leaves_nothing(tmp_path, folder, images):
    def written():
        """All but the times of access, which reading changes."""
        stats = [path.stat() for path in sorted(folder.iterdir())]
        return [(stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats]

    before = written()
    write_tfrecords(images, folder, "train", 4)
    assert written() == before
    for other, shards in ((images[1:], 4), (images, 3)):
        with pytest.raises(UserError, match="already has a train.json of other images"):
            write_tfrecords(other, folder, "train", shards)
    (folder / "train.json").unlink()
    with locked_folder(folder), pytest.raises(UserError, match="another process is writing to"):
        write_tfrecords(images, folder, "train", 4)
    with pytest.raises(UserError, match="already has a train-00000-of-00004.tfrecord, but no"):
        write_tfrecords(255 - images, folder, "train", 4)
    assert len(list(folder.iterdir())) == 4
    assert written() == before[:4]
    cut = tmp_path / "pixels"
    images.tofile(cut)
    on_disk = DiskImages([cut], images.shape)
    os.truncate(cut, 2000)
    with pytest.raises(OSError):
        write_tfrecords(on_disk, tmp_path / "other", "train", 4)
    assert list((tmp_path / "other").iterdir()) == []


@pytest.mark.thorough
def test_a_run_on_tfrecords_equals_one_on_the_images_however_often_it_stops(
    run_main, finished_run, digits_dir, tmp_path
):
    records = tmp_path / "records"
    flags = [f"--data_dir={digits_dir}", f"--output={records}", "--shards=3"]
    command = [sys.executable, "-m", "dcgan_tf", "tfrecords", *flags]
    code, out, err = finish(command, how=fork)
    assert code == 0 and err == ""
    assert (
        "train  50 images of 28×28×1 in 3 files" in out
        and "`" not in out
        and "test   none: " in out
    )
    code, _, err = run_main(tfrecords, f"--to_tfrecords={records}")
    assert code == 1 and f"--output {records} already has a train.json of other images" in err
    for flag in ("--conditional", "--flip"):
        code, _, err = run_main(tfrecords, *flags, flag)
        assert code == 1 and "leave out --conditional, and pass --flip" in err
    code, _, err = run_main(tfrecords, flags[0])
    assert code == 1 and "--output is required" in err and one_sentence(err)
    run_dir = tmp_path / "run"
    command = train_command(run_dir, records, "--dataset=tfrecords", "--eval_every=0")[2:]
    for last in (5, 8, 2 * STEPS_PER_EPOCH):
        code, _, err = run_main(train, *command, f"--max_steps={last}")
        assert code == 0, err
    ours, theirs = state(run_dir), state(finished_run)
    assert [name for name in theirs if ours[name] != theirs[name]] == []
    code, _, err = run_main(train, *command, "--image_size=56", f"--run_dir={tmp_path / 'large'}")
    assert code == 1 and "have the size 28: set --image_size 28" in err and one_sentence(err)


@pytest.mark.parametrize("at_once", [1, 4])
def test_steps_before_one_that_cannot_read_its_images_are_kept(tmp_path, at_once):
    numbered = np.repeat(np.arange(50, dtype=np.uint8), 64).reshape(50, 8, 8, 1)
    settings = {"base_filters": 2, "noise_dim": 4, "batch_size": 4, "eval_every": 0}
    config = Config(**settings, steps_per_execution=at_once)
    batches = data.make_batches(numbered, config, 0, 7)
    *before, last = (set(data.to_uint8(batch)[:, 0, 0, 0].tolist()) for batch in batches)
    damaged = min(last.difference(*before))
    write_tfrecords(numbered, tmp_path / "records", "train", 1)
    images = read_tfrecords(tmp_path / "records", "train")
    (path,) = images.paths
    content = bytearray(path.read_bytes())
    content[(damaged + 1) * len(content) // 50 - 5] ^= 1  # its last pixel
    path.write_bytes(content)
    run = RunDirectory(tmp_path / "run")
    with pytest.raises(UserError, match="changed: repair it .* resume from step 6 of 600$"):
        Trainer(config, images).fit(run)
    restored = Trainer(config, images)
    assert restored.restore(run) == 6 and len(restored.history.metrics) == 6
    alone = Trainer(config, numbered)
    for batch in data.make_batches(numbered, config, 0, 6):
        alone.train_step(batch)
    for value, wanted in zip(variables(restored.gan), variables(alone.gan), strict=True):
        np.testing.assert_array_equal(value, wanted)


# A run on two devices, in a process of its own, whose shard is damaged once step 2 is saved.
DAMAGED = """
import sys
from pathlib import Path
import tensorflow as tf
from dcgan_tf.run.checkpoints import Checkpoints
from dcgan_tf.commands.program import run
from dcgan_tf.commands import train

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
save, shard = Checkpoints.save, Path({shard!r})

def save_and_damage(checkpoints, step, *args):
    save(checkpoints, step, *args)
    if step == 2:
        shard.write_bytes(shard.read_bytes()[::-1])

Checkpoints.save = save_and_damage
sys.argv = {argv}
run(train.main)
"""


@pytest.mark.parametrize(
    "flags",
    [[], *thorough(["--steps_per_execution=2"], ["--strategy=mirrored"])],
    ids=["one", "several_steps", "mirrored"],
)
def test_damage_during_training_is_one_sentence_and_the_repaired_run_resumes(
    mnist, finished_run, tmp_path, flags
):
    folder = tmp_path / "records"
    write_tfrecords(mnist[:50, ..., np.newaxis], folder, "train", 3)
    shard = folder / "train-00001-of-00003.tfrecord"
    whole = shard.read_bytes()
    command = train_command(tmp_path / "run", folder, "--dataset=tfrecords", "--eval_every=0")
    code = DAMAGED.format(shard=str(shard), argv=[*command[1:], *flags])
    ends, out, err = finish([sys.executable, "-c", code], how=fork)
    assert ends == 1 and one_sentence(err), err
    assert (
        f"{shard} was cut short or changed: repair it and run the same command again to resume"
        in err
    )
    assert ("2 × CPU" in out) == ("--strategy=mirrored" in flags)
    step = int(err.split("from step ")[1].split(" of 12")[0])
    assert Checkpoints(tmp_path / "run" / "checkpoints").steps()[-1] == step
    shard.write_bytes(whole)
    ends, out, err = finish([sys.executable, "-c", code], how=fork)
    assert ends == 0 and f"resumed after step {step}, to step 12" in out, err
    if "--strategy=mirrored" not in flags:
        ours, theirs = state(tmp_path / "run"), state(finished_run)
        assert [name for name in theirs if ours[name] != theirs[name]] == []
