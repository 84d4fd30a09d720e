"""Fixtures of the fault tests: their table, and the run to compare others with."""

import logging

import pytest

from tests.conftest import finish, train_command


@pytest.fixture(scope="session")
def held():
    """Collects rows (fault, tries, result) of the table that is printed at the end."""
    rows = []
    yield lambda *row: rows.append(" | ".join(map(str, row)))
    print("", *rows, sep="\n")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch, caplog):
    """Checks that nothing is written to the current, home or temporary folder."""
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


@pytest.fixture(scope="session")
def long_run(tmp_path_factory, digits_dir):
    """A run of 60 steps that nothing interrupted."""
    run_dir = tmp_path_factory.mktemp("long") / "run"
    assert finish(train_command(run_dir, digits_dir, "--epochs=10"))[0] == 0
    return run_dir
