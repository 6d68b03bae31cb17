"""Steps that remember, recall and forget: requests to the memory workers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from aiosv3.agents.decoding import adapter_of, decoded
from aiosv3.agents.errors import MemoryRefused, MemoryUnavailable
from aiosv3.agents.steps import MemoryStep, due_after, request_hash
from aiosv3.schemas.memory import (
    KINDS,
    TENANT_WIDE,
    MemoryAction,
    MemoryPosition,
    MemoryQuery,
    heading_in,
    memory_id_of,
    place_in,
    place_of,
    subject_of,
)

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from aiosv3.agents.facts import JournalEntry
    from aiosv3.agents.remembering.searching import Expand, Rerank
    from aiosv3.agents.task import TaskRun

Kind: TypeAlias = Literal["episode", "fact", "chunk", "preference", "procedure", "summary"]
_OWN: Final = "agent"
_RANGES: Final = {
    "trust": (0, 2),
    "min_trust": (0, 2),
    "importance": (0.0, 1.0),
    "k": (1, 10_000),
    "position": (0, 2**31 - 1),
}


@dataclass(frozen=True, slots=True)
class Memory:
    """One memory that was found. ``partition`` and ``offset``: where it stands on ``memory.events``.

    ``subject`` is a keyed hash. ``trust``: 0 quarantined, 1 said by an agent, 2 confirmed by a person. ``score`` means
    nothing beside those of another recall.
    """

    id: str
    version: int
    text: str
    kind: str
    scope: str
    source: str
    valid_from: datetime
    recorded_at: datetime
    partition: int
    offset: int
    subject: str | None = None
    speaker: str | None = None
    valid_to: datetime | None = None
    position: int = 0
    trust: int = 1
    score: float | None = None

    @property
    def citation(self) -> str:
        """Where it can be looked up: ``memory.events/partition/offset``."""
        return f"memory.events/{self.partition}/{self.offset}"

    @property
    def heading(self) -> str:
        """The headings under which a chunk stands in its document (``source``): ``Guide > Install``; else empty."""
        return heading_in(self.text)


class Memories(list[Memory]):
    """What a recall found, best first.

    ``as_of``: by partition of the memory log, the first event that was not known yet. ``lag``: records that were on the
    log and not known. ``degraded``: something was amiss, and more might be found later. ``expanded``, ``reranked``: a
    model has helped.
    """

    def __init__(
        self,
        found: Sequence[Memory] = (),
        *,
        as_of: Mapping[int, int] | None = None,
        lag: int = 0,
        degraded: bool = False,
    ) -> None:
        super().__init__(found)
        self.as_of = dict(as_of or {})
        self.lag = lag
        self.degraded = degraded
        self.expanded = False
        self.reranked = False


@dataclass(frozen=True, slots=True)
class Remembered:
    """The log has it: at ``offset`` of ``partition`` of ``memory.events``. ``id``: of the memory."""

    id: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The log has it, as :class:`Remembered`. ``receipt``: store by store, how what was forgotten ends there."""

    partition: int
    offset: int
    receipt: dict[str, Any]


class MemorySteps:
    """The part of :class:`~aiosv3.agents.context.Context` that remembers.

    ``subject``: whom or what it is about, a customer's number, say; no record holds it, but a keyed hash of it.
    ``scope``: ``"agent"`` (this agent's own), ``"team:NAME"`` or ``"tenant"``.
    """

    __slots__ = ()
    _run: TaskRun

    def remember(
        self,
        text: str,
        *,
        subject: str | None = None,
        kind: Kind = "fact",
        scope: str = _OWN,
        key: str | None = None,
        source: str | None = None,
        position: int = 0,
        speaker: str | None = None,
        valid_from: datetime | None = None,
        valid_to: datetime | None = None,
        expires: timedelta | None = None,
        supersedes: str | None = None,
        trust: int = 1,
        importance: float = 0.0,
        model: str | None = None,
        name: str | None = None,
    ) -> asyncio.Future[Remembered]:
        """Remembers ``text``. It is sent even if nobody awaits it; who does has it found by all later recalls.

        The same text again is the same memory; ``key`` makes it the next version of what was remembered under it.
        ``source``, ``position``: the conversation and the turn, the document and the chunk. ``trust=0`` keeps it in
        quarantine: for what came from outside. ``model``: which one has found it, or put it so. Raises MemoryRefused,
        ClearanceDenied (a scope of others).
        """
        run = self._run
        step_id = run.next_id(name)
        tenant, about = run.task.grant.tenant, self._subject(subject)
        whose = self._scope(scope)
        place = place_of(run.secret, tenant, whose, about)
        what = ("key", key) if key is not None else ("text", text)
        query = _query(
            MemoryAction.REMEMBER,
            text,
            place=place,
            memory_id=memory_id_of(run.secret, tenant, place, whose, kind, *what),
            scope=whose,
            subject=about,
            kind=kind,
            source=source,
            position=position,
            speaker=speaker,
            valid_from=_ms(valid_from),
            valid_to=_ms(valid_to),
            expires_at=due_after(run.now, expires),
            supersedes=supersedes,
            trust=trust,
            importance=importance,
            model=model,
        )
        step = MemoryStep(id=step_id, hash=_hashed(query), first_sent=run.now, query=query, key=place)
        return run.issue(step, lambda entry: self._seen(entry, step_id, Remembered))

    def recall(
        self,
        query: str = "",
        *,
        k: int = 10,
        subject: str | None = None,
        scope: str | None = None,
        kinds: Sequence[Kind] = (),
        sources: Sequence[str] = (),
        tasks: Sequence[str] = (),
        models: Sequence[str] = (),
        as_of: datetime | Mapping[int, int] | None = None,
        valid_at: datetime | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        min_trust: int = 1,
        timeout: timedelta | None = None,
        expand: bool | Expand = False,
        rerank: bool | Rerank = False,
        name: str | None = None,
    ) -> asyncio.Future[Memories]:
        """The ``k`` memories that fit best; without a ``query`` the newest.

        Of all scopes that this agent may read, or of one. ``as_of``: what was known then, at a time or as of
        an earlier answer (its ``as_of``); ``valid_at``, ``since``,
        ``until``: what held then, as far as is known now. ``sources``, ``tasks``, ``models``: only what came from one
        of these. ``expand``: a model finds other words for the ``query``;
        ``rerank``: a model puts what was found in order. Each is one more model call; without its answer the recall is
        the plain one, ``degraded``. Raises (on await) MemoryUnavailable, AsOfPruned,
        ClearanceDenied (a scope of others), StepTimeout after ``timeout``.
        """
        asked = _query(
            MemoryAction.RECALL,
            query,
            subject=self._subject(subject),
            scope=None if scope is None else self._scope(scope),
            k=k,
            kinds=tuple(kinds),
            sources=tuple(sources),
            tasks=tuple(tasks),
            models=tuple(models),
            as_of=_ms(as_of) if isinstance(as_of, datetime) else None,
            as_of_positions=_positions(as_of),
            at=_ms(valid_at),
            since=_ms(since),
            until=_ms(until),
            min_trust=min_trust,
        )
        if asked.content is None or not (expand or rerank):
            return self._recall(asked, timeout, name)
        from aiosv3.agents.remembering.searching import searched

        return searched(self, asked, lambda one: self._recall(one, timeout, None), expand, rerank)

    def _recall(self, asked: MemoryQuery, timeout: timedelta | None, name: str | None) -> asyncio.Future[Memories]:
        run = self._run
        step_id = run.next_id(name)
        hashed = _hashed(asked)
        known = tuple(MemoryPosition(*place) for place in sorted(run.remembered.items()))
        step = MemoryStep(
            id=step_id,
            hash=hashed,
            first_sent=run.now,
            due=due_after(run.now, timeout),
            query=replace(asked, positions=known),
            key="",
        )
        return run.issue(step, lambda entry: _memories(entry, step_id))

    def forget(
        self,
        *,
        subject: str | None = None,
        id: str | None = None,  # noqa: A002 -- as in Memory
        name: str | None = None,
    ) -> asyncio.Future[Forgotten]:
        """Forgets one memory, or all of a subject in all scopes of the tenant, for good and for everybody.

        It is sent even if nobody awaits it. What was asked to be remembered before, and comes late, stays forgotten.
        Raises MemoryRefused; ValueError where neither or both are named.
        """
        if (subject is None) == (id is None):
            raise ValueError("forget either a subject or one memory, by its id")
        run = self._run
        step_id = run.next_id(name)
        about = self._subject(subject)
        place = place_in(id or "") if about is None else place_of(run.secret, self._tenant, TENANT_WIDE, about)
        query = _query(MemoryAction.FORGET, None, place=place, memory_id=id, subject=about)
        step = MemoryStep(id=step_id, hash=_hashed(query), first_sent=run.now, query=query, key=place)
        return run.issue(step, lambda entry: self._seen(entry, step_id, Forgotten))

    @property
    def _tenant(self) -> str:
        return self._run.task.grant.tenant

    def _subject(self, subject: str | None) -> str | None:
        return None if subject is None else subject_of(self._run.secret, self._tenant, subject)

    def _scope(self, scope: str) -> str:
        return f"{_OWN}:{self._run.agent.name}" if scope == _OWN else scope

    def _seen(self, entry: JournalEntry, step_id: str, kind: Any) -> Any:
        """From here on this task's recalls know that much."""
        adapter: TypeAdapter[Any] = adapter_of(kind)
        note = decoded(entry, step_id, adapter, MemoryRefused)
        self._run.remembered[note.partition] = max(note.offset, self._run.remembered.get(note.partition, -1))
        return note


def _query(action: MemoryAction, text: str | None, **asked: Any) -> MemoryQuery:
    """Without who asks, which is filled in when it is sent. Raises ValueError for what no record can hold."""
    for kind in (asked.get("kind"), *asked.get("kinds", ())):
        if kind is not None and kind not in KINDS:
            raise ValueError(f"{kind!r} is no kind of memory: there is {', '.join(KINDS)}")
    for name, (least, most) in _RANGES.items():
        if not least <= asked.get(name, least) <= most:
            raise ValueError(f"{name} is from {least} to {most}, not {asked[name]!r}")
    said: dict[str, Any] = {
        name: _printable(value) if isinstance(value, str) else value for name, value in asked.items()
    }
    for name in ("sources", "tasks", "models"):
        said[name] = tuple(map(_printable, asked.get(name, ())))
    return MemoryQuery("", "", "", "", "", action, content=_printable(text or "") or None, **said)


def _printable(text: str) -> str:
    """Half a surrogate pair fits into a Python string and into no record."""
    return text.encode("utf-8", "replace").decode()


def _hashed(query: MemoryQuery) -> str:
    """Over what was said: a field that is new in a later release, and not said, changes no hash."""
    said = [(field.name, getattr(query, field.name), field.default) for field in fields(query)]
    return request_hash("memory", *(f"{name}={value!s}" for name, value, default in said if value != default))


def _ms(moment: datetime | None) -> int | None:
    if moment is not None and moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone: its meaning would depend on the machine")
    return None if moment is None else round(moment.timestamp() * 1000)


def _positions(as_of: datetime | Mapping[int, int] | None) -> tuple[MemoryPosition, ...]:
    if as_of is None or isinstance(as_of, datetime):
        return ()
    if not as_of or any(partition < 0 or offset < 0 for partition, offset in as_of.items()):
        raise ValueError(f"as_of is a time, or offsets by partition as an answer has them: {dict(as_of)} is neither")
    return tuple(MemoryPosition(*place) for place in sorted(as_of.items()))


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _memories(entry: JournalEntry, step_id: str) -> Memories:
    """The answer to a recall."""
    answer = decoded(entry, step_id, adapter_of(dict[str, Any]), MemoryUnavailable)
    try:
        found = [memory_told(one) for one in answer["memories"]]
        as_of = {int(partition): int(offset) for partition, offset in answer["as_of"].items()}
        return Memories(found, as_of=as_of, lag=int(answer["lag"]), degraded=answer["degraded"] is True)
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
        words = f"the answer cannot be read: {type(error).__name__} {error}"
        raise MemoryUnavailable(words, step=step_id) from None


def memory_told(told: Mapping[str, Any]) -> Memory:
    """A memory as the answer to a recall tells it. Raises KeyError, TypeError and the like for what is none."""
    known = {field.name: told[field.name] for field in fields(Memory) if field.name in told}
    for name in ("valid_from", "valid_to", "recorded_at"):
        known[name] = _moment(known.get(name))
    return Memory(**known)
