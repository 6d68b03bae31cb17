"""Where on the log a task begins, so that nobody has to read what lies before it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiosv3.app.reading import Reading
from aiosv3.app.topickinds import kind_of
from aiosv3.app.tracing.membership import root_of
from aiosv3.schemas.headers import CE_ID
from aiosv3.schemas.topics import BadName, TaskHandle, Topics
from aiosv3.streams.kafka import Overview
from aiosv3.streams.log import Bounds, Record

_CLOCKS_MS: Final = 5_000
"""Brokers stamp records, each with its own clock."""

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person named: a handle says the partition, too."""

    task_id: str
    handle: TaskHandle | None

    @classmethod
    def parse(cls, text: str) -> Wanted:
        """Ids may hold colons, so what is no handle is an id."""
        try:
            handle = TaskHandle.parse(text)
        except BadName:
            return cls(text, None)
        return cls(handle.task_id, handle)


@dataclass(frozen=True, slots=True)
class Event:
    """The task event: ``root`` is the root of its tree, the task itself where it has no asker."""

    handle: TaskHandle
    timestamp: int
    root: str


async def traced_topics(overview: Overview, topics: Topics) -> dict[str, int]:
    """The topics that hold what happened to tasks, of whatever project, with their partitions."""
    counts = await overview.topics(topics.prefix)
    return {name: count for name, count in counts.items() if _is_traced(topics, name)}


def _is_traced(topics: Topics, name: str) -> bool:
    kind = kind_of(topics, name)
    return kind is not None and kind.name not in {"pools", "agents", "policies", "deltas", "state", "ledger"}


async def event_of(reading: Reading, overview: Overview, wanted: Wanted) -> Event | None:
    """The task event of an id: in the partition of the handle, else in all. None: it is not there, or no more."""
    topics = reading.mesh.topics
    counts = await overview.topics(topics.prefix + "tasks.")
    bounds = await overview.bounds(counts)
    if wanted.handle is not None:
        place = (topics.tasks(wanted.handle.agent), wanted.handle.partition)
        bounds = {place: bounds[place]} if place in bounds else {}
    found = await asyncio.gather(*(_event_in(reading, place, held, wanted.task_id) for place, held in bounds.items()))
    records = sorted((record for record in found if record is not None), key=lambda record: record.timestamp)
    return _event(topics, records[0], wanted.task_id) if records else None


def _event(topics: Topics, record: Record, task_id: str) -> Event:
    kind = kind_of(topics, record.topic)
    agent = kind.owner if kind is not None and kind.owner is not None else ""
    return Event(TaskHandle(agent, record.partition, task_id), record.timestamp, root_of(record) or task_id)


async def _event_in(reading: Reading, place: Place, held: Bounds, task_id: str) -> Record | None:
    wanted = task_id.encode()
    async for record in reading.between(*place, held):
        if record.header(CE_ID) == wanted:
            return record
    return None


async def ranges(
    reading: Reading, overview: Overview, counts: Mapping[str, int], event: Event | None
) -> dict[Place, Bounds]:
    """From where to where each partition may hold something of a task; without its event, all of it."""
    bounds = await overview.bounds(counts)
    if event is None:
        return bounds
    since = await overview.offsets_at(counts, event.timestamp - _CLOCKS_MS)
    found = {place: Bounds(max(held.start, since[place]), held.end) for place, held in bounds.items()}
    # Messages and cancels may come before their task, to the partition where it will be.
    early = (reading.mesh.topics.journal(event.handle.agent), event.handle.partition)
    if early in bounds:
        found[early] = bounds[early]
    return found
