"""The in-memory broker of a test: a network without delays on virtual time, and an ear for each record that lands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiosv3.streams.eventloop import DeterministicLoop
from aiosv3.streams.log import Appended, Outgoing, Record
from aiosv3.streams.testing import MemoryBroker, Network
from aiosv3.streams.testing.network import Arrive

HOUSEKEEPING_S: Final = 86_400.0
"""Heartbeats and commits of workers: once a day, so that a year of virtual time costs next to nothing."""
_SESSION_S: Final = 1e10

Arriving = Callable[[Outgoing], Outgoing]
Landing = Callable[[Record, str], None]


class InstantNetwork(Network):
    """Everything arrives at the next turn of its process. Timers of the broker run on the loop of the world."""

    def __init__(self, loop: DeterministicLoop) -> None:
        super().__init__()
        self._loop = loop

    def time(self) -> float:
        return self._loop.time()

    def later(self, delay: float, function: Arrive) -> None:
        self._loop.call_later(delay, function)


class ListeningBroker(MemoryBroker):
    """``landed(record, by)`` hears of each record as soon as it is on the log, before its writer does.

    ``arriving(outgoing)`` sees it before that, and may change it.
    """

    def __init__(
        self, clock: Callable[[], float], loop: DeterministicLoop, arriving: Arriving, landed: Landing
    ) -> None:
        super().__init__(clock, InstantNetwork(loop), session_timeout=_SESSION_S, heartbeat=HOUSEKEEPING_S)
        self._arriving = arriving
        self._landed = landed

    def append(self, record: Outgoing, by: str = "test") -> Appended:
        """As :class:`MemoryBroker`; a topic that nobody made yet is made."""
        if not self.partitions(record.topic):
            self.create_topic(record.topic, 1)
        ack = super().append(self._arriving(record), by)
        self._landed(self.partition(record.topic, ack.partition).records[-1], by)
        return ack
