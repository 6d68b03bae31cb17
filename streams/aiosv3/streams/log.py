"""The log port: everything that the runtime asks of Kafka, on one page.

Two implementations behave alike (``tests/contract``): :mod:`aiosv3.streams.kafka` on librdkafka and the in-memory
double in :mod:`aiosv3.streams.testing`. All methods are called on, and all callbacks arrive on, the event loop of the
process, except :meth:`Listener.starts`, which a consumer thread may call and which must therefore be pure.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from aiosv3.streams.errors import AppendFailed

Headers: TypeAlias = list[tuple[str, bytes]]


class Record(NamedTuple):
    """One record as read from the log. ``timestamp`` is the broker's, in milliseconds since the epoch."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    def header(self, name: str) -> bytes | None:
        """The last header of this name, or None. Kafka keeps duplicates; the last one is the nearest sender's."""
        for key, value in reversed(self.headers):
            if key == name:
                return value
        return None


class Outgoing(NamedTuple):
    """A record to append. ``partition`` None: by key, as Java's default partitioner does (``murmur2_random``)."""

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers


class Appended(NamedTuple):
    """Acknowledgement of an append: durable by the topic's rules (``acks=all``)."""

    partition: int
    offset: int
    timestamp: int


Done: TypeAlias = Callable[[Appended | AppendFailed], None]


class Bounds(NamedTuple):
    """The half-open range of offsets that a partition holds now: ``start`` is the oldest, ``end`` the next to come."""

    start: int
    end: int


class Transactions(Protocol):
    """Appends to one partition that only one writer at a time can make; see :meth:`Log.transactions`.

    Readers with ``isolation.level=read_committed`` see a record about when it is acknowledged, and one that was not
    committed never. Offsets have holes: each transaction leaves one behind it.
    """

    def append(self, record: Outgoing, done: Done) -> None:
        """As :meth:`Log.append`; acknowledged when its transaction is committed.

        ``done`` gets :class:`Fenced` once somebody else writes the partition: no record of mine gets there any more.
        """
        ...

    def close(self) -> None:
        """Takes no more, without waiting; what is on its way may still be committed."""
        ...


class Log(Protocol):
    """The partitioned log. Appends keep their call order for each partition; nothing here blocks the loop."""

    def append(self, record: Outgoing, done: Done) -> None:
        """Send ``record``; ``done`` is called once, later, on the loop: never from inside this call.

        It gets :class:`Appended`, or an :class:`AppendFailed` (:class:`AppendUnknown` after a timeout).
        """
        ...

    async def transactions(self, topic: str, partition: int) -> Transactions:
        """Fences whoever writes the partition in transactions: what is not committed when this returns never will be.

        Writers without transactions are not kept out.
        """
        ...

    def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[Sequence[Record]]:
        """Batches of all records in ``[start, end)``, in order; raises :class:`DataLost` when ``start`` is gone.

        ``end`` must not lie beyond the end of the log. Offsets may have holes where a topic is compacted.
        """
        ...

    async def bounds(self, topic: str, partition: int) -> Bounds:
        """Asks the broker for the range that the partition holds."""
        ...

    async def offset_at(self, topic: str, partition: int, timestamp: int) -> int:
        """The first offset whose record's broker time is ``>= timestamp`` (ms), or the end of the log if none is."""
        ...

    async def truncate(self, topic: str, partition: int, before: int) -> None:
        """Deletes the records below ``before`` (DeleteRecords). Positions already gone are no error."""
        ...


class Committed(NamedTuple):
    """What a group has committed for one partition: ``metadata`` is at most 4,095 characters."""

    offset: int
    metadata: str


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin reading after an assignment. ``journal`` is None for processors without a journal."""

    input: int
    journal: int | None = None


class Listener(Protocol):
    """What a member tells its processor. Order for each partition: starts, assigned, records…, revoked or lost."""

    def starts(self, partition: int, committed: Committed | None, input_start: int, journal_start: int) -> Start | None:
        """Pure; may run on another thread: where to read from, given the commit and where the two logs start.

        None refuses the partition: it stays assigned and nothing is read from it.
        """
        ...

    def assigned(self, partition: int, start: Start | None, committed: Committed | None) -> None:
        """The partition is ours from now on (``start`` as given by :meth:`starts`)."""
        ...

    def records(self, records: Sequence[Record]) -> None:
        """Records of input or journal partitions that are ours, in offset order for each partition."""
        ...

    def revoked(self, partition: int) -> Committed | None:
        """Stop now, without waiting for anything; returns a last commit. The member commits it and lets go."""
        ...

    def lost(self, partition: int) -> None:
        """The partition is no longer ours and nothing may be committed for it. Stop now."""
        ...


class Member(Protocol):
    """One membership in a consumer group, reading one input topic and, beside it, the journal partitions.

    Journal partitions ride along with the input partition of the same number; they are not in the subscription.
    """

    async def join(self, listener: Listener) -> None:
        """Subscribes; returns when the member is running (the first assignment comes later)."""
        ...

    async def commit(self, partition: int, committed: Committed) -> bool:
        """One request for one partition. False: refused by the broker, or the partition is not in my assignment now.

        Never sent once the partition was revoked or lost (protocol rule 6).
        """
        ...

    def flow(self, topic: str, partition: int, *, on: bool) -> None:
        """Holds or lets go the flow of records of one partition; what was read already still arrives."""
        ...

    def restart(self, partition: int) -> None:
        """Begins the partition again if it is still mine: ``lost``, then ``starts`` and ``assigned`` with what is
        committed now, then its records from there; nothing read before arrives after ``lost`` (rule 2)."""
        ...

    def alive(self) -> bool:
        """False when no heartbeat or commit was answered for one session timeout: start no call then (rule 6)."""
        ...

    async def leave(self) -> None:
        """Revokes everything (final commits as in :meth:`Listener.revoked`), leaves the group, frees its threads."""
        ...
