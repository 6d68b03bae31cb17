"""What recorded calls would have cost under two price tables."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from typing import Any

from aiosv3.app.reading import Reading
from aiosv3.app.workers import Mesh
from aiosv3.router.prices import PriceTable
from aiosv3.schemas.errors import UnknownSchema, WireError
from aiosv3.schemas.records import Completion, Usage
from aiosv3.schemas.store import UnresolvedSchema
from aiosv3.streams.kafka import Overview
from aiosv3.streams.log import Record


@dataclass(slots=True)
class Line:
    """The calls of one model in one pool. Costs in micro-dollars; ``old`` and ``new`` None: the table has no price."""

    pool: str
    model: str
    calls: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    recorded: int = 0
    old: int | None = 0
    new: int | None = 0
    cache_write_tokens: int = 0

    @property
    def delta(self) -> int | None:
        """What the new table costs more."""
        return None if self.old is None or self.new is None else self.new - self.old

    def to_json(self) -> dict[str, Any]:
        """Stable names."""
        return {
            "pool": self.pool,
            "model": self.model,
            "calls": self.calls,
            "input_tokens": self.input_tokens,
            "cached_tokens": self.cached_tokens,
            "cache_write_tokens": self.cache_write_tokens,
            "output_tokens": self.output_tokens,
            "recorded_usd_micros": self.recorded,
            "old_usd_micros": self.old,
            "new_usd_micros": self.new,
            "delta_usd_micros": self.delta,
        }


class Comparison:
    """Adds up calls, each by the price of its own time.

    ``provider``: whose list prices a pool has, by its name; None: that of whoever is the only one with such a model.
    ``flex``: names of pools whose calls may wait.
    """

    def __init__(
        self,
        old: PriceTable,
        new: PriceTable,
        provider: Callable[[str], str | None],
        flex: Collection[str] = (),
    ) -> None:
        self._tables = (old, new)
        self._provider = provider
        self._flex = flex
        self._lines: dict[tuple[str, str], Line] = {}
        self._seen: set[tuple[str, int]] = set()

    def add(self, completion: Completion, timestamp: int) -> None:
        """One completion; a further copy of it counts for nothing, another attempt is another call."""
        once = (completion.request_id, completion.epoch)
        used = completion.usage
        if once in self._seen or not used.model_calls:
            return
        self._seen.add(once)
        key = (completion.pool, completion.model)
        line = self._lines.setdefault(key, Line(*key))
        line.calls += used.model_calls
        line.input_tokens += used.input_tokens
        line.cached_tokens += used.cached_tokens
        line.cache_write_tokens += used.cache_write_tokens + used.cache_write_long_tokens
        line.output_tokens += used.output_tokens
        line.recorded += used.cost_usd_micros
        old, new = (self._cost(table, completion, timestamp) for table in self._tables)
        line.old = None if line.old is None or old is None else line.old + old
        line.new = None if line.new is None or new is None else line.new + new

    def _cost(self, table: PriceTable, completion: Completion, timestamp: int) -> int | None:
        entry = table.find(self._provider(completion.pool), completion.model, timestamp)
        if entry is None:
            return None
        used: Usage = completion.usage
        price = entry.price.batched() if completion.pool in self._flex else entry.price
        written, kept = used.cache_write_tokens, used.cache_write_long_tokens
        return price.of(used.input_tokens, used.output_tokens, used.cached_tokens, written, kept)

    def lines(self) -> list[Line]:
        """The largest recorded cost first."""
        return sorted(self._lines.values(), key=lambda line: (-line.recorded, line.pool, line.model))

    def total(self) -> Line:
        """Over all calls that both tables have a price for."""
        known = [line for line in self._lines.values() if line.delta is not None]
        return Line(
            "",
            "",
            sum(line.calls for line in known),
            sum(line.input_tokens for line in known),
            sum(line.cached_tokens for line in known),
            sum(line.output_tokens for line in known),
            sum(line.recorded for line in known),
            sum(line.old or 0 for line in known),
            sum(line.new or 0 for line in known),
            sum(line.cache_write_tokens for line in known),
        )


async def read_completions(mesh: Mesh, since: int | None = None) -> AsyncIterator[tuple[Completion, int]]:
    """All completions on the log, each with its time; ``since`` in milliseconds. What cannot be read is left out."""
    reading, prefix = Reading(mesh), mesh.topics.completions("x").removesuffix("x")
    topics = await Overview(mesh.connection).topics(prefix)
    for topic, partitions in sorted(topics.items()):
        for partition in range(partitions):
            start = 0 if since is None else await mesh.log.offset_at(topic, partition, since)
            async for record in reading.records(topic, partition, start):
                completion = await completion_in(mesh, record)
                if completion is not None:
                    yield completion, record.timestamp


async def completion_in(mesh: Mesh, record: Record) -> Completion | None:
    """None where ``record`` is something else, whatever it is."""
    for _ in range(2):
        try:
            return None if record.value is None else mesh.codec.decode_as(Completion, record.value)
        except UnresolvedSchema as error:
            missing = error.schema_id
        except WireError:
            return None
        try:
            await mesh.store.resolve(missing)
        except UnknownSchema:  # garbage may name any
            return None
    return None
