"""Decisions on the log, with the headers of their requests: to be explained, or made again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from aiosv3.app.reading import Reading
from aiosv3.app.tracing.membership import Membership
from aiosv3.router.routing.book import PolicyBook
from aiosv3.router.routing.errors import UnusableVersion
from aiosv3.router.routing.redeciding import Difference, Recorded, differences, redecided, was_chosen
from aiosv3.router.routing.routingpolicy import RoutingPolicy
from aiosv3.schemas import headers as names
from aiosv3.schemas.errors import MalformedHeader, WireError
from aiosv3.schemas.headers import Grant, Route
from aiosv3.schemas.records import Decision
from aiosv3.schemas.store import UnresolvedSchema
from aiosv3.streams.log import Bounds, Record

_CHUNK: Final = 5_000
_DECISION: Final = b"aiosv3.decision"
_SHOWN: Final = 20


class Placed(NamedTuple):
    """A decision and where it stands."""

    decision: Decision
    partition: int
    offset: int
    timestamp: int


@dataclass(slots=True)
class Replayed:
    """What came of making decisions again. ``examples``: the first that differ, with what differs in them."""

    same: int = 0
    different: int = 0
    not_chosen: int = 0
    """The policy was not asked: cancelled trees, deadlines that had passed, decisions that were overruled."""
    lost: dict[str, int] = field(default_factory=dict)
    """Decisions that cannot be made again, by the reason."""
    cost: int = 0
    cost_before: int = 0
    """Micro-dollars that the chosen pools were expected to cost: now, and as recorded."""
    examples: list[tuple[Placed, list[Difference]]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Stable names."""
        return {
            "same": self.same,
            "different": self.different,
            "not_chosen": self.not_chosen,
            "lost": self.lost,
            "expected_usd_before": self.cost_before / 1e6,
            "expected_usd": self.cost / 1e6,
            "examples": [_example(placed, found) for placed, found in self.examples],
        }


def _example(placed: Placed, found: list[Difference]) -> dict[str, Any]:
    decision = placed.decision
    return {
        "request_id": decision.request_id,
        "partition": placed.partition,
        "offset": placed.offset,
        "differences": [{"field": one.field, "recorded": str(one.recorded), "now": str(one.now)} for one in found],
    }


async def decisions_of(reading: Reading, task_id: str) -> list[Placed]:
    """The decisions for a task and all below it, oldest first."""
    members = Membership(task_id)
    topic = reading.mesh.topics.decisions()

    async def of(partition: int) -> list[Placed]:
        return [
            placed
            async for record in reading.records(topic, partition)
            if members.holds(record) and (placed := _placed(reading, record)) is not None
        ]

    found = await asyncio.gather(*(of(partition) for partition in range(await reading.partitions(topic))))
    return sorted((one for part in found for one in part), key=lambda one: (one.timestamp, one.partition, one.offset))


def _placed(reading: Reading, record: Record) -> Placed | None:
    if record.value is None or record.header(names.CE_TYPE) != _DECISION:
        return None
    try:
        decision = reading.mesh.codec.decode_as(Decision, record.value)
    except (WireError, UnresolvedSchema):
        return None
    return Placed(decision, record.partition, record.offset, record.timestamp)


async def replayed(reading: Reading, book: PolicyBook, since: int, policy: RoutingPolicy | None = None) -> Replayed:
    """All decisions since ``since`` (ms) made again: by the policies that they name, or all by ``policy``."""
    result = Replayed()
    topic = reading.mesh.topics.decisions()
    for partition in range(await reading.partitions(topic)):
        start = await reading.mesh.log.offset_at(topic, partition, since) if since > 0 else 0
        chunk: list[Placed] = []
        async for record in reading.records(topic, partition, start):
            placed = _placed(reading, record)
            if placed is not None:
                chunk.append(placed)
            if len(chunk) == _CHUNK:
                await _again(reading, book, chunk, policy, result)
                chunk = []
        await _again(reading, book, chunk, policy, result)
    return result


async def _again(
    reading: Reading, book: PolicyBook, chunk: list[Placed], policy: RoutingPolicy | None, result: Replayed
) -> None:
    asked = [placed for placed in chunk if was_chosen(placed.decision)]
    result.not_chosen += len(chunk) - len(asked)
    if not asked:
        return
    requests = await _requests(reading, asked)
    for placed in asked:
        decision = placed.decision
        headers = requests.get(decision.input_offset)
        if headers is None:
            _lost(result, "its request is gone from the log")
            continue
        try:
            pools = book.pools(decision.pools_version)
            by = book.policy(decision.policy_version) if policy is None else policy
            choice = redecided(Recorded(decision, *headers), by, pools)
        except UnusableVersion as error:
            _lost(result, str(error))
            continue
        result.cost += choice.cost
        result.cost_before += decision.reserved_usd_micros
        found = differences(decision, choice)
        if policy is not None:
            found = [one for one in found if one.field in {"pool", "model", "error"}]
        if not found:
            result.same += 1
            continue
        result.different += 1
        if len(result.examples) < _SHOWN:
            result.examples.append((placed, found))


def _lost(result: Replayed, why: str) -> None:
    result.lost[why] = result.lost.get(why, 0) + 1


async def _requests(reading: Reading, asked: list[Placed]) -> Mapping[int, tuple[Grant, Route]]:
    """The headers of requests by their offsets, which are in the partition of their decisions."""
    wanted = {placed.decision.input_offset for placed in asked}
    topic = reading.mesh.topics.prompts()
    held = await reading.mesh.log.bounds(topic, asked[0].partition)
    span = Bounds(max(held.start, min(wanted)), min(held.end, max(wanted) + 1))
    return {
        record.offset: headers
        async for record in _between(reading, topic, asked[0].partition, span)
        if record.offset in wanted and (headers := _headers(record)) is not None
    }


async def _between(reading: Reading, topic: str, partition: int, span: Bounds) -> AsyncIterator[Record]:
    if span.start < span.end:
        async for record in reading.between(topic, partition, span):
            yield record


def _headers(record: Record) -> tuple[Grant, Route] | None:
    grant, route = record.header(names.GRANT), record.header(names.ROUTE)
    try:
        return None if grant is None or route is None else (Grant.decode(grant), Route.decode(route))
    except MalformedHeader:
        return None
