"""Signals that make a run save and stop, instead of ending it immediately."""

from __future__ import annotations

import signal
import threading
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """A context that records the first SIGINT, SIGTERM or SIGHUP.

    Further signals are ignored, so an impatient second Ctrl-C can't interrupt the save. SIGHUP
    stays ignored if it was, as under `nohup`. Python allows signal handlers only in the main
    thread; in other threads, nothing is recorded.

    Attributes:
        received: the signal's number, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None

    def __enter__(self) -> StopSignals:
        watched = [
            signum
            for signum in STOP_SIGNALS
            if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN
            if threading.current_thread() is threading.main_thread()
        ]
        self._before = {signum: signal.signal(signum, self._receive) for signum in watched}
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _receive(self, signum: int, _: FrameType | None) -> None:
        self.received = self.received or signum
