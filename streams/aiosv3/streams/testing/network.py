"""Between a process and the broker: who is a process, and what a network may do to messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

Arrive: TypeAlias = Callable[[], None]
Lane: TypeAlias = tuple[str, ...] | None
"""Messages of one lane keep their order; None is a lane of its own. The first part names the kind."""


class Host:
    """A process as broker and network see it. Its loop is the one that runs at first use, unless given.

    A killed host sends and hears nothing any more; a paused one hears it later.
    """

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.name = name
        self.up = True
        self.paused = False
        self._loop = loop
        self._held: list[Arrive] = []

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the process."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    def call(self, function: Arrive) -> None:
        """Runs ``function`` on the process's loop, soon."""
        if self.up and not self.loop.is_closed():
            self.loop.call_soon(self._run, function)

    def later(self, delay: float, function: Arrive) -> asyncio.TimerHandle:
        """Runs ``function`` on the process's loop after ``delay`` seconds."""
        return self.loop.call_later(delay, self._run, function)

    def kill(self) -> None:
        """As kill -9 would: nothing of it goes out, nothing comes in."""
        self.up = False
        self._held.clear()

    def pause(self) -> None:
        """As SIGSTOP would, as far as messages and timers of the double go."""
        self.paused = True

    def resume(self) -> None:
        """As SIGCONT would: what came in the meantime is delivered now."""
        self.paused = False
        held, self._held = self._held, []
        for function in held:
            self.call(function)

    def _run(self, function: Arrive) -> None:
        if self.paused:
            self._held.append(function)
        elif self.up:
            function()


class Network:
    """The default: everything arrives, in the order sent, at the next turn of the process's loop.

    Subclasses delay, lose and reorder. All randomness of the double is here.
    """

    def __init__(self) -> None:
        self._turn = -1

    def time(self) -> float:
        """Seconds on a clock that never steps back: the broker's, for sessions."""
        return asyncio.get_running_loop().time()

    def later(self, delay: float, function: Arrive) -> None:
        """A timer of the broker."""
        asyncio.get_running_loop().call_later(delay, function)

    def to_broker(self, host: Host, lane: Lane, arrive: Arrive) -> None:
        """Carries a request; ``arrive`` runs at the broker."""
        host.call(arrive)

    def to_host(self, host: Host, lane: Lane, arrive: Arrive) -> None:
        """Carries an answer; ``arrive`` runs on the process's loop."""
        host.call(arrive)

    def fetch_limit(self) -> int:
        """The most records that one fetch returns."""
        return 500

    def choose(self, count: int) -> int:
        """A partition for a record without key, below ``count``: in turn here; others may roll dice."""
        self._turn += 1
        return self._turn % count
