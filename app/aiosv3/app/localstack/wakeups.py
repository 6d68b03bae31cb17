"""Signals as a thing to wait for."""

from __future__ import annotations

import select
import signal
import socket
from types import FrameType
from typing import Any, Final, Self

_STOPS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Wakeups:
    """Counts requests to stop, and wakes ``wait`` for them and for ended children. Main thread only."""

    def __init__(self) -> None:
        self.stops = 0
        self._reader, self._writer = socket.socketpair()
        self._before: dict[signal.Signals, Any] = {}
        self._fd_before = -1

    def __enter__(self) -> Self:
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        # The byte that Python writes on a signal ends a select that began before the handler ran.
        self._fd_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in _STOPS:
            self._before[number] = signal.signal(number, self._stop)
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._fd_before)
        self._reader.close()
        self._writer.close()

    def wait(self, timeout_s: float) -> None:
        """Return at a signal, or after ``timeout_s`` seconds."""
        readable, _, _ = select.select([self._reader], [], [], timeout_s)
        if readable:
            self._reader.recv(4096)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stops += 1
