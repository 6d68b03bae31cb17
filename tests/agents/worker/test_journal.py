from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiosv3.agents.facts import JournalEntry
from aiosv3.agents.worker.journal import JournalFeed
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import AiosError, RegistryUnavailable
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome
from aiosv3.schemas.store import SchemaStore, UnresolvedSchema
from aiosv3.streams.errors import ClaimsUnavailable
from aiosv3.streams.log import Appended, Outgoing, Record
from aiosv3.streams.testing import MemoryClaims

UNKNOWN = (5_000).to_bytes(4, "big")


class Buried:
    """A graveyard that remembers."""

    def __init__(self) -> None:
        self.letters: list[int] = []

    def bury(self, record: Record, _error: AiosError, _then: Any) -> None:
        self.letters.append(record.offset)


class Registry:
    """Knows schema 5000 once it is up."""

    def __init__(self, schema: Any) -> None:
        self.answer = schema
        self.up = asyncio.Event()

    async def register(self, subject: str, schema: Any) -> int:
        raise AssertionError((subject, schema))

    async def schema(self, schema_id: int) -> Any:
        assert schema_id == 5_000
        if not self.up.is_set():
            raise RegistryUnavailable("away")
        return self.answer


class Feed:
    """A journal feed over a store, with what it delivered."""

    def __init__(self) -> None:
        released = SchemaStore()
        self.registry = Registry(released.released_schema("aiosv3.JournalRecord"))
        self.codec = Codec(SchemaStore(registry=self.registry))
        self.buried = Buried()
        self.delivered: list[int] = []
        self.during: list[int] = []
        self.values: list[bytes] = []
        self.missing: list[int] | None = None
        self.went_on = asyncio.Event()
        self.feed = JournalFeed(self.codec, self.buried, self._marker, self._deliver, self.went_on.set)  # type: ignore[arg-type]

    @staticmethod
    def _marker(record: Record) -> bool:
        return record.key == b"marker"

    def _deliver(self, entry: JournalEntry) -> None:
        self.during.append(self.feed.next)
        if self.missing is not None and entry.offset in self.missing:
            self.missing.remove(entry.offset)
            raise UnresolvedSchema(5_000)
        self.delivered.append(entry.offset)
        self.values.append(entry.value)

    def record(self, offset: int, value: bytes | None = b"", *, unknown: bool = False, key: bytes = b"t") -> Record:
        if value == b"":
            entry = JournalRecord("t", 0, None, None, JournalKind.STARTED, Outcome.OK)
            value = self.codec.encode(entry)
            value = value[:1] + UNKNOWN + value[5:] if unknown else value
        return Record("journal", 0, offset, 1, key, value, [])


@pytest.fixture
def made() -> Feed:
    return Feed()


async def test_rule_17_records_come_in_order_and_markers_are_not_entries(made: Feed) -> None:
    for record in (made.record(3), made.record(4, None, key=b"marker"), made.record(5)):
        made.feed.take(record)
    assert (made.delivered, made.feed.next) == ([3, 5], 6)


async def test_what_nobody_can_read_is_a_dead_letter_and_the_rest_goes_on(made: Feed) -> None:
    for record in (made.record(0, b"garbage"), made.record(1, None), made.record(2)):
        made.feed.take(record)
    assert (made.buried.letters, made.delivered, made.feed.next) == ([0, 1], [2], 3)


async def test_a_schema_to_be_fetched_holds_back_what_is_behind(made: Feed) -> None:
    """Out of order would be another history; past it, the commit would forget it."""
    for record in (made.record(0), made.record(1, unknown=True), made.record(2)):
        made.feed.take(record)
    assert (made.delivered, made.feed.next) == ([0], 1)
    made.registry.up.set()
    async with asyncio.timeout(5):
        await made.went_on.wait()
    assert (made.delivered, made.feed.next) == ([0, 1, 2], 3)


async def test_rule_23_a_record_that_is_being_applied_counts_as_applied(made: Feed) -> None:
    """A carry that is built meanwhile includes it, and says so."""
    for record in (made.record(3), made.record(7)):
        made.feed.take(record)
    assert made.during == [4, 8]
    assert made.values == [made.record(3).value] * 2, "as it stands on the log, for the carry"
    assert made.feed.bytes == 2 * len(made.values[0])


async def test_rule_10_a_task_that_cannot_wake_yet_holds_its_record_back(made: Feed) -> None:
    """Its carry needs a schema: the record is delivered again, and no commit says meanwhile that it was applied."""
    made.missing = [1]
    for offset in range(3):
        made.feed.take(made.record(offset))
    assert (made.delivered, made.feed.next) == ([0], 1)
    made.registry.up.set()
    async with asyncio.timeout(5):
        await made.went_on.wait()
    assert (made.delivered, made.feed.next) == ([0, 1, 2], 3)


def sent(record: Record) -> tuple[Outgoing, Appended]:
    """A record as its writer knows it, and its acknowledgement."""
    topic, partition, offset, timestamp, key, value, headers = record
    return Outgoing(topic, partition, key, value, headers), Appended(partition, offset, timestamp)


async def test_rule_18_a_record_that_is_acknowledged_where_the_next_is_to_be_read_need_not_come_back(
    made: Feed,
) -> None:
    made.feed.take(made.record(0))
    mine = made.record(1)
    assert made.feed.acknowledged(0, *sent(mine)) == mine
    made.feed.take(mine)
    made.feed.take(made.record(1))  # as the consumer brings it
    made.feed.take(made.record(2))
    assert made.delivered == [0, 1, 2]
    assert (made.feed.next, made.feed.bytes) == (3, 3 * len(mine.value or b""))


async def test_rule_18_what_is_acknowledged_behind_something_unread_waits_for_it(made: Feed) -> None:
    made.feed.take(made.record(0))
    assert made.feed.acknowledged(0, *sent(made.record(2))) is None
    assert made.feed.acknowledged(1, *sent(made.record(1))) is None  # another partition's
    assert made.feed.acknowledged(0, *sent(made.record(0))) is None  # it came back before


async def test_rule_17_nothing_passes_a_record_whose_schema_is_being_fetched(made: Feed) -> None:
    made.feed.take(made.record(0, unknown=True))
    assert made.feed.acknowledged(0, *sent(made.record(0))) is None
    made.feed.take(made.record(0))  # the same again
    made.registry.up.set()
    await asyncio.wait_for(made.went_on.wait(), 30)
    assert made.delivered == [0]


async def test_after_close_nothing_is_delivered(made: Feed) -> None:
    made.feed.take(made.record(0, unknown=True))
    made.feed.close()
    made.feed.take(made.record(1))
    await asyncio.sleep(0)
    assert made.delivered == []


class Claims(MemoryClaims):
    """Away until it is up."""

    def __init__(self) -> None:
        super().__init__()
        self.up = asyncio.Event()
        self.asked = 0

    async def get(self, claim: str) -> bytes:
        self.asked += 1
        if not self.up.is_set():
            raise ClaimsUnavailable("away")
        return await super().get(claim)


async def test_content_in_the_claim_store_is_fetched_before_its_record_is_delivered(
    made: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aiosv3.agents.worker.journal._RETRY_S", 0.0)
    claims, whole = Claims(), list[JournalRecord]()
    feed = JournalFeed(
        made.codec,
        made.buried,  # type: ignore[arg-type]
        lambda _record: False,
        lambda entry: whole.append(entry.record),
        made.went_on.set,
        claims,
    )
    claim = await claims.put(b'"all of it"')
    fields: Any = {
        "task_offset": 0,
        "step_id": "1",
        "request_hash": "h",
        "kind": JournalKind.ANSWER,
        "outcome": Outcome.OK,
    }
    long = JournalRecord("t", content='"all"', claim=claim, **fields)
    lost = JournalRecord("t", content='"al"', claim="sha256:" + "0" * 64, **fields)
    for offset, record in enumerate((long, JournalRecord("t", content="1", **fields), lost)):
        feed.take(made.record(offset, made.codec.encode(record)))
    while claims.asked < 2:
        await asyncio.sleep(0)
    assert (whole, feed.next) == ([], 0)
    claims.up.set()
    while len(whole) < 3:
        await asyncio.sleep(0)
    assert [(record.content, record.claim) for record in whole] == [
        ('"all of it"', None),
        ("1", None),
        ('"al"', lost.claim),
    ]
    assert feed.next == 3
    feed.close()
