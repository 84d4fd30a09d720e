import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from dcgan_tf.run.signals import StopSignals


@pytest.fixture(autouse=True)
def hangup():
    """Gives SIGHUP its default handler, which a test run under `nohup` does not have."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_is_recorded_and_handlers_are_restored(number):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with StopSignals() as stop:
        assert stop.received is None
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received == number
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_another_thread_records_no_signal():
    def watch():
        with StopSignals() as stop:
            return stop.received

    before = signal.getsignal(signal.SIGTERM)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(watch).result() is None
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_hangup_ignored_under_nohup_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with StopSignals() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.received is None
