"""Where a task begins; on real topics: tests/app/commands/test_trace.py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from aiosv3.app.tracing import Event, Wanted, event_of, ranges, traced_topics
from aiosv3.schemas.headers import Clearance, Grant
from aiosv3.schemas.topics import TaskHandle, Topics
from aiosv3.streams.log import Bounds, Record

_TOPICS = Topics("p.")


class FakeOverview:
    """Two partitions each; offsets are ten for each, five of them since any moment."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)
        self.moment: int | None = None

    async def topics(self, prefix: str = "") -> dict[str, int]:
        return {name: 2 for name in self.names if name.startswith(prefix)}

    async def bounds(self, counts: Mapping[str, int]) -> dict[tuple[str, int], Bounds]:
        return {(name, number): Bounds(0, 10) for name, count in counts.items() for number in range(count)}

    async def offsets_at(self, counts: Mapping[str, int], timestamp: int) -> dict[tuple[str, int], int]:
        self.moment = timestamp
        return dict.fromkeys(await self.bounds(counts), 5)


class FakeReading:
    """Task events by place."""

    mesh = SimpleNamespace(topics=_TOPICS)

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.found = list(records)
        self.read: list[tuple[str, int]] = []

    async def between(self, topic: str, partition: int, held: Bounds) -> AsyncIterator[Record]:
        self.read.append((topic, partition))
        for record in self.found:
            if (record.topic, record.partition) == (topic, partition):
                yield record


def event(task_id: str, agent: str, partition: int, timestamp: int, root: str | None = None) -> Record:
    headers = [("ce_id", task_id.encode())]
    if root is not None:
        headers.append(("aios-grant", Grant("t", root, Clearance.PUBLIC).encode()))
    return Record(f"p.tasks.{agent}", partition, 3, timestamp, None, b"{}", headers)


async def find(reading: FakeReading, overview: FakeOverview, text: str) -> Event | None:
    return await event_of(cast("Any", reading), cast("Any", overview), Wanted.parse(text))


@pytest.mark.parametrize(
    ("text", "task_id", "is_handle"),
    [("desk:0:order:17", "order:17", True), ("order:a:17", "order:a:17", False), ("order-17", "order-17", False)],
)
def test_a_task_is_named_by_its_handle_or_its_id(text: str, task_id: str, is_handle: bool) -> None:
    wanted = Wanted.parse(text)
    assert (wanted.task_id, wanted.handle is not None) == (task_id, is_handle)


async def test_a_handle_leads_to_one_partition() -> None:
    reading, overview = FakeReading([event("t", "b", 1, 7)]), FakeOverview(["p.tasks.a", "p.tasks.b"])
    assert await find(reading, overview, "b:1:t") == Event(TaskHandle("b", 1, "t"), 7, "t")
    assert reading.read == [("p.tasks.b", 1)]
    assert await find(reading, overview, "b:9:t") is None


async def test_an_id_is_looked_for_everywhere_and_the_oldest_counts() -> None:
    records = [event("t", "b", 1, 9), event("t", "a", 0, 7), event("other", "a", 1, 1)]
    reading, overview = FakeReading(records), FakeOverview(["p.tasks.a", "p.tasks.b", "p.results.a"])
    found = await find(reading, overview, "t")
    assert found is not None
    assert (found.handle.agent, found.timestamp, len(reading.read)) == ("a", 7, 4)
    assert await find(reading, overview, "none") is None


async def test_a_child_names_its_root() -> None:
    found = await find(FakeReading([event("t/1", "a", 0, 7, "t")]), FakeOverview(["p.tasks.a"]), "t/1")
    assert found is not None
    assert found.root == "t"


async def test_reading_begins_where_the_task_does_but_its_journal_from_the_start() -> None:
    overview = FakeOverview(["p.journal.a", "p.results.a"])
    counts = await overview.topics()
    began = Event(TaskHandle("a", 1, "t"), 60_000, "t")
    found = await ranges(cast("Any", FakeReading()), cast("Any", overview), counts, began)
    assert overview.moment == 55_000
    assert found == {
        ("p.journal.a", 0): Bounds(5, 10),
        ("p.journal.a", 1): Bounds(0, 10),
        ("p.results.a", 0): Bounds(5, 10),
        ("p.results.a", 1): Bounds(5, 10),
    }
    everything = await ranges(cast("Any", FakeReading()), cast("Any", overview), counts, None)
    assert set(everything.values()) == {Bounds(0, 10)}


async def test_topics_that_say_nothing_of_tasks_are_not_read() -> None:
    names = ["p.pools", "p.agents", "p.deltas", "p.state.a", "p.notes", "p.tasks.a", "p.approvals", "q.tasks.a"]
    assert set(await traced_topics(cast("Any", FakeOverview(names)), _TOPICS)) == {"p.tasks.a", "p.approvals"}
