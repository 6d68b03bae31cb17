"""What was said of memories, oldest first: remembered, forgotten, expired, put into quarantine and let out of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from aiosv3.memory.access import OPERATOR
from aiosv3.schemas.memory import MemoryAction

if TYPE_CHECKING:
    from aiosv3.app.recollection import Recollection
    from aiosv3.schemas.memory import MemoryEvent
    from aiosv3.streams.log import Record

Said: TypeAlias = "tuple[Record, MemoryEvent]"
_QUARANTINES = frozenset({MemoryAction.QUARANTINE, MemoryAction.RELEASE})


class Named(NamedTuple):
    """What a timeline is of: one memory, by its id, or a subject, by its keyed hash."""

    memory_id: str | None
    subject: str | None


def timeline(recollection: Recollection, tenant: str, named: Named) -> list[Said]:
    """All events that concern it, quarantines of its sources and tasks too, by the broker's time."""
    events = [event for (owner, _), said in recollection.events.items() if owner == tenant for event in said]
    mine = [event for event in events if _names(event[1], named)]
    memories = [told for _, told in mine if told.action is MemoryAction.REMEMBER]
    about = {told.subject for told in memories if told.subject is not None}
    partitions = {record.partition for record, _ in mine}
    concerning = [
        (record, told)
        for record, told in events
        if (told.action in _QUARANTINES and record.partition in partitions and _reaches(told, memories))
        or (named.memory_id is not None and _ends(told, about))
    ]
    return sorted([*mine, *concerning], key=lambda event: (event[0].timestamp, event[0].partition, event[0].offset))


def quarantines(recollection: Recollection, tenant: str, memory_id: str) -> list[dict[str, Any]]:
    """Why a memory is in quarantine now: of its source or its task, by whom and when; empty where it is not."""
    newest: dict[tuple[str | None, str | None], Said] = {}
    for record, told in timeline(recollection, tenant, Named(memory_id, None)):
        if told.action in _QUARANTINES:
            newest[told.source, told.from_task] = (record, told)
    held = recollection.held(tenant).get(memory_id)
    return [
        {"source": told.source, "task": told.from_task, "by": who(told), "at": record.timestamp}
        for record, told in newest.values()
        if told.action is MemoryAction.QUARANTINE
        and (told.from_task is None or held is None or told.from_task == held.task)
    ]


def who(told: MemoryEvent) -> str:
    """Whose doing an event is: an agent, the person at the shell, or nobody's, where a time was over."""
    if told.agent == OPERATOR:
        return told.speaker or OPERATOR
    return told.agent


def words_of(told: MemoryEvent, text: str) -> str:
    """What an event says, for people."""
    if told.action in _QUARANTINES:
        what = f"task {told.from_task}" if told.source is None else f"source {told.source}"
        return f"{'all' if told.action is MemoryAction.QUARANTINE else 'no longer all'} that came from {what}"
    return text


def _names(told: MemoryEvent, named: Named) -> bool:
    if told.action in _QUARANTINES:
        return False
    return told.memory_id == named.memory_id if named.memory_id is not None else told.subject == named.subject


def _reaches(told: MemoryEvent, memories: Iterable[MemoryEvent]) -> bool:
    if told.source is not None:
        return any(one.source == told.source for one in memories)
    return any(one.task_id == told.from_task for one in memories)


def _ends(told: MemoryEvent, about: set[str]) -> bool:
    """The forgetting of a whole subject is told of each of its memories."""
    return told.action is MemoryAction.FORGET and told.memory_id is None and told.subject in about
