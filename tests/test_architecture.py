"""The plan of the code: what lies where, and which way the imports run."""

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "dcgan_tf"
FOLDERS = sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))

# From the bottom up: a module imports from its own row and from those before it.
ROWS = [
    "cli",
    "presets datasets",
    "config",
    "data losses noise fast distributed.replicas reporting.images",
    "layers",
    "models",
    "gan",
    "train_step",
    "run_directory checkpoints sampling",
    "steps distributed reporting evaluation fast.measure",
    "training",
    "latent serving",
    "run",
    "commands",
    "__init__ __main__",
]
ROW_OF = {name: row for row, names in enumerate(ROWS) for name in names.split()}


def row_of(module):
    """The row of a module, or else that of its folder."""
    return ROW_OF[module if module in ROW_OF else module.partition(".")[0]]


def module_of(path):
    """The name of a module within the package, and a folder's for its __init__.py."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in PACKAGE.rglob("*.py")}


def imports_of(path):
    """The package's modules that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            # What is imported from a folder is a module, or a name in its __init__.py.
            names = [node.module, *(f"{node.module}.{each.name}" for each in node.names)]
        found |= {name.removeprefix("dcgan_tf.") for name in names if name.startswith("dcgan_tf.")}
    return found & MODULES.keys()


IMPORTS = {module: imports_of(path) for module, path in MODULES.items()}


def test_what_is_read_beside_the_tutorial_fits_on_one_page():
    assert len(list(PACKAGE.glob("*.py"))) <= 16


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_folder_says_in_one_line_what_lives_there(folder):
    (line,) = (folder / "__init__.py").read_text().splitlines()
    assert ast.get_docstring(ast.parse(line)) and line.endswith('."""')


def test_every_folder_is_a_package():
    holding_code = {path.parent for path in PACKAGE.rglob("*.py")} - {PACKAGE}
    assert sorted(holding_code) == FOLDERS


@pytest.mark.parametrize("module", sorted(IMPORTS))
def test_imports_run_downwards(module):
    upwards = [name for name in IMPORTS[module] if row_of(name) > row_of(module)]
    assert upwards == []


def test_the_imports_have_no_circle():
    left = {module: set(names) for module, names in IMPORTS.items()}
    while free := [module for module in left if not left[module]]:
        for module in free:
            del left[module]
        for names in left.values():
            names.difference_update(free)
    assert left == {}


def test_commands_are_imported_by_their_names_alone():
    importing = [module for module in IMPORTS if any("commands" in x for x in IMPORTS[module])]
    assert [module for module in importing if module != "__main__"] == []


def test_no_import_hides_from_the_program():
    hiding = [path for path in MODULES.values() if "TYPE_CHECKING" in Path(path).read_text()]
    assert hiding == []
