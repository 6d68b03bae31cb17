"""Group membership on :class:`~aiosv3.streams.testing.MemoryBroker`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from aiosv3.streams.log import Committed, Listener, Record
from aiosv3.streams.testing.broker import MemoryBroker
from aiosv3.streams.testing.flow import Flow
from aiosv3.streams.testing.group import FENCED, Heartbeat
from aiosv3.streams.testing.log import MemoryLog

_T = TypeVar("_T")


class _Hold:
    """One assigned partition. ``begun``: the listener knows of it."""

    __slots__ = ("begun", "flows")

    def __init__(self) -> None:
        self.begun = False
        self.flows: dict[str, Flow] = {}

    def close(self) -> None:
        for flow in self.flows.values():
            flow.close()


class MemoryMember:
    """:class:`aiosv3.streams.log.Member` for the process of ``log``.

    ``name`` tells members of one group apart; by default it is the process's. Seconds: ``timeout`` for one
    answer.
    """

    def __init__(
        self,
        broker: MemoryBroker,
        log: MemoryLog,
        group: str,
        input_topic: str,
        journal_topic: str | None = None,
        *,
        name: str | None = None,
        timeout: float = 10.0,
    ) -> None:
        self.broker = broker
        self.host = log.host
        self.name = name or log.host.name
        self.listener: Listener
        self._group = broker.group(group, input_topic)
        self._input = input_topic
        self._journal = journal_topic
        self._topics = (input_topic,) if journal_topic is None else (input_topic, journal_topic)
        self._timeout = timeout
        self._epoch = 0
        self._number = 0
        self._sent = 0.0
        self._waiting = False
        self._again = False
        self._proven = float("-inf")
        self._closed = False
        self._holds: dict[int, _Hold] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._joined: asyncio.Future[None] | None = None

    @property
    def assignment(self) -> tuple[int, ...]:
        """The partitions that this member believes to be its own."""
        return tuple(sorted(self._holds))

    async def join(self, listener: Listener) -> None:
        """See :meth:`aiosv3.streams.log.Member.join`."""
        self.listener = listener
        self._joined = self.host.loop.create_future()
        self._tick()
        await self._joined

    async def commit(self, partition: int, committed: Committed) -> bool:
        """See :meth:`aiosv3.streams.log.Member.commit`. False also when no answer came in time."""
        hold = self._holds.get(partition)
        if self._closed or hold is None or not hold.begun:
            return False
        accepted: asyncio.Future[bool] = self.host.loop.create_future()

        def settle(answer: bool) -> None:
            if not accepted.done():
                accepted.set_result(answer)

        sent = self.host.loop.time()

        def answered(answer: bool) -> None:
            if answer:
                self._proven = max(self._proven, sent)
            settle(answer)

        timer = self.host.later(self._timeout, lambda: settle(False))
        self._send_commit(partition, committed, answered)
        try:
            return await accepted
        finally:
            timer.cancel()

    def flow(self, topic: str, partition: int, *, on: bool) -> None:
        """See :meth:`aiosv3.streams.log.Member.flow`."""
        hold = self._holds.get(partition)
        flow = hold.flows.get(topic) if hold else None
        if flow:
            flow.on = on
            flow.go()

    def restart(self, partition: int) -> None:
        """See :meth:`aiosv3.streams.log.Member.restart`."""
        hold = self._holds.get(partition)
        if hold is not None and hold.begun and not self._closed:
            self.host.call(lambda: self._restart(partition, hold))

    def alive(self) -> bool:
        """See :meth:`aiosv3.streams.log.Member.alive`. Counts from when the answered request was sent."""
        return not self._closed and self.host.loop.time() - self._proven < self.broker.session_timeout

    async def leave(self) -> None:
        """See :meth:`aiosv3.streams.log.Member.leave`. Waits at most ``timeout`` for the broker."""
        if self._closed:
            return
        for partition in self.assignment:
            self._revoke(partition)
        self._closed = True
        if self._timer:
            self._timer.cancel()
        left: asyncio.Future[None] = self.host.loop.create_future()

        def settle(_: object = None) -> None:
            if not left.done():
                left.set_result(None)

        self._send("group", self._leaves, settle)
        timer = self.host.later(self._timeout, settle)
        await left
        timer.cancel()

    # ---- talking to the coordinator, all on one connection

    def _send(self, kind: str, ask: Callable[[], _T], tell: Callable[[_T], None]) -> None:
        lane = (kind, self._group.name)
        network = self.broker.network

        def arrive() -> None:
            answer = ask()
            network.to_host(self.host, lane, lambda: tell(answer))

        network.to_broker(self.host, lane, arrive)

    def _send_commit(self, partition: int, committed: Committed, tell: Callable[[bool], None]) -> None:
        epoch = self._epoch
        self._send(
            "commit",
            lambda: self._group.commit(self.name, epoch, self._input, partition, committed),
            tell,
        )

    def _beat(self) -> None:
        """A heartbeat now; if one is under way, after its answer."""
        now = self.host.loop.time()
        if self._closed:
            return
        self._again = self._waiting and now < self._sent + 2 * self.broker.heartbeat
        if self._again:
            return
        self._waiting, self._sent = True, now
        self._number += 1
        number, epoch, owned = self._number, self._epoch, self.assignment
        self._send("group", lambda: self._beats(epoch, owned), lambda answer: self._answer(number, now, answer))

    def _tick(self) -> None:
        if not self._closed:
            self._beat()
            self._timer = self.host.later(self.broker.heartbeat, self._tick)

    def _beats(self, epoch: int, owned: tuple[int, ...]) -> Heartbeat:
        """At the broker."""
        answer = self._group.heartbeat(self.name, epoch, owned, self.broker.network.time(), self._poke)
        if epoch == 0:
            self.broker.keep_session(self._group, self.name)
        return answer

    def _poke(self) -> None:
        self.broker.network.to_host(self.host, ("poke", self._group.name), self._beat)

    def _answer(self, number: int, sent: float, answer: Heartbeat) -> None:
        if number != self._number or self._closed:
            return  # a later one has told the broker what I hold: this may grant what is gone
        self._waiting = False
        self._epoch = answer.epoch
        self._proven = float("-inf") if answer == FENCED else max(self._proven, sent)
        if answer == FENCED:
            for partition in self.assignment:
                self._lose(partition)
            self._again = True
        else:
            self._reconcile(answer.partitions)
        if self._joined is not None and not self._joined.done():
            self._joined.set_result(None)
        if self._again:
            self._beat()

    # ---- what I hold

    def _reconcile(self, granted: tuple[int, ...]) -> None:
        for partition in self.assignment:
            if partition not in granted:
                self._revoke(partition)
                self._again = True  # tells the broker that the partition is free, behind its last commit
        for partition in granted:
            if partition not in self._holds:
                self._take(partition)

    def _take(self, partition: int) -> None:
        hold = self._holds[partition] = _Hold()
        network = self.broker.network

        def ask() -> None:
            committed = self._group.committed.get((self._input, partition))
            starts = [self.broker.partition(topic, partition).start for topic in self._topics]
            network.to_host(self.host, None, lambda: self._begin(partition, hold, committed, starts))

        network.to_broker(self.host, None, ask)

    def _begin(self, partition: int, hold: _Hold, committed: Committed | None, starts: list[int]) -> None:
        if self._holds.get(partition) is not hold or self._closed:
            return
        start = self.listener.starts(partition, committed, starts[0], starts[-1] if self._journal else 0)
        hold.begun = True
        if start is not None:
            hold.flows = {
                topic: self._flow(topic, partition, position)
                for topic, position in zip(self._topics, (start.input, start.journal), strict=False)
                if position is not None
            }
        self.listener.assigned(partition, start, committed)
        for flow in hold.flows.values():
            flow.go()

    def _flow(self, topic: str, partition: int, position: int) -> Flow:
        log = self.broker.partition(topic, partition)
        carrier = (self.broker.network, self.host)
        return Flow(log, (topic, partition), position, carrier, self._receive)

    def _receive(self, batch: Sequence[Record]) -> None:
        self.listener.records(batch)

    def _revoke(self, partition: int) -> None:
        hold = self._drop(partition)
        if hold.begun and (last := self.listener.revoked(partition)) is not None:
            self._send_commit(partition, last, lambda _: None)

    def _lose(self, partition: int) -> None:
        if self._drop(partition).begun:
            self.listener.lost(partition)

    def _drop(self, partition: int) -> _Hold:
        hold = self._holds.pop(partition)
        hold.close()
        return hold

    def _restart(self, partition: int, hold: _Hold) -> None:
        if self._holds.get(partition) is hold:
            self._lose(partition)
            self._take(partition)

    def _leaves(self) -> None:
        """At the broker."""
        self._group.remove(self.name, "left")
