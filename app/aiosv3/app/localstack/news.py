"""Whether a start goes on: a process that changes its state, or writes to its log, is news."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiosv3.app.localstack.logs import size
from aiosv3.app.localstack.status import ProcessState, StackStatus


class News:
    """``patience``: seconds without any. ``clock``: seconds that never go back."""

    def __init__(self, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        self._clock = clock
        self._heard = clock()
        self._seen: Any = None

    def see(self, status: StackStatus) -> None:
        """How the stack is now."""
        starting = [Path(one.log) for one in status.processes if one.state is ProcessState.STARTING]
        seen = ([(one.state, one.since) for one in status.processes], [size(log) for log in starting])
        if seen != self._seen:
            self._seen, self._heard = seen, self._clock()

    def too_old(self) -> bool:
        """Whether there was none for too long."""
        return self._clock() - self._heard >= self._patience
