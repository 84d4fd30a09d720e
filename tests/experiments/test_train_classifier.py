import pytest

from experiments import train_classifier
from tests.conftest import one_sentence


def refuse(*_):
    raise AssertionError("nothing is to be trained")


def test_help_is_printed_and_nothing_trained(run_main, monkeypatch):
    monkeypatch.setattr(train_classifier, "train_classifier", refuse)
    code, out, err = run_main(train_classifier, "--help")
    assert code == 0 and "usage: " in out and "--output" in out and err == ""


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("weights.h5", "weights.h5 is no .npz"),
        ("absent/weights.npz", "there is no folder"),
        ("folder.npz", "is a folder: give a file"),
    ],
)
def test_a_file_that_is_none_is_refused_before_the_training(
    run_main, monkeypatch, tmp_path, name, told
):
    monkeypatch.setattr(train_classifier, "train_classifier", refuse)
    (tmp_path / "folder.npz").mkdir()
    code, _, err = run_main(train_classifier, f"--output={tmp_path / name}")
    assert code == 1 and told in err and one_sentence(err)
