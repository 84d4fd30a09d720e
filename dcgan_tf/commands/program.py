"""What every command runs in: its environment, one-sentence errors, streams that may close."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TextIO

from dcgan_tf.settings.errors import UserError

TF_MEMORY_ERROR = "ResourceExhaustedError"


def program_name() -> str:
    """How the running command was called: `train.py`, `dcgan sample`, `python -m dcgan_tf web`."""
    return sys.argv[0] if " " in sys.argv[0] else os.path.basename(sys.argv[0])


def as_flags(text: str) -> str:
    """What the package says of its settings, `name` or `name=value`, as of the command's flags."""
    text = re.sub(r"`([a-z_0-9]+)=False`", r"--no\1", text)
    return re.sub(r"`([a-z_0-9]+(=[^`]*)?)`", r"--\1", text)


class FlagFormatter(logging.Formatter):
    """Warnings of the package, which speak of settings, as the command's, which have flags."""

    def format(self, record: logging.LogRecord) -> str:
        return as_flags(super().format(record))


def run(main: Callable[[], Any]) -> NoReturn:
    """Runs a command's `main` and exits: 0 if it returns, else one sentence and non-zero."""
    program = program_name()
    set_environment()
    open_standard_streams()
    out, err = PipeSafeStream(sys.stdout, as_flags), PipeSafeStream(sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        handler = logging.StreamHandler()
        handler.setFormatter(FlagFormatter("%(message)s"))
        logging.basicConfig(handlers=[handler])
        try:
            main()
            sys.exit(0)
        except UserError as error:
            message, code = str(error), error.exit_code
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            message, code = f"{where}{error.strerror or error}", 1
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                message += "; free some space and run the same command again"
        except KeyboardInterrupt:
            message, code = "interrupted", 130
        except Exception as error:
            # TensorFlow's own is known by its name, as TensorFlow need not be imported yet.
            if not isinstance(error, MemoryError) and type(error).__name__ != TF_MEMORY_ERROR:
                raise
            message, code = "out of memory: smaller models or a smaller --batch_size take less", 1
        finally:
            out.flush()
        line = "".join(letter if letter.isprintable() else " " for letter in as_flags(message))
        print(f"{program}: {line}", file=sys.stderr)
        sys.exit(code)


def set_environment() -> None:
    """Has Keras run on TensorFlow, and TensorFlow take oneDNN's kernels, once they are imported.

    Whatever the user has Keras run on elsewhere. TensorFlow has oneDNN's convolutions, and leaves
    them off where a processor has no AVX-512; the user's own TF_ENABLE_ONEDNN_OPTS counts.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def open_standard_streams() -> None:
    """Opens those of the standard streams that the caller closed (`>&-`), onto nothing.

    Otherwise the next file that is opened would take the stream's number, and what is printed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


class PipeSafeStream:
    """A text stream whose reader may go away: a closed pipe or terminal ends no run.

    What is written from then on goes nowhere. Characters that the stream can't encode are escaped.

    Args:
        stream: the stream.
        reword: what is made of each text first.
    """

    def __init__(self, stream: TextIO, reword: Callable[[str], str] = str) -> None:
        self._stream = stream
        self._reword = reword

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        encoding = self._stream.encoding or "utf-8"
        with self._ignoring_a_lost_reader():
            shown = self._reword(text)
            self._stream.write(shown.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self) -> None:
        with self._ignoring_a_lost_reader():
            self._stream.flush()

    @contextlib.contextmanager
    def _ignoring_a_lost_reader(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())


@contextlib.contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Keeps TensorFlow's start-up messages off the terminal while it is imported.

    Some are printed before any log level is read, so standard error itself is set aside.
    Setting `TF_CPP_MIN_LOG_LEVEL` beforehand shows them all.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
