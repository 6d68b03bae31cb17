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
    names = list(agents)
    counts = await overview.topics(topics.prefix + "tasks.")
    there = [name for name in names if topics.tasks(name) in counts]
    bounds, groups, committed = await asyncio.gather(
        overview.bounds({topics.tasks(name): counts[topics.tasks(name)] for name in there}),
        overview.groups([group_of(topics, name) for name in names]),
        asyncio.gather(*(overview.committed(group_of(topics, name), topics.tasks(name)) for name in there)),
    )
    commits = dict(zip(there, committed, strict=True))
    found = {}
    for name in names:
        topic = topics.tasks(name)
        mine = {number: held for (of, number), held in bounds.items() if of == topic}
        found[name] = Backlog(groups[group_of(topics, name)], unfinished(mine, commits.get(name, {})))
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
