"""Memory as the log tells it, for people: read whole, in this process, by the code that workers read it with."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from aiosv3.app.memories import contents_of, open_view
from aiosv3.app.projects import mesh_secret
from aiosv3.app.reading import Reading
from aiosv3.app.sealing import client_ring
from aiosv3.app.settings import SettingsError
from aiosv3.app.workers import Mesh
from aiosv3.memory.access import scope_in, view_scope
from aiosv3.memory.answers import memory_json
from aiosv3.memory.applying import Applier
from aiosv3.memory.fold import Known
from aiosv3.memory.keeping import last_states, record_of
from aiosv3.memory.past import ends_of
from aiosv3.memory.trusting import search
from aiosv3.schemas.errors import AiosError, UnknownSchema, WireError
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.memory import MemoryEvent, heading_in, subject_of
from aiosv3.schemas.records import Outcome
from aiosv3.schemas.store import UnresolvedSchema
from aiosv3.streams.log import Record

if TYPE_CHECKING:
    from aiosv3.memory.views.port import Digest, Entry, Hit, Query, View


_POSITIONS: Final = re.compile(r"\d+:\d+(?:,\d+:\d+)*")


class NoSuchMemory(AiosError):
    """There is no memory of this id."""


@dataclass(slots=True)
class Recollection:
    """All memories at a time. ``records``: how many the log has up to there; ``applier``: their view and folds."""

    applier: Applier
    records: int = 0
    events: dict[tuple[str, str], list[tuple[Record, MemoryEvent]]] = field(default_factory=dict)
    """Tenant and memory -> what was said of it, oldest first."""

    @property
    def view(self) -> View:
        """What finds them."""
        return self.applier.view

    def scopes(self, tenant: str) -> list[str]:
        """All scopes of a tenant, in all classes: an operator sees everything."""
        known = {scope for fold in self.applier.folds.values() for scope in fold.scopes(tenant)}
        return [view_scope(scope, level) for scope in sorted(known) for level in Clearance]

    def tenants(self) -> list[str]:
        """All tenants that have memories."""
        return sorted({tenant for fold in self.applier.folds.values() for tenant in fold.tenants()})

    def held(self, tenant: str) -> dict[str, Known]:
        """The memories of a tenant, by id."""
        folds = self.applier.folds.values()
        return {key[1]: known for fold in folds for key, known in fold.memories.items() if key[0] == tenant}

    def of_task(self, tenant: str, task: str) -> list[str]:
        """Those whose present version a task had remembered."""
        held = self.held(tenant)
        return [
            name
            for (owner, name), said in self.events.items()
            for record, told in said
            if owner == tenant and told.task_id == task and name in held and held[name].version == record.offset
        ]

    async def digests(self) -> dict[str, Digest]:
        """By tenant: how many memories, and the hash of them all."""
        return {tenant: await self.view.digest(tenant) for tenant in self.tenants()}

    def origin(self, entry: Entry) -> dict[str, str | None]:
        """Which task had it remembered, for which agent, and which model has found it."""
        for record, told in self.events.get((entry.tenant, entry.id), ()):
            if (record.partition, record.offset) == (entry.partition, entry.offset):
                return {"task": told.task_id, "agent": told.agent, "model": told.model}
        return {"task": None, "agent": None, "model": None}  # the log no longer has its event

    async def found(self, query: Query, tasks: Sequence[str] = (), models: Sequence[str] = ()) -> list[Hit]:
        """What a search finds in all scopes, or in one; trust is what it is now, after quarantines.

        ``tasks``, ``models``: only what came from one of these.
        """
        scopes = self.scopes(query.tenant)
        wanted = [one for one in scopes if not query.scopes or scope_in(one) in query.scopes]
        only = self.applier.came_from(query.tenant, tasks, models)
        return await search(self.view, replace(query, scopes=wanted), self.applier.suspects(query.tenant), only)

    async def entries(self, tenant: str, ids: Sequence[str] | None = None) -> list[Entry]:
        """All memories of a tenant, by id, or those of these ids."""
        suspects = self.applier.suspects(tenant)
        held = list(self.held(tenant)) if ids is None else ids
        return [suspects.marked(entry) for entry in await self.view.get(tenant, held)]


class MemoryReading:
    """Through one mesh's connection."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self._reading = Reading(mesh)
        self._contents = contents_of(mesh.settings, client_ring(mesh))
        self._secret = mesh_secret(mesh.settings)

    def subject(self, tenant: str, subject: str) -> str:
        """The keyed hash of a subject."""
        return subject_of(self._secret, tenant, subject)

    async def recollect(self, moment: int | Mapping[int, int] | None = None) -> Recollection:
        """Memory now, or as it was at ``moment`` (ms, or offsets by partition). Raises AsOfPruned."""
        mesh, events = self.mesh, self.mesh.topics.memory_events()
        opened = await open_view()
        if moment is not None:
            now = await self.recollect()
            forgotten = {number: fold.forgotten for number, fold in now.applier.folds.items()}
            await now.view.close()
            found = Recollection(Applier(opened, mesh.codec, self._contents, forgotten))
        else:
            found = Recollection(Applier(opened, mesh.codec, self._contents))
        partitions = await self._reading.partitions(events)
        ends = {} if moment is None else await ends_of(mesh.log, events, partitions, moment)
        for partition in range(partitions):
            bounds = await mesh.log.bounds(events, partition)
            end = ends.get(partition, bounds.end)
            if bounds.start > 0:
                await self._load(found, partition)
            async for batch in mesh.log.read(events, partition, bounds.start, max(end, bounds.start)):
                await found.applier.apply(batch)
                await self._note(found, batch)
        return found

    async def from_states(self) -> Recollection:
        """Memory as ``memory.state`` has it."""
        mesh, states = self.mesh, self.mesh.topics.memory_state()
        found = Recollection(Applier(await open_view(), mesh.codec, self._contents))
        for partition in range(await self._reading.partitions(states)):
            await self._load(found, partition)
        return found

    async def _load(self, found: Recollection, partition: int) -> None:
        mesh = self.mesh
        told = last_states(mesh.log, mesh.topics.memory_state(), partition, mesh.codec)
        newest = {key: state async for key, state in told}
        kept = sorted((state for state in newest.values() if state is not None), key=lambda state: state.offset)
        for state in kept:
            await found.applier.apply([record_of(mesh.topics.memory_events(), state, mesh.codec)])
            found.records += 1

    async def _note(self, found: Recollection, batch: Sequence[Record]) -> None:
        for record in batch:
            found.records += 1
            told = await self.event(record)
            if told is not None and told.outcome is Outcome.OK:
                name = told.memory_id or f"subject/{told.subject}"
                found.events.setdefault((told.tenant, name), []).append((record, told))

    async def event(self, record: Record) -> MemoryEvent | None:
        """The event of a record of the memory log; None for a marker, and for what cannot be read."""
        if record.value is None:
            return None
        while True:
            try:
                return self.mesh.codec.decode_as(MemoryEvent, record.value)
            except UnresolvedSchema as error:
                missing = error.schema_id
            except WireError:
                return None
            try:
                await self.mesh.store.resolve(missing)
            except UnknownSchema:  # garbage may name any
                return None

    async def said(self, told: MemoryEvent) -> str:
        """The text of an event, or why it cannot be read."""
        try:
            return (await self._contents.read(told)).text
        except WireError as error:
            return f"({error})"


def as_line(entry: Entry, tenant: str) -> str:
    """A memory as a line of an export."""
    told = {
        "tenant": tenant,
        "id": entry.id,
        "version": entry.version,
        "scope": scope_in(entry.scope),
        "class": entry.scope.partition("@")[2],
        "subject": entry.subject,
        "kind": entry.kind,
        "text": entry.text,
        "source": entry.source,
        "position": entry.position,
        "speaker": entry.speaker,
        "valid_from": entry.valid_from,
        "valid_to": entry.valid_to,
        "expires_at": entry.expires_at,
        "recorded_at": entry.recorded_at,
        "trust": entry.trust,
        "importance": entry.importance,
    }
    return json.dumps(told, ensure_ascii=False)


def cited(
    entry: Entry, topic: str, score: float | None = None, origin: Mapping[str, str | None] | None = None
) -> dict[str, Any]:
    """A memory as JSON, with what it takes to cite it: the heading in its document, its place on the memory log, and
    where it came from.
    """
    citation = f"{topic}/{entry.partition}/{entry.offset}"
    told = {**memory_json(entry, score), **(origin or {}), "expires_at": entry.expires_at}
    return {**told, "heading": heading_in(entry.text), "citation": citation}


def moment_of(as_of: str | None) -> int | dict[int, int] | None:
    """A time (UTC) in milliseconds, or offsets by partition. Raises :class:`SettingsError` for what is neither."""
    if as_of is None:
        return None
    if _POSITIONS.fullmatch(as_of):
        return {int(one.partition(":")[0]): int(one.partition(":")[2]) for one in as_of.split(",")}
    try:
        moment = datetime.fromisoformat(as_of)
    except ValueError:
        raise SettingsError(
            f"--as-of is a time, as 2026-01-31 or 2026-01-31T12:00:00, or PARTITION:OFFSET,…, not {as_of!r}"
        ) from None
    return round((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp() * 1000)
