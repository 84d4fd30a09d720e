import sys

import pytest

from dcgan_tf.files import atomic_files
from dcgan_tf.settings.errors import UserError
from tests.conftest import finish, fork


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), atomic_files.atomic_write(path) as file:
        file.write(b"new")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_failed_write_names_the_file(tmp_path):
    path = tmp_path / "absent" / "a.txt"
    with pytest.raises(OSError, match=r"absent/a.txt"), atomic_files.atomic_write(path):
        pass


def test_a_link_in_place_of_the_part_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("kept")
    (tmp_path / ".a.txt.part").symlink_to("precious")
    with pytest.raises(OSError, match=r"a\.txt"), atomic_files.atomic_write(tmp_path / "a.txt"):
        pass
    assert (tmp_path / "precious").read_text() == "kept"


def test_two_processes_do_not_write_a_file_at_once(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_files.atomic_write(path) as file:
        file.write(b"first")
        with (
            pytest.raises(OSError, match=r"another process is writing it.*a\.txt"),
            atomic_files.atomic_write(path),
        ):
            pass
    assert path.read_bytes() == b"first" and list(tmp_path.iterdir()) == [path]


def test_a_file_renamed_in_the_meantime_is_not_truncated(tmp_path, monkeypatch):
    path, part = tmp_path / "a.txt", tmp_path / ".a.txt.part"
    part.write_bytes(b"first")

    def lock_once_it_is_written(*_):
        part.rename(path)
        return True

    monkeypatch.setattr(atomic_files, "lock", lock_once_it_is_written)
    with pytest.raises(OSError, match="another process"), atomic_files.atomic_write(path):
        pass
    assert path.read_bytes() == b"first"


@pytest.mark.parametrize("name", ["new", "new/nested", "old"])
def test_a_folder_is_filled_atomically(tmp_path, name):
    (tmp_path / "old").mkdir()
    folder = tmp_path / name
    for error in (ZeroDivisionError, KeyboardInterrupt):
        with pytest.raises(error), atomic_files.atomic_folder(folder) as part:
            (part / "a").touch()
            raise error
        assert [path.name for path in tmp_path.rglob("*")] == ["old"]
    with atomic_files.atomic_folder(folder) as part:
        (part / "a").mkdir()
        (part / "a" / "b").touch()
        (part / "c").touch()
        assert atomic_files.is_free(folder)
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    assert found == ["a", "a/b", "c"] and not atomic_files.is_free(folder)


@pytest.mark.parametrize("name", ["new", "old"])
def test_what_a_killed_process_left_in_a_folder_is_deleted(tmp_path, name):
    (tmp_path / "old").mkdir()
    killed = f"""
import os
from pathlib import Path
from dcgan_tf.files.atomic_files import atomic_folder
with atomic_folder(Path({str(tmp_path / name)!r})) as part:
    (part / "left").mkdir()
    os.kill(os.getpid(), 15)
"""
    assert finish([sys.executable, "-c", killed], how=fork)[0] == -15
    assert list(tmp_path.rglob("left")) and atomic_files.is_free(tmp_path / name)
    with atomic_files.atomic_folder(tmp_path / name) as part:
        (part / "a").touch()
    assert [path.name for path in (tmp_path / name).rglob("*")] == ["a"]
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("name", ["new", "old"])
def test_two_processes_do_not_fill_a_folder_at_once(tmp_path, name):
    (tmp_path / "old").mkdir()
    with atomic_files.atomic_folder(tmp_path / name) as part:
        (part / "a").touch()
        with (
            pytest.raises(UserError, match=f"another process is writing to .*/{name}: wait"),
            atomic_files.atomic_folder(tmp_path / name),
        ):
            pass
    assert [path.name for path in (tmp_path / name).iterdir()] == ["a"]


def test_a_folder_filled_in_the_meantime_is_unchanged(tmp_path):
    for name in ("new", "old"):
        folder = tmp_path / name
        if name == "old":
            folder.mkdir()
        with (
            pytest.raises(OSError, match="Directory not empty"),
            atomic_files.atomic_folder(folder) as part,
        ):
            (part / "a").touch()
            folder.mkdir(exist_ok=True)
            (folder / "b").touch()
        assert [path.name for path in folder.iterdir()] == ["b"]
