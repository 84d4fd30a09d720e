import dataclasses
import errno
import io
import os
import shlex
import subprocess
import sys

import pytest
import tensorflow as tf

from dcgan_tf.commands import evaluate, features, sample, tfrecords, train
from dcgan_tf.commands.flags import parse
from dcgan_tf.commands.program import PipeSafeStream, as_flags, quiet_tensorflow
from dcgan_tf.settings.config import Config
from dcgan_tf.settings.errors import Interrupted, UserError
from tests.conftest import ENVIRONMENT, ROOT, finish, fork, one_sentence


def test_flags_become_settings():
    config, flags = parse(
        "", Config, train.TrainFlags, argv=["train.py", "--seed=4", "--beta_1", "0.5", "--noresume"]
    )
    assert config == Config(seed=4, beta_1=0.5)
    assert flags == train.TrainFlags(resume=False)


@pytest.mark.parametrize(
    "called, expected",
    [
        ("/some/where/sample.py", "usage: sample.py [flags]"),
        ("dcgan sample", "usage: dcgan sample [flags]"),
        ("python -m dcgan_tf web", "usage: python -m dcgan_tf web [flags]"),
    ],
)
def test_help_says_how_the_command_was_called(monkeypatch, capsys, called, expected):
    monkeypatch.setattr(sys, "argv", [called, "--help"])
    with pytest.raises(SystemExit):
        parse("", train.TrainFlags)
    assert expected in capsys.readouterr().out


def test_help_has_every_flag_in_its_group_with_its_default(run_main):
    code, out, _ = run_main(train, "--help")
    assert code == 0
    for field in (*dataclasses.fields(Config), *dataclasses.fields(train.TrainFlags)):
        assert field.name in out and field.metadata["group"] in out
        if field.default is not None:
            assert f"(default: {field.default})" in " ".join(out.split())


@pytest.mark.parametrize(
    "flag, expected",
    [
        ("--epochs=0", "--epochs must be a whole number from 1 to 2147483647, not 0"),
        ("--batch_size=-4", "--batch_size"),
        ("--epochs=10000000000000000000", "--epochs must be a whole number from 1 to 2147483647"),
        (
            "--image_size=2147483647",
            "--image_size must be a whole number from 1 to 8192, or two as",
        ),
        ("--channels=2", "--channels must be 1, 3 or 4, not 2"),
        ("--image_size=64x0", "or two as HEIGHTxWIDTH, not '64x0'"),
        ("--image_size=-64", "or two as HEIGHTxWIDTH, not '-64'"),
        ("--image_size=64x64x3", "or two as HEIGHTxWIDTH, not '64x64x3'"),
        ("--image_size=", "--image_size is empty"),
        ("--mapping_layers=2147483647", "--mapping_layers must be a whole number from 0 to 100"),
        ("--unroll_steps=2147483647", "--unroll_steps must be a whole number from 0 to 100"),
        ("--learning_rate=fast", "fast"),
        ("--epochs=2.5", "2.5"),
        ("--seed=", "seed"),
        (
            "--dataset=cats",
            "--dataset must be one of mnist, fashion_mnist, cifar10",
        ),
        ("--epoch=3", "epochs"),
        ("mnist", "unexpected argument 'mnist'"),
    ],
)
def test_bad_flag_is_one_sentence(run_main, tmp_path, monkeypatch, flag, expected):
    monkeypatch.chdir(tmp_path)
    code, _, err = run_main(train, flag)
    assert code == 1 and expected in err and one_sentence(err)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command, flag, most",
    [
        (sample, "batch_size", "1 to 65536"),
        (evaluate, "num_images", "20 to 100000"),
        (features, "generated", "0 to 1000000"),
        (tfrecords, "shards", "1 to 500"),
    ],
)
def test_numbers_that_would_fill_the_memory_are_refused(
    run_main, tmp_path, monkeypatch, command, flag, most
):
    monkeypatch.chdir(tmp_path)
    code, _, err = run_main(command, f"--{flag}=2147483647")
    assert code == 1 and f"--{flag} must be a whole number from {most}" in err and one_sentence(err)
    assert list(tmp_path.iterdir()) == []


class Failing:
    """A command whose `main` raises what it was given."""

    __name__ = "failing"

    def __init__(self, error):
        self.error = error

    def main(self):
        raise self.error


@pytest.mark.parametrize(
    "error, code, expected",
    [
        (UserError("no such thing"), 1, "failing.py: no such thing"),
        (UserError("`seed` is for `loss=bce`, not for ema"), 1, ": --seed is for --loss=bce, not"),
        (Interrupted(15, "saved"), 143, "stopped by SIGTERM: saved"),
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), 1, "/x/y: No space left"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/x/y"), 1, "exceeded; free some space"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "out of memory: try a smaller --batch_size"),
        (tf.errors.ResourceExhaustedError(None, None, "OOM"), 1, "out of memory: try a smaller"),
    ],
)
def test_failures_are_one_sentence_with_a_code(run_main, error, code, expected):
    found, _, err = run_main(Failing(error))
    assert found == code and expected in err and one_sentence(err)


def test_a_fault_of_the_code_keeps_its_traceback(monkeypatch):
    from dcgan_tf.commands.program import run

    with pytest.raises(ZeroDivisionError):
        run(Failing(ZeroDivisionError()).main)


def test_warnings_speak_of_flags_too():
    code = (
        "import logging\n"
        "from dcgan_tf.commands.program import run\n"
        "warn = logging.getLogger('dcgan_tf.reporting').warning\n"
        "run(lambda: warn('%s: a lower `beta_1`, or `augment=color,cutout`', 'collapse'))"
    )
    done = finish([sys.executable, "-c", code], how=fork)
    assert done == (0, "", "collapse: a lower --beta_1, or --augment=color,cutout\n")


@pytest.mark.parametrize(
    "text, shown",
    [
        ("`dropout` 0, or `pack=2`", "--dropout 0, or --pack=2"),
        ("add `discriminator_batch_norm=False`", "add --nodiscriminator_batch_norm"),
        ("a `Config`, `tf.data` or an `a b`", "a `Config`, `tf.data` or an `a b`"),
        ("no ` at all", "no ` at all"),
    ],
)
def test_settings_are_shown_as_flags_and_nothing_else_is(text, shown):
    assert as_flags(text) == shown


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
        heard = PipeSafeStream(stream)
        heard.write("heard\n")
        heard.flush()
        assert os.read(reader, 100) == b"heard\n"
        os.close(reader)
        for _ in range(3):
            assert heard.write("unheard\n") == 8
            heard.flush()


def test_what_the_stream_cannot_encode_is_escaped():
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    PipeSafeStream(stream).write("28×28 in a\udcff\n")
    stream.flush()
    assert stream.buffer.getvalue() == b"28\\xd728 in a\\udcff\n"


@pytest.mark.parametrize("closed", ["<&- >&-", ">&- 2>&-", "2>&-"])
def test_closed_streams_end_no_command(tmp_path, closed):
    """And what is printed goes into no file that is opened meanwhile."""
    code = (
        "from dcgan_tf.commands.program import quiet_tensorflow, run\n"
        "def main():\n"
        "    with open('file', 'w') as file, quiet_tensorflow():\n"
        "        print('printed', flush=True)\n"
        "        file.write('written')\n"
        "run(main)"
    )
    command = f"{sys.executable} -c {shlex.quote(code)} {closed}"
    environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run(command, shell=True, cwd=tmp_path, env=environment).returncode == 0
    assert (tmp_path / "file").read_text() == "written"


def test_help_needs_no_docstrings():
    for command in (["train.py"], ["-m", "dcgan_tf"]):
        done = subprocess.run(
            [sys.executable, "-OO", *command, "--help"], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0 and "usage: " in done.stdout and done.stderr == ""
