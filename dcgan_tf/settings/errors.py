"""Failures that a command reports in one sentence instead of a traceback."""

import signal


class UserError(Exception):
    """Something the user can mend; its text names what was found and what would do."""

    exit_code = 1


class DamagedImages(UserError):
    """More images of a set are damaged than may be, or one can't be read now."""


class Interrupted(UserError):
    """Training was asked to stop by a signal, and has saved its state.

    Args:
        signal_number: the signal, whose shell convention (128 + number) is the exit code.
        saved: what was saved and how to go on.
    """

    def __init__(self, signal_number: int, saved: str) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}: {saved}")
        self.exit_code = 128 + signal_number


class Diverged(UserError):
    """A loss or a weight is infinite or not a number, and was not saved."""


def first_line(error: Exception) -> str:
    """What an error says in its first line; its type, where it says nothing."""
    said = error.strerror if isinstance(error, OSError) else None
    return str(said or error).strip().split("\n")[0] or type(error).__name__
