"""Imports run one way, and the first line of each folder describes it."""

import ast
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "dcgan_tf"


def broken_contracts(folder):
    """The contracts in the pyproject.toml of `folder` that import-linter finds broken, as text."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    linter = subprocess.run(
        [sys.executable, "-c", command, "--no-cache", "--no-logo"],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    return linter.stdout if linter.returncode else ""


def hidden_imports(package):
    """The files with imports only for the type checker, which can hide import cycles."""
    return [file.name for file in package.rglob("*.py") if "TYPE_CHECKING" in file.read_text()]


def test_imports_run_one_way():
    assert broken_contracts(ROOT) == ""
    assert hidden_imports(PACKAGE) == []


@pytest.mark.parametrize(
    "added, expected",
    [
        ({"losses.py": "from dcgan_tf import gan"}, "losses is not allowed to import dcgan_tf.gan"),
        ({"gan.py": "def late():\n    import dcgan_tf.training"}, "gan -> dcgan_tf.training"),
        ({"run/schedule.py": "from dcgan_tf.commands import flags"}, "import dcgan_tf.commands"),
        ({"losses.py": "import dcgan_tf.data"}, "losses is not allowed to import dcgan_tf.data"),
        (
            {"settings/errors.py": "import dcgan_tf.files"},
            "is not allowed to import dcgan_tf.files",
        ),
        (
            {
                "latent/one.py": "from dcgan_tf.latent.two import second",
                "latent/two.py": "from dcgan_tf.latent import one",
            },
            "No cycles are allowed in dcgan_tf.latent",
        ),
        ({"utils.py": "import os"}, "dcgan_tf.utils"),
    ],
)
def test_a_broken_contract_is_found(tmp_path, added, expected):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(PACKAGE, tmp_path / "dcgan_tf", ignore=shutil.ignore_patterns("*.npz"))
    assert broken_contracts(tmp_path) == ""
    for name, line in added.items():
        with (tmp_path / "dcgan_tf" / name).open("a") as file:
            file.write(f"\n{line}\n")
    assert expected in broken_contracts(tmp_path)


def test_a_hidden_import_is_found(tmp_path):
    (tmp_path / "losses.py").write_text("if typing.TYPE_CHECKING:\n    from dcgan_tf import gan\n")
    assert hidden_imports(tmp_path) == ["losses.py"]


@pytest.mark.parametrize("folder", sorted({path.parent.name for path in PACKAGE.glob("*/*.py")}))
def test_a_folder_has_a_description_of_one_line(folder):
    (line,) = (PACKAGE / folder / "__init__.py").read_text().splitlines()
    assert ast.get_docstring(ast.parse(line)) and line.endswith('."""')


def test_the_first_listing_is_short():
    """The files directly in the package are the DCGAN. Everything else has a folder."""
    assert len(list(PACKAGE.glob("*.py"))) <= 10
