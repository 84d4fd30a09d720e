"""The environment of every command: variables, one-sentence errors, robust output streams."""

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
    """The name of the running command: `train.py`, `dcgan sample`, `python -m dcgan_tf web`."""
    return sys.argv[0] if " " in sys.argv[0] else os.path.basename(sys.argv[0])


def as_flags(text: str) -> str:
    """Rewrites settings in a text, `name` or `name=value` in backticks, as flags."""
    text = re.sub(r"`([a-z_0-9]+)=False`", r"--no\1", text)
    return re.sub(r"`([a-z_0-9]+(=[^`]*)?)`", r"--\1", text)


class FlagFormatter(logging.Formatter):
    """Rewrites settings in the package's warnings as flags."""

    def format(self, record: logging.LogRecord) -> str:
        return as_flags(super().format(record))


def run(main: Callable[[], Any]) -> NoReturn:
    """Runs a command's `main` and exits with 0, or with an error code and one sentence."""
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
            # By name, because TensorFlow may not be imported yet.
            if not isinstance(error, MemoryError) and type(error).__name__ != TF_MEMORY_ERROR:
                raise
            message, code = "out of memory: try a smaller --batch_size or smaller models", 1
        finally:
            out.flush()
        line = "".join(letter if letter.isprintable() else " " for letter in as_flags(message))
        print(f"{program}: {line}", file=sys.stderr)
        sys.exit(code)


def set_environment() -> None:
    """Makes Keras use TensorFlow, and TensorFlow use oneDNN's kernels, once they are imported.

    The user's KERAS_BACKEND is overridden. TensorFlow disables oneDNN's convolutions on processors
    without AVX-512. The user's TF_ENABLE_ONEDNN_OPTS takes precedence.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def open_standard_streams() -> None:
    """Opens standard streams that the caller has closed (`>&-`) on the null device.

    Otherwise, the next file to be opened would get the stream's descriptor, and its output.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


class PipeSafeStream:
    """A text stream that ignores a closed pipe or terminal, so the run continues.

    Later output is discarded. Characters that the stream can't encode are escaped.

    Args:
        stream: the stream.
        reword: a function applied to each text.
    """

    def __init__(self, stream: TextIO, reword: Callable[[str], str] = str) -> None:
        self._stream = stream
        self._reword = reword

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        encoding = self._stream.encoding or "utf-8"
        with self._ignoring_closed_pipes():
            shown = self._reword(text)
            self._stream.write(shown.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self) -> None:
        with self._ignoring_closed_pipes():
            self._stream.flush()

    @contextlib.contextmanager
    def _ignoring_closed_pipes(self) -> Iterator[None]:
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

    Some are printed before TensorFlow reads the log level, so standard error is redirected. If the
    user has set `TF_CPP_MIN_LOG_LEVEL`, nothing is hidden.
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
