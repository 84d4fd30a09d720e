"""Signals that ask a run to save and stop, instead of ending it on the spot."""

from __future__ import annotations

import signal
import threading
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """While it is entered, remembers the first of SIGINT, SIGTERM and SIGHUP.

    Further ones change nothing, so that an impatient second Ctrl-C can't spoil the save. A SIGHUP
    that was ignored before, as `nohup` does, stays so. Python lets the main thread alone watch
    signals: in another, none is.

    Attributes:
        received: the signal's number, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None

    def __enter__(self) -> StopSignals:
        watched = [
            number
            for number in STOP_SIGNALS
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN
            if threading.current_thread() is threading.main_thread()
        ]
        self._before = {number: signal.signal(number, self._receive) for number in watched}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _: FrameType | None) -> None:
        self.received = self.received or number
