"""What one partition of the double holds, and how it is deleted and compacted."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from aiosv3.streams.log import Bounds, Outgoing, Record


class Partition:
    """Records in offset order, with holes where they were compacted away.

    ``archive``: what is deleted stays in ``records``, for whoever looks at a whole history; no process can read it.
    """

    __slots__ = ("_gone", "_offsets", "_records", "_waiting", "archive", "begun", "end", "start", "writer")

    def __init__(self, *, archive: bool = False) -> None:
        self.archive = archive
        self._gone: list[Record] = []
        self.start = 0
        self.end = 0
        self.writer = 0
        """How often somebody has taken the partition for transactions: only the last one may write in them."""
        self.begun = 0
        """Records of a transaction that has begun and is not over: nobody reads them yet."""
        self._records: list[Record] = []
        self._offsets: list[int] = []
        self._waiting: list[Callable[[], None]] = []

    @property
    def bounds(self) -> Bounds:
        return Bounds(self.start, self.end)

    @property
    def records(self) -> Sequence[Record]:
        """All that is there now, oldest first; with an archive all that ever was."""
        return sorted(self._gone + self._records, key=_offset) if self._gone else self._records

    def append(self, outgoing: Outgoing, partition: int, timestamp: int) -> Record:
        record = Record(
            outgoing.topic,
            partition,
            self.end,
            timestamp,
            outgoing.key,
            outgoing.value,
            list(outgoing.headers),
        )
        self._records.append(record)
        self._offsets.append(self.end)
        self.end += 1
        waiting, self._waiting = self._waiting, []
        for wake in waiting:
            wake()
        return record

    def commit(self) -> None:
        """The end of a transaction has an offset of its own, as in Kafka."""
        self.begun = 0
        self.end += 1

    def abort(self) -> None:
        """What has begun is never read: its records and its end are a hole."""
        if self.begun:
            self.end += self.begun + 1
            self.begun = 0

    def take(self, start: int, end: int, limit: int) -> tuple[list[Record], int]:
        """At most ``limit`` records in ``[start, end)``, and the offset at which to go on."""
        first = bisect_left(self._offsets, start)
        last = bisect_left(self._offsets, end)
        records = self._records[first : min(last, first + limit)]
        return records, (records[-1].offset + 1 if first + limit < last else end)

    def wait(self, wake: Callable[[], None]) -> None:
        """Calls ``wake`` once, when the next record comes."""
        self._waiting.append(wake)

    def offset_at(self, timestamp: int) -> int:
        """The first offset with a time ``>= timestamp``. Broker times may step back: no bisection here."""
        return next((record.offset for record in self._records if record.timestamp >= timestamp), self.end)

    def truncate(self, before: int) -> None:
        """Deletes below ``before``; the caller has checked that it is not beyond the end."""
        self.start = max(self.start, before)
        gone = bisect_left(self._offsets, self.start)
        if self.archive:
            self._gone += self._records[:gone]
        del self._records[:gone]
        del self._offsets[:gone]

    def expire(self, before: int) -> None:
        """Deletes the oldest records while their time is below ``before`` (ms)."""
        young = next((record.offset for record in self._records if record.timestamp >= before), self.end)
        self.truncate(young)

    def compact(self, before: int) -> None:
        """Keeps the last record of each key, so always the newest record (Kafka: the active segment).

        Records from the first one on whose time is above ``before`` (ms) are not looked at, and stay. So do
        tombstones, as within ``delete.retention.ms``. The start of the log does not move.
        """
        young = next((record.offset for record in self._records if record.timestamp > before), self.end)
        newest = {record.key: record.offset for record in self._records if record.offset < young}
        kept, gone = list[Record](), list[Record]()
        for record in self._records:
            stays = record.offset >= young or newest[record.key] == record.offset
            (kept if stays else gone).append(record)
        self._records = kept
        if self.archive:
            self._gone += gone
        self._offsets = [record.offset for record in self._records]


def _offset(record: Record) -> int:
    return record.offset
