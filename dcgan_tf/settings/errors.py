"""Errors that a command reports in one sentence instead of a traceback."""

import signal


class UserError(Exception):
    """An error the user can fix; its message says what was found and what to do."""

    exit_code = 1


class DamagedImages(UserError):
    """Too many images are damaged, or the system can't read one of them."""


class Interrupted(UserError):
    """A signal stopped the training, which has saved its state.

    Args:
        signal_number: the signal; the exit code is 128 + `signal_number`, as in a shell.
        saved: what was saved and how to resume.
    """

    def __init__(self, signal_number: int, saved: str) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}: {saved}")
        self.exit_code = 128 + signal_number


class Diverged(UserError):
    """A loss or a weight is infinite or NaN; the state was not saved."""


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its type if the message is empty."""
    said = error.strerror if isinstance(error, OSError) else None
    return str(said or error).strip().split("\n")[0] or type(error).__name__
