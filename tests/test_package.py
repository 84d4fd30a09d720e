"""The installed package: its commands, its version and its declared dependencies."""

import ast
import re
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import dcgan_tf
from dcgan_tf.__main__ import COMMANDS, main
from dcgan_tf.commands import web
from tests.conftest import ROOT, finish, one_sentence

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PACKAGE = ROOT / "dcgan_tf"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture
def dcgan(monkeypatch, capsys):
    """Runs `dcgan` within this process; returns its code, output and errors."""

    def call(*arguments, program="/somewhere/bin/dcgan"):
        monkeypatch.setattr(sys, "argv", [program, *arguments])
        with pytest.raises(SystemExit) as exit:
            main()
        captured = capsys.readouterr()
        return exit.value.code, captured.out, captured.err

    return call


def has_main(file):
    """Whether a module is a command, and no part of what all commands share."""
    functions = [
        each for each in ast.parse(file.read_text()).body if isinstance(each, ast.FunctionDef)
    ]
    return "main" in [each.name for each in functions]


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_lists_every_command(dcgan, arguments):
    code, out, err = dcgan(*arguments)
    assert code == 0 and err == ""
    assert set(COMMANDS) == {
        file.stem for file in (PACKAGE / "commands").glob("*.py") if has_main(file)
    }
    for name in COMMANDS:
        assert re.search(rf"^  {name} +[A-Z].+\.$", out, re.MULTILINE), name


def test_version(dcgan):
    assert dcgan("--version") == (0, f"{dcgan_tf.__version__}\n", "")
    assert f"version: {dcgan_tf.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## {dcgan_tf.__version__}\n" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("argument", ["walk", "--epochs=3", "__init__", "flags", "program"])
def test_an_unknown_command_is_one_sentence(dcgan, argument):
    code, out, err = dcgan(argument)
    assert code == 1 and out == "" and one_sentence(err)
    assert err.startswith("dcgan: ") and repr(argument) in err and "train" in err


@pytest.mark.parametrize(
    "program, expected",
    [("/somewhere/bin/dcgan", "dcgan"), (str(PACKAGE / "__main__.py"), "python -m dcgan_tf")],
)
def test_a_command_says_how_it_was_called(dcgan, program, expected):
    assert f"usage: {expected} train [flags]" in dcgan("train", "--help", program=program)[1]
    assert f"usage: {expected} COMMAND [flags]" in dcgan("--help", program=program)[1]
    code, _, err = dcgan("train", "--epochs=0", program=program)
    assert code == 1 and one_sentence(err) and err.startswith(f"{expected} train: --epochs")


def test_help_is_quick():
    program = "import runpy, sys; sys.argv[1:] = ['--help']\n"
    program += "try: runpy.run_module('dcgan_tf', run_name='__main__', alter_sys=True)\n"
    program += "except SystemExit: sys.exit('tensorflow' in sys.modules)\n"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("name", ["train", "sample"])
def test_launchers_are_the_commands(name):
    code, out, err = finish([sys.executable, str(ROOT / f"{name}.py"), "--help"])
    _, help_text, _ = finish([sys.executable, "-m", "dcgan_tf", name, "--help"])
    assert code == 0 and err == ""
    assert out.splitlines() == [
        line.replace(f"python -m dcgan_tf {name}", f"{name}.py") for line in help_text.splitlines()
    ]


@pytest.mark.parametrize("missing", ["flask", "waitress"])
def test_the_web_page_says_what_to_install(run_main, monkeypatch, missing):
    monkeypatch.delitem(sys.modules, "dcgan_tf.serving.web_app", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    code, _, err = run_main(web, "--run_dir=anything")
    assert code == 1 and one_sentence(err)
    assert missing in err and 'pip install "dcgan-tf[web]"' in err


@pytest.mark.skipif(sys.version_info < (3, 11), reason="does not know whose a module is")
def test_imported_packages_are_declared():
    """And every declared package is imported."""
    distributions = packages_distributions()
    imported = {
        canonicalize_name(distributions[module][0])
        for file in PACKAGE.rglob("*.py")
        for module in top_level_imports(file)
        if module not in {*sys.stdlib_module_names, "dcgan_tf"}
    }
    requirements = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["web"]]
    declared = {canonicalize_name(Requirement(text).name) for text in requirements}
    assert declared == imported


def top_level_imports(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


def test_every_bound_has_one_source():
    """requirements.txt takes its bounds from pyproject.toml; no extra repeats a dependency's."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["-e .[web,dev]"]
    every = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    bounded = [Requirement(text) for texts in every for text in texts]
    names = [requirement.name for requirement in bounded if requirement.specifier]
    assert len(names) == len(set(names))


def test_what_the_documents_write_into_a_clone_is_ignored(tmp_path):
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")]
    outputs = re.findall(r"--output ([^\s`]+)", "\n".join(page.read_text() for page in pages))
    names = {name for name in outputs if not name.startswith(("/", "docs/"))}
    assert len(names) > 5
    names |= {"samples.png", "evaluation.json", "closest.png", "export"}
    shutil.copy(ROOT / ".gitignore", tmp_path)
    for name in names:
        path = tmp_path / name
        path.touch() if path.suffix else path.mkdir()
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    ignored = subprocess.run([*git, "check-ignore", *names], stdout=subprocess.PIPE, text=True)
    assert names - {*ignored.stdout.split()} == set()
