"""Random changes to files, code hidden in them, and checks of what reads them."""

import contextlib
import io
import resource
import time
from pathlib import Path

import numpy as np
import pytest

from dcgan_tf.commands.program import run
from dcgan_tf.settings.errors import UserError
from tests.conftest import one_sentence

MOST_SECONDS = 10
MOST_MEMORY = 1.5 * 2**30


def flip(content, rng, at, size):
    content[at : at + 1] = bytes([content[at] ^ 1 << rng.randrange(8)])


def cut(content, rng, at, size):
    del content[at:]


def leave_out(content, rng, at, size):
    del content[at : at + size]


def double(content, rng, at, size):
    content[at:at] = content[at : at + size]


def insert(content, rng, at, size):
    content[at:at] = rng.randbytes(size)


def overwrite(content, rng, at, size):
    content[at : at + size] = rng.randbytes(len(content[at : at + size]))


def zero(content, rng, at, size):
    content[at : at + size] = bytes(len(content[at : at + size]))


def fill(content, rng, at, size):
    content[at : at + size] = b"\xff" * len(content[at : at + size])


def swap(content, rng, at, size):
    content[at:] = content[at + size :] + content[at : at + size]


CHANGES = (flip, cut, leave_out, double, insert, overwrite, zero, fill, swap)


def mutated(content, rng):
    """The bytes after one to three random changes, every second time near the beginning or end."""
    content = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        if content:
            at = rng.randrange(len(content))
            at = rng.choice([at, at, at % 64, max(0, len(content) - 1 - at % 64)])
            rng.choice(CHANGES)(content, rng, at, rng.choice([1, 2, 4, 16, 100, 1000]))
    return bytes(content)


def told(error):
    """The output of a command that ends in an error."""

    def fail():
        raise error

    with contextlib.redirect_stderr(io.StringIO()) as err, pytest.raises(SystemExit):
        run(fail)
    return err.getvalue()


class Tries:
    """Calls that must each succeed or end in one sentence, fast and with little memory.

    Other outcomes are kept in `wrong`, by the name of the try.
    """

    def __init__(self):
        self.right, self.refused, self.wrong = 0, 0, {}
        self.before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @contextlib.contextmanager
    def of(self, name):
        began = time.monotonic()
        try:
            yield
            self.right += 1
        except (UserError, OSError) as error:  # what `run` makes one line of
            self.refused += 1
            if not one_sentence(told(error)):
                self.wrong[name] = repr(error)
        except SystemExit as end:
            self.right += end.code == 0
        except BaseException as error:
            self.wrong[name] = repr(error)[:200]
        if time.monotonic() - began > MOST_SECONDS:
            self.wrong[name] = "took too long"

    def check(self, held, fault):
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - self.before) * 1024
        count = self.right + self.refused + len(self.wrong)
        held(fault, count, f"{self.right} right, {self.refused} refused in a sentence")
        assert not self.wrong, {what: name for name, what in self.wrong.items()}
        assert grown < MOST_MEMORY
        assert count >= 20


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def trap_array(path):
    """An array that makes a file when it is unpickled."""
    return np.array([Trap(path)], dtype=object)
