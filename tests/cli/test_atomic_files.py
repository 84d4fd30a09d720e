import pytest

from dcgan_tf.cli import atomic_files


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
