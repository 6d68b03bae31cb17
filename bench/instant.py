"""A log in memory that answers at once: what is left of a step on it is the runtime, without Kafka's client.

Appends are acknowledged together, as a busy broker acknowledges them; nothing takes time and nothing is by chance, so
two runs execute the same instructions.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence

from aiosv3.streams.log import Appended, Bounds, Committed, Done, Listener, Outgoing, Record, Transactions

BATCH = 500


class InstantLog:
    """Implements :class:`~aiosv3.streams.log.Log`. Partitions begin at 0; what has no partition goes to 0."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.partitions: dict[tuple[str, int], list[Record]] = defaultdict(list)
        self._due: list[tuple[Done, Appended]] = []

    def append(self, record: Outgoing, done: Done) -> None:
        topic, partition, key, value, headers = record
        place = partition or 0
        held = self.partitions[topic, place]
        held.append(Record(topic, place, len(held), self.now, key, value, headers))
        if not self._due:
            asyncio.get_running_loop().call_soon(self._answer)
        self._due.append((done, Appended(place, len(held) - 1, self.now)))

    def _answer(self) -> None:
        due, self._due = self._due, []
        for done, ack in due:
            done(ack)

    async def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Record]]:
        held = self.partitions[topic, partition]
        for at in range(start, end, BATCH):
            yield held[at : min(end, at + BATCH)]

    async def bounds(self, topic: str, partition: int) -> Bounds:
        return Bounds(0, len(self.partitions[topic, partition]))

    async def offset_at(self, topic: str, partition: int, timestamp: int) -> int:
        return 0 if timestamp <= self.now else len(self.partitions[topic, partition])

    async def transactions(self, topic: str, partition: int) -> Transactions:
        raise NotImplementedError(f"no transactions on {topic}[{partition}] here")

    async def truncate(self, topic: str, partition: int, before: int) -> None:
        pass


class InstantMember:
    """Implements :class:`~aiosv3.streams.log.Member` for one partition, whose records come in batches, one a turn."""

    def __init__(self, log: InstantLog, inputs: str, journal: str | None) -> None:
        self._log = log
        self._inputs = inputs
        self._journal = journal
        self._next = {topic: 0 for topic in (journal, inputs) if topic is not None}
        self._flowing = True
        self._reading: asyncio.Task[None] | None = None

    async def join(self, listener: Listener) -> None:
        start = listener.starts(0, None, 0, 0)
        listener.assigned(0, start, None)
        self._reading = asyncio.get_running_loop().create_task(self._read(listener))

    async def _read(self, listener: Listener) -> None:
        while True:
            found: list[Record] = []
            for topic, at in self._next.items():
                if topic != self._inputs or self._flowing:
                    batch = self._log.partitions[topic, 0][at : at + BATCH]
                    self._next[topic] = at + len(batch)
                    found += batch
            if found:
                listener.records(found)
            await asyncio.sleep(0)

    async def commit(self, partition: int, committed: Committed) -> bool:
        return True

    def flow(self, topic: str, partition: int, *, on: bool) -> None:
        if topic == self._inputs:
            self._flowing = on

    def restart(self, partition: int) -> None:
        raise NotImplementedError("nobody else takes a partition here")

    def alive(self) -> bool:
        return True

    async def leave(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
