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


def test_a_link_in_the_place_of_the_part_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("kept")
    (tmp_path / ".a.txt.part").symlink_to("precious")
    with pytest.raises(OSError, match=r"a\.txt"), atomic_files.atomic_write(tmp_path / "a.txt"):
        pass
    assert (tmp_path / "precious").read_text() == "kept"
