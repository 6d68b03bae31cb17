"""How much work waits for an agent, and who is there to do it: asked of the broker, without joining a group."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiosv3.schemas.topics import Topics
from aiosv3.streams.commit import Commit
from aiosv3.streams.errors import NewerCommit
from aiosv3.streams.kafka import Group, Overview
from aiosv3.streams.log import Bounds, Committed


@dataclass(frozen=True, slots=True)
class Backlog:
    """``unfinished``: tasks that are waiting or in work, as of the last commits; parked ones are not counted."""

    group: Group
    unfinished: int


async def backlogs(overview: Overview, topics: Topics, agents: Iterable[str]) -> dict[str, Backlog]:
    """By agent. One that has no topic of tasks has nothing to do."""
    inputs = {name: (group_of(topics, name), topics.tasks(name)) for name in agents}
    found = await of_groups(overview, topics.prefix, dict(inputs.values()))
    return {name: found[group] for name, (group, _) in inputs.items()}


async def of_groups(overview: Overview, prefix: str, inputs: Mapping[str, str]) -> dict[str, Backlog]:
    """By group; ``inputs``: the topic that each of them reads. ``prefix``: of all these topics."""
    counts = await overview.topics(prefix)
    there = {group: topic for group, topic in inputs.items() if topic in counts}
    bounds, groups, committed = await asyncio.gather(
        overview.bounds({topic: counts[topic] for topic in there.values()}),
        overview.groups(inputs),
        asyncio.gather(*(overview.committed(group, topic) for group, topic in there.items())),
    )
    commits = dict(zip(there, committed, strict=True))
    found = {}
    for group, topic in inputs.items():
        mine = {number: held for (of, number), held in bounds.items() if of == topic}
        found[group] = Backlog(groups[group], unfinished(mine, commits.get(group, {})))
    return found


def group_of(topics: Topics, agent: str) -> str:
    """The consumer group of an agent's workers."""
    return f"{topics.prefix}agent.{agent}"


def unfinished(bounds: Mapping[int, Bounds], committed: Mapping[int, Committed]) -> int:
    """Records of the topic that no commit says to be finished, over all partitions."""
    return sum(_of_partition(held, committed.get(number)) for number, held in bounds.items())


def _of_partition(held: Bounds, committed: Committed | None) -> int:
    if committed is None:
        return held.end - held.start
    done = 0
    try:
        commit = Commit.decode(committed)
    except NewerCommit:
        commit = None
    if commit is not None:
        done = sum(offset >= held.start for offset in commit.completed)
    return max(0, held.end - max(committed.offset, held.start) - done)
