"""Damaged files of a run, and code hidden in them."""

import io
import pickle
import random
import shutil

import numpy as np
import pytest

from dcgan_tf.commands import sample, train
from dcgan_tf.reporting import history
from tests.conftest import finish, one_sentence, train_command
from tests.faults.mutation import Trap, trap_array
from tests.test_resume import assert_same_run, flags, state

pytestmark = pytest.mark.long


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
    """Applies one of DAMAGES to a file, removes it, or replaces it with another model's."""
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
    assert "ckpt-12 is damaged" in caplog.text
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
