from __future__ import annotations

import os
import signal
import threading
import time

from aiosv3.app.localstack.wakeups import Wakeups


def test_a_signal_ends_the_wait_and_is_counted() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Wakeups() as wakeups:
        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        begun = time.monotonic()
        while not wakeups.stops:
            wakeups.wait(30)
        timer.join()
        assert time.monotonic() - begun < 20
        os.kill(os.getpid(), signal.SIGINT)
        assert wakeups.stops == 2
    assert signal.getsignal(signal.SIGTERM) is before


def test_without_a_signal_it_returns_in_time() -> None:
    with Wakeups() as wakeups:
        wakeups.wait(0.01)
        assert wakeups.stops == 0
