"""Requests to memory from a shell: what an operator has remembered and forgotten."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import replace
from typing import Any, Final

import typer

from aiosv3.app.people import user_name
from aiosv3.app.projects import mesh_secret
from aiosv3.app.reading import Reading
from aiosv3.app.recollection import MemoryReading
from aiosv3.app.sealing import client_ring
from aiosv3.app.settings import SettingsError
from aiosv3.app.workers import Mesh
from aiosv3.memory.access import OPERATOR, is_scope
from aiosv3.schemas.errors import AiosError
from aiosv3.schemas.headers import CE_ID, GRANT, ROUTE, Clearance, Grant, Route
from aiosv3.schemas.memory import (
    KINDS,
    SEALED_QUERY,
    TENANT_WIDE,
    MemoryAction,
    MemoryEvent,
    MemoryQuery,
    memory_id_of,
    place_in,
    place_of,
    quarantine_id_of,
    subject_of,
)
from aiosv3.schemas.records import Outcome
from aiosv3.schemas.sealing import KeyedHashes, seal
from aiosv3.streams.answers import AVRO, event
from aiosv3.streams.deadletters import PREFIX
from aiosv3.streams.keys import Owner
from aiosv3.streams.log import Outgoing
from aiosv3.streams.tenure import appended

_TYPE: Final = b"aiosv3.memory"
_SOURCE: Final = b"aiosv3/cli"
_POLL_S: Final = 0.1
_SILENT_S: Final = 5.0
"""Seconds after which somebody at a shell is told what is waited for."""


class NotDone(AiosError):
    """A request to memory is on the log, and no worker has done it yet."""


class NeverDone(AiosError):
    """No worker can read a request to memory: it is a dead letter. Command and workers are of versions that differ."""


class MemoryAsking:
    """Through one mesh's connection."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self._reading = Reading(mesh)
        self._memory = MemoryReading(mesh)
        self._secret = mesh_secret(mesh.settings)
        self._ring = client_ring(mesh)
        self._from: dict[int, int] = {}
        self._dead_from: dict[int, int] = {}
        self._dead: dict[str, str] = {}
        """Requests that no worker could read: why."""
        self._seen: dict[str, MemoryEvent] = {}

    async def forget(self, tenant: str, subject: str | None, memory_id: str | None, wait: float) -> MemoryEvent:
        """Asks memory to forget, and waits up to ``wait`` seconds for its event. Raises NotDone, MemoryRefused."""
        about = None if subject is None else subject_of(self._secret, tenant, subject)
        place = place_in(memory_id or "") if about is None else place_of(self._secret, tenant, TENANT_WIDE, about)
        name = f"cli/forget/{about or memory_id}/{uuid.uuid4().hex}"
        query = MemoryQuery(
            name,
            name,
            name,
            "",
            OPERATOR,
            MemoryAction.FORGET,
            place,
            memory_id,
            subject=about,
            speaker=user_name() or None,
        )
        done = await self.answered(name, await self.send(query, tenant, Clearance.RESTRICTED), wait)
        if done.outcome is not Outcome.OK:
            raise AiosError(done.error.message if done.error is not None else "it was refused")
        return done

    async def end(self, tenant: str, memory_id: str) -> tuple[str, int]:
        """Says that a memory is over: not found any more, but known until now. The request's id and its partition."""
        name = f"cli/end/{memory_id}/{uuid.uuid4().hex}"
        query = MemoryQuery(name, name, name, "", OPERATOR, MemoryAction.EXPIRE, place_in(memory_id), memory_id)
        return name, await self.send(query, tenant, Clearance.RESTRICTED)

    async def rebuild(self, wait: float) -> list[MemoryEvent]:
        """Has each worker that answers recalls build its view anew; what came of it, by partition. Raises NotDone.

        A view that they share is built by one of them: the owner of partition 0, or who takes it over.
        """
        asked = f"cli/rebuild/{uuid.uuid4().hex}"
        tenant = self.mesh.settings.mesh.tenant
        sent = []
        shared = self.mesh.settings.memory.view != "embedded"
        for partition in range(1 if shared else await self._reading.partitions(self.mesh.topics.memory_queries())):
            name = f"{asked}/{partition}"
            query = MemoryQuery(name, name, name, "", OPERATOR, MemoryAction.REBUILD, source=asked)
            sent.append((name, await self.send(query, tenant, Clearance.RESTRICTED, partition)))
        return [await self.answered(name, at, wait) for name, at in sent]

    async def quarantine(self, tenant: str, source: str | None, task: str | None, wait: float, *, on: bool) -> None:
        """All that came from a source, or a task, is in quarantine from now on, or no longer. Raises NotDone.

        Its memories may lie in any partition, so each hears it.
        """
        named = quarantine_id_of(self._secret, tenant, source, task)
        action = MemoryAction.QUARANTINE if on else MemoryAction.RELEASE
        sent = []
        for partition in range(await self._reading.partitions(self.mesh.topics.memory_queries())):
            name = f"cli/{action.value.lower()}/{partition}/{uuid.uuid4().hex}"
            query = MemoryQuery(
                name, name, name, "", OPERATOR, action, place_in(named), named,
                source=source, from_task=task, speaker=user_name() or None,
            )  # fmt: skip
            sent.append((name, await self.send(query, tenant, Clearance.RESTRICTED, partition)))
        for name, at in sent:
            done = await self.answered(name, at, wait)
            if done.error is not None:
                raise AiosError(done.error.message)

    async def remember(self, line: str, tenant: str) -> tuple[str, int]:
        """Has a line of an export remembered: the request's id and its partition. The same line again is one memory.

        Raises :class:`SettingsError` for what is none.
        """
        query, tenant, clearance = self._imported(line, tenant)
        return query.request_id, await self.send(await self._sealed(query, tenant, clearance), tenant, clearance)

    async def _sealed(self, query: MemoryQuery, tenant: str, clearance: Clearance) -> MemoryQuery:
        """As the settings want it: with the key of whom it is about. Raises SettingsError where there is none."""
        since = self.mesh.settings.sealing.since
        if since is None or clearance < since or not isinstance(query.content, str):
            return query
        if self._ring is None:
            raise SettingsError("[sealing] is on, and the master keys are not on this machine: 'aiosv3 keys copy'")
        owner = Owner(KeyedHashes(self._secret).tenant(tenant), query.subject, clearance)
        key = await self._ring.obtain(owner)
        body = seal(key, SEALED_QUERY, query.request_id, query.content.encode("utf-8", "replace"))
        return replace(query, content=body, content_key_id=key.id)

    def _imported(self, line: str, tenant: str) -> tuple[MemoryQuery, str, Clearance]:
        try:
            told: dict[str, Any] = json.loads(line)
            tenant, scope, kind = told.get("tenant") or tenant, told.get("scope", TENANT_WIDE), told.get("kind", "fact")
            text, clearance = str(told["text"]), Clearance.parse(told.get("class", "internal"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SettingsError(f"this is no memory: {error}: {line[:80]!r}") from None
        if not is_scope(scope) or kind not in KINDS:
            raise SettingsError(
                f"scope is tenant, team:NAME or agent:NAME, kind one of {', '.join(KINDS)}: {line[:80]!r}"
            )
        name = told.get("subject_name")
        about = told.get("subject") if name is None else subject_of(self._secret, tenant, str(name))
        place = place_of(self._secret, tenant, scope, about)
        memory_id = told.get("id")
        if not isinstance(memory_id, str) or place_in(memory_id) != place:  # of another mesh, or of none
            memory_id = memory_id_of(self._secret, tenant, place, scope, kind, "text", text)
        fields = ("source", "position", "speaker", "valid_from", "valid_to", "expires_at", "trust", "importance")
        said = {field: told[field] for field in fields if told.get(field) is not None}
        request = f"cli/import/{uuid.uuid4().hex}"
        query = MemoryQuery(
            request, request, request, "", OPERATOR, MemoryAction.REMEMBER, place, memory_id, scope, about, kind,
            content=text, **said,
        )  # fmt: skip
        return query, tenant, clearance

    async def send(self, query: MemoryQuery, tenant: str, clearance: Clearance, partition: int | None = None) -> int:
        """Sends a request as the operator; the partition of the memory log where its event will be."""
        mesh, events = self.mesh, self.mesh.topics.memory_events()
        if not self._from:
            self._from = await self._ends(events)
            self._dead_from = await self._ends(mesh.topics.dead_letters())
        headers = event(_TYPE, query.request_id, _SOURCE, AVRO, b"")
        headers.append((GRANT, Grant(tenant, query.request_id, clearance).encode()))
        headers.append((ROUTE, Route(OPERATOR, "auto", 0, 0).encode()))
        place = (query.place or query.request_id).encode()
        record = Outgoing(mesh.topics.memory_queries(), partition, place, mesh.codec.encode(query), headers)
        return (await appended(mesh.log, record)).partition

    async def _ends(self, topic: str) -> dict[int, int]:
        count = await self._reading.partitions(topic)
        return {number: (await self.mesh.log.bounds(topic, number)).end for number in range(count)}

    async def answered(self, name: str, partition: int, wait: float) -> MemoryEvent:
        """What a request came to. Raises NotDone after ``wait`` seconds; NeverDone where it is a dead letter."""
        loop = asyncio.get_running_loop()
        deadline, told = loop.time() + wait, False
        while name not in self._seen:
            await self._read_on(partition)
            if name in self._seen:
                break
            if name in self._dead:
                raise NeverDone(f"{name} is a dead letter, no worker can read it: {self._dead[name]}")
            if loop.time() >= deadline:
                words = f"memory has not done {name} within {wait:g} s: it waits until an 'aiosv3 worker memory' runs"
                raise NotDone(words)
            if not told and loop.time() >= deadline - wait + _SILENT_S:
                typer.echo("no answer of memory yet: is an 'aiosv3 worker memory' running ('aiosv3 status')?", err=True)
                told = True
            await asyncio.sleep(_POLL_S)
        return self._seen[name]

    async def _read_on(self, partition: int) -> None:
        events = self.mesh.topics.memory_events()
        async for record in self._reading.records(events, partition, self._from[partition]):
            self._from[partition] = record.offset + 1
            if (told := await self._memory.event(record)) is not None:
                self._seen.setdefault(told.request_id, told)
        for number, start in self._dead_from.items():
            async for record in self._reading.records(self.mesh.topics.dead_letters(), number, start):
                self._dead_from[number] = record.offset + 1
                name, why = (record.header(one) or b"" for one in (CE_ID, f"{PREFIX}exception-message"))
                self._dead[name.decode("utf-8", "replace")] = why.decode("utf-8", "replace")
