import contextlib
import dataclasses
import errno
import io
import os
import sys

import pytest

from dcgan_tf.cli.errors import Interrupted, UserError
from dcgan_tf.cli.program import Unheard, parse, quiet_tensorflow
from dcgan_tf.commands import sample, train
from dcgan_tf.config import Config
from tests.conftest import ROOT, finish, one_sentence


def test_flags_become_settings():
    config, flags = parse(
        "", Config, train.RunFlags, argv=["train.py", "--seed=4", "--beta_1", "0.5", "--noresume"]
    )
    assert config == Config(seed=4, beta_1=0.5)
    assert flags == train.RunFlags(resume=False)


def test_help_says_how_a_module_is_run():
    for path, told in (
        (ROOT / "dcgan_tf" / "evaluate.py", "python -m dcgan_tf.commands.evaluate [flags]"),
        (ROOT / "sample.py", "python sample.py [flags]"),
    ):
        with pytest.raises(SystemExit), contextlib.redirect_stdout(io.StringIO()) as out:
            parse("", train.RunFlags, argv=[str(path), "--help"])
        assert told in out.getvalue()


def test_help_has_every_flag_in_its_group_with_its_default(run_main):
    code, out, _ = run_main(train, "--help")
    assert code == 0
    for field in (*dataclasses.fields(Config), *dataclasses.fields(train.RunFlags)):
        assert field.name in out and field.metadata["group"] in out
        if field.default is not None:
            assert f"(default: {field.default})" in " ".join(out.split())


@pytest.mark.parametrize(
    "flag, told",
    [
        ("--epochs=0", "--epochs must be a whole number from 1 up, not 0"),
        ("--batch_size=-4", "--batch_size"),
        ("--learning_rate=fast", "fast"),
        ("--epochs=2.5", "2.5"),
        ("--seed=", "seed"),
        (
            "--dataset=cats",
            "--dataset must be one of mnist, fashion_mnist, cifar10",
        ),
        ("--epoch=3", "epochs"),
        ("mnist", "unexpected 'mnist'"),
    ],
)
def test_bad_flag_is_one_sentence(run_main, tmp_path, monkeypatch, flag, told):
    monkeypatch.chdir(tmp_path)
    code, _, err = run_main(train, flag)
    assert code == 1 and told in err and one_sentence(err)
    assert list(tmp_path.iterdir()) == []


def test_sample_requires_a_run(run_main):
    code, _, err = run_main(sample)
    assert code == 1 and "--run_dir" in err and one_sentence(err)


class Failing:
    """A command whose `main` raises what it was given."""

    __name__ = "failing"

    def __init__(self, error):
        self.error = error

    def main(self):
        raise self.error


@pytest.mark.parametrize(
    "error, code, told",
    [
        (UserError("no such thing"), 1, "failing.py: no such thing"),
        (Interrupted(15, "saved"), 143, "stopped by SIGTERM: saved"),
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), 1, "/x/y: No space left"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_failures_are_one_sentence_with_a_code(run_main, error, code, told):
    found, _, err = run_main(Failing(error))
    assert found == code and told in err and one_sentence(err)


def test_a_fault_of_the_code_keeps_its_traceback(monkeypatch):
    from dcgan_tf.cli.program import run

    with pytest.raises(ZeroDivisionError):
        run(Failing(ZeroDivisionError()).main)


def test_quiet_tensorflow_gives_standard_error_back(monkeypatch, capfd):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    with quiet_tensorflow():
        os.write(2, b"noise")
    os.write(2, b"news")
    assert capfd.readouterr().err == "news"


def test_sampling_prints_one_line_and_nothing_of_tensorflows(finished_run, tmp_path):
    command = [sys.executable, ROOT / "sample.py", f"--run_dir={finished_run}"]
    code, out, err = finish([*command, f"--output={tmp_path / 's.png'}"])
    assert code == 0 and err == "" and out.count("\n") == 1
    assert (tmp_path / "s.png").exists()


def test_what_nobody_reads_any_more_goes_nowhere():
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        heard = Unheard(stream)
        heard.write("heard\n")
        heard.flush()
        assert os.read(reader, 100) == b"heard\n"
        os.close(reader)
        for _ in range(3):
            assert heard.write("unheard\n") == 8
            heard.flush()
