import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dcgan_tf.datasets import cache
from dcgan_tf.settings.errors import UserError


def test_processes_that_want_the_same_file_take_turns(tmp_path, capsys):
    inside, most = [0], [0]

    def enter(_):
        with cache.locked(tmp_path / "new" / "file"):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.02)
            inside[0] -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(enter, range(4)))
    assert most == [1]
    assert f"waiting for another process that is writing {tmp_path / 'new' / 'file'}\n" in (
        capsys.readouterr().out
    )


def test_the_cache_is_in_the_users_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.default_cache_dir() == tmp_path / "xdg" / "dcgan_tf"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache.default_cache_dir() == tmp_path / "home" / ".cache" / "dcgan_tf"


@pytest.fixture
def in_temporary(tmp_path, monkeypatch):
    """The cache folder in the temporary folder, not made yet, without a home."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"dcgan_tf-{os.getuid()}"


def test_without_a_home_the_cache_is_a_private_temporary_folder(in_temporary):
    for _ in range(2):
        assert cache.default_cache_dir() == in_temporary
        assert in_temporary.stat().st_mode & 0o777 == 0o700


def another_users(folder):
    folder.mkdir(mode=0o700)
    try:
        os.chown(folder, os.getuid() + 1, -1)
    except PermissionError:
        pytest.skip("only root can give files away")


def open_to_all(folder):
    folder.mkdir()
    folder.chmod(0o777)


def link(folder):
    (folder.parent / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to("elsewhere")


def link_to_nowhere(folder):
    folder.symlink_to("nowhere")


@pytest.mark.parametrize("plant", [another_users, open_to_all, link, link_to_nowhere])
def test_a_folder_that_another_user_may_have_planted_is_refused(in_temporary, plant):
    plant(in_temporary)
    with pytest.raises(UserError, match="not a folder that only you can access: delete it, or set"):
        cache.default_cache_dir()


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "file.lock").symlink_to("precious")
    with pytest.raises(OSError, match="file.lock"), cache.locked(tmp_path / "file.pixels"):
        pass
    assert (tmp_path / "precious").read_text() == "kept"
