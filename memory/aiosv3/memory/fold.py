"""Memory as a function of its log: events in, in offset order; what views have to change out.

Nobody who writes an event knows what memory holds then, and nobody has to: what an event means is decided here, by its
place in the order of the *requests* (docs/adr/0028). So a write that comes late, from a worker that was slow or that
had lost its partition, brings nothing back.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from aiosv3.memory.trusting import Suspects
from aiosv3.schemas.memory import MemoryAction, MemoryEvent
from aiosv3.schemas.records import Outcome

SUBJECT: Final = "subject/"
"""Before a subject, where a key may be an id or a subject."""


class Order(NamedTuple):
    """Where a request stands: its offset on ``memory.queries``, and when it was first sent (ms of the broker)."""

    input: int
    sent: int

    def after(self, other: Order) -> bool:
        """Behind it on the log, and not sent earlier: a copy that comes again, or late, is not."""
        return self.input > other.input and self.sent >= other.sent

    def latest(self, other: Order) -> Order:
        """The later of both, in each."""
        return Order(max(self.input, other.input), max(self.sent, other.sent))


class Ended(NamedTuple):
    """Up to which order something is over, and the offset of the last event that said so."""

    order: Order
    offset: int


class Known(NamedTuple):
    """A memory that is held: its version (offset of its event) and what decides about the next one."""

    version: int
    order: Order
    content_hash: str
    subject: str | None
    scope: str
    expires_at: int | None
    task: str = ""
    model: str | None = None


class Quarantine(NamedTuple):
    """All that came from a source, or from a task; ``on`` False: it was let out of it again."""

    order: Order
    offset: int
    source: str | None
    task: str | None
    on: bool


class Keep(NamedTuple):
    """A new version of a memory."""

    event: MemoryEvent
    version: int


class Drop(NamedTuple):
    """A memory ends with ``version``. ``purge``: it is forgotten, nothing of it may be left behind."""

    tenant: str
    id: str
    version: int
    purge: bool


Effect: TypeAlias = Keep | Drop
Key: TypeAlias = tuple[str, str]
"""Tenant and id."""


@dataclass(slots=True)
class Fold:
    """One partition. ``forgotten``: by id, or by ``subject/`` and a subject."""

    memories: dict[Key, Known] = field(default_factory=dict)
    forgotten: dict[Key, Ended] = field(default_factory=dict)
    ended: dict[Key, Ended] = field(default_factory=dict)
    """Expired, or superseded by another one."""
    quarantines: dict[Key, Quarantine] = field(default_factory=dict)
    """By their id. They hold for what is remembered later, too: a source does not get better by saying more."""
    _about: dict[Key, set[str]] = field(default_factory=dict)
    _tainted: set[Key] = field(default_factory=set)
    """What came from tasks that are in quarantine."""

    def apply(self, event: MemoryEvent, offset: int) -> list[Effect]:
        """The next event; an empty list where it changes nothing."""
        if event.outcome is not Outcome.OK:
            return []
        order = Order(event.input_offset, event.first_sent)
        if event.action is MemoryAction.REMEMBER:
            return self._remember(event, order, offset)
        if event.action is MemoryAction.FORGET:
            return self._forget(event, order, offset)
        if event.action is MemoryAction.EXPIRE and event.memory_id is not None:
            return self._end(self.ended, (event.tenant, event.memory_id), order, offset, purge=True)
        if event.action in {MemoryAction.QUARANTINE, MemoryAction.RELEASE}:
            self._quarantine(event, order, offset)
        return []

    def _quarantine(self, event: MemoryEvent, order: Order, offset: int) -> None:
        """Of one source or task the later request counts, whichever event lands first."""
        key = (event.tenant, event.memory_id or "")
        before = self.quarantines.get(key)
        if before is not None and before.order.input >= order.input:
            return
        on = event.action is MemoryAction.QUARANTINE
        self.quarantines[key] = Quarantine(order, offset, event.source, event.from_task, on)
        self._tainted = {one for one, known in self.memories.items() if self._is_tainted(one[0], known.task)}

    def _is_tainted(self, tenant: str, task: str) -> bool:
        return any(one.on and one.task == task for (owner, _), one in self.quarantines.items() if owner == tenant)

    def suspects(self, tenant: str) -> Suspects:
        """What is in quarantine."""
        rules = [one for (owner, _), one in self.quarantines.items() if owner == tenant and one.on]
        sources = frozenset(one.source for one in rules if one.source is not None)
        return Suspects(sources, frozenset(name for owner, name in self._tainted if owner == tenant))

    def _remember(self, event: MemoryEvent, order: Order, offset: int) -> list[Effect]:
        key = (event.tenant, event.memory_id or "")
        if not self._fresh(key, event.subject, order):
            return []
        known = self.memories.get(key)
        if known is not None and known.order.input >= order.input:
            return []  # something newer is there already, or this very request
        effects: list[Effect] = []
        if event.supersedes is not None and event.supersedes != event.memory_id:
            effects = self._end(self.ended, (event.tenant, event.supersedes), order, offset, purge=False)
        if known is not None and known.content_hash == event.content_hash:
            self.memories[key] = known._replace(order=order.latest(known.order))
            return effects  # the same again is one memory
        self._hold(key, event, order, offset)
        return [*effects, Keep(event, offset)]

    def _fresh(self, key: Key, subject: str | None, order: Order) -> bool:
        """False for what was asked before it, or its subject, was forgotten or ended: it comes too late."""
        ended = self.ended.get(key)
        return not self.has_forgotten(key, subject, order) and (ended is None or order.after(ended.order))

    def has_forgotten(self, key: Key, subject: str | None, order: Order) -> bool:
        """Whether a memory, or its subject, was forgotten after ``order``."""
        bounds = [self.forgotten.get(key)]
        if subject is not None:
            bounds.append(self.forgotten.get((key[0], SUBJECT + subject)))
        return any(bound is not None and not order.after(bound.order) for bound in bounds)

    def _hold(self, key: Key, event: MemoryEvent, order: Order, offset: int) -> None:
        self._let_go(key)
        self.memories[key] = Known(
            offset,
            order,
            event.content_hash or "",
            event.subject,
            event.scope or "",
            event.expires_at,
            event.task_id,
            event.model,
        )
        if self.quarantines and self._is_tainted(key[0], event.task_id):
            self._tainted.add(key)
        if event.subject is not None:
            self._about.setdefault((key[0], event.subject), set()).add(key[1])

    def _let_go(self, key: Key) -> None:
        known = self.memories.pop(key, None)
        self._tainted.discard(key)
        if known is not None and known.subject is not None:
            ids = self._about.get((key[0], known.subject), set())
            ids.discard(key[1])
            if not ids:
                self._about.pop((key[0], known.subject), None)

    def _forget(self, event: MemoryEvent, order: Order, offset: int) -> list[Effect]:
        tenant = event.tenant
        if event.memory_id is not None:
            return self._end(self.forgotten, (tenant, event.memory_id), order, offset, purge=True)
        if event.subject is None:
            return []
        target = (tenant, SUBJECT + event.subject)
        _note(self.forgotten, target, order, offset)
        return [
            drop
            for memory_id in sorted(self._about.get((tenant, event.subject), ()))
            if (drop := self._dropped((tenant, memory_id), order, offset, purge=True)) is not None
        ]

    def _end(self, table: dict[Key, Ended], key: Key, order: Order, offset: int, *, purge: bool) -> list[Effect]:
        _note(table, key, order, offset)
        drop = self._dropped(key, order, offset, purge=purge)
        return [] if drop is None else [drop]

    def _dropped(self, key: Key, order: Order, offset: int, *, purge: bool) -> Drop | None:
        known = self.memories.get(key)
        if known is None or known.order.after(order):
            return None
        self._let_go(key)
        return Drop(*key, offset, purge)

    def came_from(self, tenant: str, tasks: Collection[str], models: Collection[str]) -> frozenset[str]:
        """Ids of what one of these tasks had remembered, and one of these models has found; empty: any."""
        return frozenset(
            name
            for (owner, name), known in self.memories.items()
            if owner == tenant and (not tasks or known.task in tasks) and (not models or known.model in models)
        )

    def scopes(self, tenant: str) -> set[str]:
        """All scopes in which a tenant has memories."""
        return {known.scope for (owner, _), known in self.memories.items() if owner == tenant}

    def tenants(self) -> set[str]:
        """All tenants that have memories here."""
        return {tenant for tenant, _ in self.memories}

    def due(self, now: int) -> list[tuple[Key, Known]]:
        """What has expired at ``now`` (ms) and is still held."""
        return [
            (key, known)
            for key, known in self.memories.items()
            if known.expires_at is not None and known.expires_at <= now
        ]


def _note(table: dict[Key, Ended], key: Key, order: Order, offset: int) -> None:
    before = table.get(key)
    table[key] = Ended(order if before is None else order.latest(before.order), offset)
