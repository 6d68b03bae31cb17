"""How the records of an assigned partition reach a member's listener."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiosv3.streams.errors import DataLost
from aiosv3.streams.log import Record
from aiosv3.streams.testing.network import Host, Lane, Network
from aiosv3.streams.testing.partition import Partition


class Flow:
    """One partition on its way to ``deliver``, from ``position`` on; ``on`` False holds it."""

    def __init__(
        self,
        partition: Partition,
        where: tuple[str, int],
        position: int,
        carrier: tuple[Network, Host],
        deliver: Callable[[Sequence[Record]], None],
    ) -> None:
        self.on = True
        self._log = partition
        self._where = where
        self._position = position
        self._network, self._host = carrier
        self._receive = deliver
        self._lane: Lane = ("fetch", where[0], str(where[1]))
        self._asked = False
        self._closed = False

    def go(self) -> None:
        """Fetches on, if the flow is on and no fetch is under way."""
        if self.on and not self._asked and not self._closed:
            self._asked = True
            self._network.to_broker(self._host, self._lane, self._arrive)

    def close(self) -> None:
        """Nothing arrives any more, not even what was fetched already."""
        self._closed = True

    def _arrive(self) -> None:
        """At the broker: answers, or waits there for the next record."""
        if self._closed or not self._host.up:
            return
        if not self.on:
            self._asked = False
            return
        if self._position < self._log.start:
            self._network.to_host(self._host, self._lane, self._gone)
        elif self._position >= self._log.end:
            self._log.wait(self._arrive)
        else:
            batch, position = self._log.take(self._position, self._log.end, self._network.fetch_limit())
            self._network.to_host(self._host, self._lane, lambda: self._deliver(batch, position))

    def _deliver(self, batch: Sequence[Record], position: int) -> None:
        if self._closed:
            return
        self._asked = False
        self._position = position
        try:
            if batch:
                self._receive(batch)
        finally:
            self.go()

    def _gone(self) -> None:
        if not self._closed:
            error = DataLost(*self._where, self._position, self._log.start)
            self._host.loop.call_exception_handler({"message": str(error), "exception": error})
