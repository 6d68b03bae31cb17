"""Memory under faults, read off its topics: one fold, the same everywhere; what is over does not come back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from memory_on_paper import PaperView

from aiosv3.memory.access import OPERATOR
from aiosv3.memory.feed import Feed
from aiosv3.memory.fold import Fold
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import GRANT, ROUTE, Clearance, Grant, Route
from aiosv3.schemas.memory import MemoryAction, MemoryEvent, MemoryQuery, MemoryState
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome
from aiosv3.schemas.topics import Topics
from aiosv3.streams.log import Record
from aiosv3.streams.testing import Simulation

_EXPIRED = "expire/"


class Remembering(Protocol):
    """What runs. ``feeds``: of memory workers that are alive."""

    sim: Simulation
    topics: Topics
    codec: Codec

    def feeds(self) -> Sequence[Feed]:
        """The live views."""
        ...

    def journals(self) -> Sequence[str]:
        """Where the answers go."""
        ...


class Asked(NamedTuple):
    """The first copy of a request. ``offset``: on its partition of ``memory.queries``; ``sent``: ms."""

    query: MemoryQuery
    tenant: str
    agent: str
    clearance: Clearance
    partition: int
    offset: int
    sent: int

    def after(self, other: Asked) -> bool:
        return self.offset > other.offset and self.sent >= other.sent


class MemoryChecker:
    """``(invariant, words)`` of everything that contradicts the promises of docs/memory.md."""

    def __init__(self, run: Remembering, partitions: int) -> None:
        self.run = run
        self.partitions = range(partitions)
        self.asked = self._asked()
        self.events = {number: list(self._events(number)) for number in self.partitions}
        self.jumps = any(event.what == "clock jumps" for event in run.sim.history)

    def violations(self) -> Iterator[tuple[str, str]]:
        yield from self._answers()
        yield from self._kept()
        yield from self._wanted()
        yield from self._quarantined()
        yield from self._views()
        yield from self._recalls()

    def settled(self) -> bool:
        """All is answered, the state topic and all views know the whole log, nothing is held whose time is over."""
        ends = {number: self.run.sim.broker.partition(self._topic, number).end for number in self.partitions}
        if any(feed.positions != ends for feed in self.run.feeds()) or self.states() != self.held():
            return False
        if not self.answers().keys() >= self.asked.keys():
            return False
        now = int(self.run.sim.clock() * 1000)
        return self.jumps or not any(self.fold(number).due(now) for number in self.partitions)

    # -- what the topics say --------------------------------------------------------------------------------------

    @property
    def _topic(self) -> str:
        return self.run.topics.memory_events()

    def _asked(self) -> dict[str, Asked]:
        found: dict[str, Asked] = {}
        for record in self.run.sim.broker.records(self.run.topics.memory_queries()):
            query = self.run.codec.decode_as(MemoryQuery, record.value or b"")
            name = (record.header("ce_id") or b"").decode()
            grant, route = Grant.decode(record.header(GRANT) or b""), Route.decode(record.header(ROUTE) or b"")
            place = record.partition, record.offset, route.first_sent
            found.setdefault(name, Asked(query, grant.tenant, route.agent or "", grant.clearance, *place))
        return found

    def _events(self, partition: int) -> Iterator[tuple[Record, MemoryEvent]]:
        for record in self.run.sim.broker.records(self._topic, partition):
            if record.value is not None:
                yield record, self.run.codec.decode_as(MemoryEvent, record.value)

    def fold(self, partition: int, upto: int | None = None) -> Fold:
        """Memory as anybody makes it out of the log."""
        fold = Fold()
        for record, told in self.events[partition]:
            if upto is None or record.offset < upto:
                fold.apply(told, record.offset)
        return fold

    def held(self) -> dict[str, int]:
        """Memory -> version, what was forgotten, and what is in quarantine."""
        found: dict[str, int] = {}
        for number in self.partitions:
            fold = self.fold(number)
            found |= {key[1]: known.version for key, known in fold.memories.items()}
            found |= {f"forgotten/{key[1]}": end.offset for key, end in fold.forgotten.items()}
            found |= {f"quarantined/{key[1]}@{number}": one.offset for key, one in fold.quarantines.items()}
        return found

    def states(self) -> dict[str, int]:
        """The same as ``memory.state`` says it."""
        found: dict[str, int] = {}
        for record in self.run.sim.broker.records(self.run.topics.memory_state()):
            key = (record.key or b"").decode()
            if key.startswith("quarantined/"):
                key += f"@{record.partition}"
            found.pop(key, None)
            if record.value is not None:
                found[key] = self.run.codec.decode_as(MemoryState, record.value).offset
        return found

    # -- what must hold -------------------------------------------------------------------------------------------

    def _journal(self) -> Iterator[JournalRecord]:
        for topic in self.run.journals():
            for record in self.run.sim.broker.records(topic):
                if record.value is not None:
                    yield self.run.codec.decode_as(JournalRecord, record.value)

    def answers(self) -> dict[str, list[JournalRecord]]:
        """Request -> what its asker was told."""
        found: dict[str, list[JournalRecord]] = {}
        for said in self._journal():
            name = said.task_id if said.task_id in self.asked else f"{said.task_id}/{said.step_id}"
            if said.kind is JournalKind.ANSWER and name in self.asked:
                found.setdefault(name, []).append(said)
        return found

    def _answers(self) -> Iterator[tuple[str, str]]:
        """Each write is one event that counts, whoever answers: its asker is told of the same one each time."""
        answers = self.answers()
        for name, asked in self.asked.items():
            said = answers.get(name, [])
            if not said:
                yield "memory_lost", f"{name} has no answer"
            if asked.query.action is not MemoryAction.RECALL and len({str(one.content) for one in said}) > 1:
                yield "memory_twice", f"{name} was answered in two ways: {[one.content for one in said]}"

    def _kept(self) -> Iterator[tuple[str, str]]:
        if self.states() != self.held():
            yield "memory_state", f"memory.state says {self.states()}, the log {self.held()}"

    def wanted(self) -> tuple[dict[str, str], set[str]]:
        """Memory -> text by the requests alone: the later one counts, what came before a forgetting is gone.

        And the memories of which it is not said: their time is over for some clock.
        """
        now = int(self.run.sim.clock() * 1000)
        refused = {told.request_id for told in self._first() if told.outcome is not Outcome.OK}
        forgets = [one for one in self.asked.values() if one.query.action is MemoryAction.FORGET]
        newest: dict[str, Asked] = {}
        for name, one in self.asked.items():
            query = one.query
            if query.action is not MemoryAction.REMEMBER or (name in refused and not self._forgotten(one, forgets)):
                continue
            if not self._forgotten(one, forgets):
                memory_id = query.memory_id or ""
                newest[memory_id] = max(one, newest.get(memory_id, one), key=lambda asked: asked.offset)
        left: dict[str, str] = {}
        unsaid: set[str] = set()
        for memory_id, one in newest.items():
            expires = one.query.expires_at
            if expires is not None and (self.jumps or expires > now):
                unsaid.add(memory_id)
            elif expires is None:
                left[memory_id] = str(one.query.content)
        return left, unsaid

    def _first(self) -> Iterator[MemoryEvent]:
        seen: set[str] = set()
        for number in self.partitions:
            for _, told in self.events[number]:
                if told.request_id not in seen:
                    seen.add(told.request_id)
                    yield told

    def _forgotten(self, one: Asked, forgets: Sequence[Asked]) -> bool:
        about = (
            other
            for other in forgets
            if other.tenant == one.tenant
            and (other.query.memory_id == one.query.memory_id or _same(other.query.subject, one.query.subject))
        )
        return any(not one.after(other) for other in about)

    def _wanted(self) -> Iterator[tuple[str, str]]:
        left, unsaid = self.wanted()
        held = {key[1] for number in self.partitions for key in self.fold(number).memories}
        for memory_id in sorted(held ^ left.keys()):
            if memory_id not in unsaid:
                words = "held, and should not be" if memory_id in held else "should be held, and is not"
                yield "memory_order", f"{memory_id} is {words}"

    def _quarantined(self) -> Iterator[tuple[str, str]]:
        """Of one source or task the later request counts, in each partition."""
        for number in self.partitions:
            said: dict[str, tuple[int, bool]] = {}
            for one in self.asked.values():
                on = one.query.action is MemoryAction.QUARANTINE
                if one.partition == number and (on or one.query.action is MemoryAction.RELEASE):
                    name = one.query.memory_id or ""
                    said[name] = max(said.get(name, (-1, on)), (one.offset, on))
            fold = self.fold(number)
            found = {key[1]: one.on for key, one in fold.quarantines.items()}
            if found != {name: on for name, (_, on) in said.items()}:
                yield "memory_quarantine", f"partition {number} says {found}, asked for was {said}"

    def _views(self) -> Iterator[tuple[str, str]]:
        versions = {key[1]: one.version for n in self.partitions for key, one in self.fold(n).memories.items()}
        left, unsaid = self.wanted()
        for feed in self.run.feeds():
            view = feed.applier.view
            assert isinstance(view, PaperView)
            found = {one.id: one.version for one in view.entries.values()}
            if found != versions:
                yield "memory_views", f"a view holds {found}, the log {versions}"
            for one in view.entries.values():
                if one.id not in unsaid and left.get(one.id) != one.text:
                    yield "memory_order", f"{one.id} is {one.text!r} in a view, and not {left.get(one.id)!r}"

    # -- what was recalled ----------------------------------------------------------------------------------------

    def _recalls(self) -> Iterator[tuple[str, str]]:
        """An answer is memory as its ``as_of`` says: nothing that was over then, nothing that was in quarantine."""
        for name, said in self.answers().items():
            asked = self.asked[name]
            if asked.query.action is MemoryAction.RECALL:
                for one in said:
                    if one.outcome is Outcome.OK and isinstance(one.content, str):
                        yield from self._recalled(name, asked, json.loads(one.content))

    def _recalled(self, name: str, asked: Asked, answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        as_of = {int(partition): offset for partition, offset in answer["as_of"].items()}
        folds = {number: self.fold(number, as_of[number]) for number in self.partitions}
        suspects = {one for fold in folds.values() for one in fold.suspects(asked.tenant).ids}
        sources = {one for fold in folds.values() for one in fold.suspects(asked.tenant).sources}
        known = {(key[1], one.version) for fold in folds.values() for key, one in fold.memories.items()}
        for found in answer["memories"]:
            if (found["id"], found["offset"]) not in known:
                yield "memory_gone", f"{name} was told of {found['id']}@{found['offset']}, which was over as of {as_of}"
            elif asked.query.min_trust and (found["id"] in suspects or found["source"] in sources):
                yield "memory_quarantine", f"{name} was told of {found['id']}, which is in quarantine"
        own = {place.partition: place.offset for place in asked.query.positions}
        if not answer["degraded"] and any(as_of[number] <= offset for number, offset in own.items()):
            yield "memory_unread", f"{name} knows {as_of}, its own writes are at {own}"


def _same(one: str | None, other: str | None) -> bool:
    return one is not None and one == other


def operator(query: MemoryQuery) -> bool:
    """Whether only who works at the shell may ask it."""
    return query.action not in {MemoryAction.REMEMBER, MemoryAction.RECALL, MemoryAction.FORGET}


__all__ = ["OPERATOR", "MemoryChecker", "Remembering", "operator"]
