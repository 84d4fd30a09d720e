"""The tables of what settings can name: their rows' functions exist, and rows can be added."""

import dataclasses
import inspect

import pytest

from dcgan_tf.settings.choices import (
    ARCHITECTURES,
    AUGMENTATIONS,
    DATASETS,
    LOSSES,
    PENALTIES,
    resolve,
)
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import UserError

TABLES = {
    "dataset": DATASETS,
    "architecture": ARCHITECTURES,
    "loss": LOSSES,
    "augment": AUGMENTATIONS,
}


@pytest.mark.parametrize("table", [*TABLES.values(), PENALTIES], ids=[*TABLES, "penalty"])
def test_every_function_that_a_row_names_is_there_and_documented(table):
    named = [
        text
        for row in table.values()
        for text in ([row] if isinstance(row, str) else row)
        if isinstance(text, str) and ":" in text
    ]
    assert len(named) >= len(table)
    for text in named:
        function = resolve(text)
        assert inspect.isfunction(function) and inspect.getdoc(function), text
        assert f"{function.__module__}:{function.__name__}" == f"dcgan_tf{text}"


@pytest.mark.parametrize("setting", TABLES)
def test_a_setting_takes_the_names_of_its_table_and_of_rows_added_later(monkeypatch, setting):
    table = TABLES[setting]
    for added in (False, True):
        if added:
            monkeypatch.setitem(table, "toy", next(iter(table.values())))
            assert getattr(Config(**{setting: "toy"}), setting) == "toy"
        with pytest.raises(UserError, match=f"`{setting}` must be .*not 'cats'") as error:
            Config(**{setting: "cats"})
        assert all(name in str(error.value) for name in table)
        assert ("toy" in str(error.value)) == added


def test_penalties_are_named_by_the_settings_that_are_their_factors():
    fields = {field.name: field for field in dataclasses.fields(Config)}
    for name, row in PENALTIES.items():
        assert fields[name].type == float | None and fields[name].default is None
        assert row.interval >= 1
