from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aiosv3.agents.journal import JournalFeed
from aiosv3.agents.task import JournalEntry
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import AiosError, RegistryUnavailable
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome
from aiosv3.schemas.store import SchemaStore
from aiosv3.streams.log import Record

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
        self.went_on = asyncio.Event()
        self.feed = JournalFeed(self.codec, self.buried, self._marker, self._deliver, self.went_on.set)  # type: ignore[arg-type]

    @staticmethod
    def _marker(record: Record) -> bool:
        return record.key == b"marker"

    def _deliver(self, entry: JournalEntry) -> None:
        self.delivered.append(entry.offset)

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


async def test_after_close_nothing_is_delivered(made: Feed) -> None:
    made.feed.take(made.record(0, unknown=True))
    made.feed.close()
    made.feed.take(made.record(1))
    await asyncio.sleep(0)
    assert made.delivered == []
