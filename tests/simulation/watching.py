"""What each process has read of other owners' markers, and what it does all the same (protocol rules 2, 6 and 18)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from aiosv3.schemas.headers import CE_ID, CE_SOURCE, REPLY, Reply
from aiosv3.streams.errors import AppendFailed
from aiosv3.streams.log import Appended, Bounds, Done, Log, Member, Outgoing, Record, Transactions
from aiosv3.streams.processor import OpenTenure, Processor
from aiosv3.streams.tenure import Wiring
from aiosv3.streams.truncation import KEPT_S


@dataclass(slots=True)
class Watch:
    """One processor of one process, by what passes between it and the log. ``wrong``: what it should not have done."""

    process: str
    inputs: str
    marks: str
    wrong: list[tuple[str, str]]
    member: Member | None = None
    mine: dict[int, int] = field(default_factory=dict)
    """Partition -> the newest marker of this process, as it was acknowledged."""
    seen: dict[int, int] = field(default_factory=dict)
    """Partition -> the newest marker of another one that it has read."""
    begun: set[str] = field(default_factory=set)
    """Tasks of which it is being given, or has been, that they have started."""
    given: dict[int, int] = field(default_factory=dict)
    """Partition -> the record of ``marks`` that it is given next. One of its own that is acknowledged there counts."""

    def gets(self, records: Sequence[Record]) -> None:
        """It is about to be given these."""
        for record in records:
            if record.topic == self.marks:
                self._given(record.partition, record.offset, record)

    def stands(self, record: Outgoing, ack: Appended) -> None:
        """It is about to hear where a record of its own stands."""
        if record.topic == self.marks and ack.offset == self.given.get(ack.partition):
            self._given(ack.partition, ack.offset, record)

    def _given(self, partition: int, offset: int, record: Record | Outgoing) -> None:
        self.given[partition] = max(offset + 1, self.given.get(partition, 0))
        if dict(record.headers).get(CE_ID, b"").endswith((b"/started", b"/carry")):
            self.begun.add((record.key or b"").decode())

    def read(self, records: Sequence[Record]) -> None:
        """It has been given these, and has done what they ask for."""
        for record in records:
            if record.topic == self.marks and is_marker(record) and record.header(CE_SOURCE) != self.process.encode():
                self.seen[record.partition] = max(record.offset, self.seen.get(record.partition, -1))

    def sends(self, record: Outgoing) -> None:
        """It appends: nothing any more for a partition of which it knows that somebody else has taken it."""
        partition, raw = self._partition(record), dict(record.headers).get(REPLY)
        if raw is not None and (reply := Reply.decode(raw)).topic == self.marks and reply.task not in self.begun:
            words = f"{self.process} sends {reply.task}/{reply.step} before it has read that the task has started"
            self.wrong.append(("unread", words))
        if partition is not None and self.deaf(partition):
            self.wrong.append(
                ("deaf", f"{self.process} sends to {record.topic} for a partition that it knows is taken")
            )

    def calls(self, partition: int, request_id: str) -> None:
        """Somebody outside is asked on behalf of an input of this partition."""
        if self.deaf(partition):
            self.wrong.append(("deaf", f"{self.process} calls for {request_id}, whose partition it knows is taken"))
        self.acts(request_id)

    def acts(self, name: str) -> None:
        """Something is done outside: not by a process that no broker has answered for a session."""
        if self.member is not None and not self.member.alive():
            words = f"{self.process} does {name}, and no broker has answered it for a session"
            self.wrong.append(("zombie_call", words))

    def deaf(self, partition: int) -> bool:
        """It has read that somebody else came after it."""
        return self.seen.get(partition, -1) > self.mine.get(partition, self.seen.get(partition, -1))

    def _partition(self, record: Outgoing) -> int | None:
        """Whose partition a record speaks for, where it says so: that of the input that it was made from."""
        if record.value is None:
            return None
        source = next((value for name, value in record.headers if name == CE_SOURCE), b"")
        topic, _, offset = source.decode("utf-8", "replace").rpartition("/")
        topic, _, partition = topic.rpartition("/")
        return int(partition) if topic == self.inputs and offset.isdigit() and partition.isdigit() else None


def is_marker(record: Record | Outgoing) -> bool:
    """An ownership marker."""
    return record.value is None and dict(record.headers).get("ce_type") == b"aiosv3.owner"


class WatchedLog:
    """Implements :class:`~aiosv3.streams.log.Log` on another one."""

    def __init__(self, log: Log, watch: Watch) -> None:
        self._log = log
        self.watch = watch

    def append(self, record: Outgoing, done: Done) -> None:
        marks = is_marker(record) and record.topic == self.watch.marks
        if not marks:
            self.watch.sends(record)

        def heard(ack: Appended | AppendFailed) -> None:
            if isinstance(ack, Appended) and marks:
                self.watch.mine[record.partition or 0] = ack.offset
            elif isinstance(ack, Appended):
                self.watch.stands(record, ack)
            done(ack)

        self._log.append(record, heard)

    async def transactions(self, topic: str, partition: int) -> Transactions:
        return WatchedTransactions(await self._log.transactions(topic, partition), self.watch)

    async def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Record]]:
        async for batch in self._log.read(topic, partition, start, end):
            yield batch
            self.watch.read(batch)

    async def bounds(self, topic: str, partition: int) -> Bounds:
        return await self._log.bounds(topic, partition)

    async def offset_at(self, topic: str, partition: int, timestamp: int) -> int:
        return await self._log.offset_at(topic, partition, timestamp)

    async def truncate(self, topic: str, partition: int, before: int) -> None:
        await self._log.truncate(topic, partition, before)


class WatchedTransactions:
    """Implements :class:`~aiosv3.streams.log.Transactions` on others."""

    def __init__(self, transactions: Transactions, watch: Watch) -> None:
        self._transactions = transactions
        self._watch = watch

    def append(self, record: Outgoing, done: Done) -> None:
        self._watch.sends(record)
        self._transactions.append(record, done)

    def close(self) -> None:
        self._transactions.close()


class WatchedProcessor(Processor):
    """A processor on a :class:`WatchedLog`: what its member gives it is seen too."""

    def __init__(
        self, wiring: Wiring, open_tenure: OpenTenure, *, commit_every: float, journal_kept: float = KEPT_S
    ) -> None:
        super().__init__(wiring, open_tenure, commit_every=commit_every, journal_kept=journal_kept)
        self._watched = wiring.log

    def records(self, records: Sequence[Record]) -> None:
        watch = self._watched.watch if isinstance(self._watched, WatchedLog) else None
        if watch is not None:
            watch.gets(records)
        super().records(records)
        if watch is not None:
            watch.read(records)
