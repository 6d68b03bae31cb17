"""What outsiders produced about a subject into ``tasks.*``, in plain: found, and deleted as far as that is safe.

Kafka deletes from the front of a partition only, so other tasks' inputs in front of them go along. Never deleted is
what has no result yet, what lies at or above the committed base, and what was finished a moment ago: a commit of a
worker that lost the partition may still land over a newer one (protocol rules 7 and 11), and its base must exist.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from aiosv3.agents.worker.admission import identify
from aiosv3.agents.worker.cloudevents import unfolded
from aiosv3.app.backlog import group_of
from aiosv3.app.projects import mesh_secret
from aiosv3.app.reading import Reading
from aiosv3.app.receipts import date
from aiosv3.app.workers import Mesh
from aiosv3.schemas import headers as names
from aiosv3.schemas.errors import WireError
from aiosv3.schemas.headers import CE_ID, Grant
from aiosv3.schemas.sealing import KeyedHashes
from aiosv3.streams.kafka.overview import Overview
from aiosv3.streams.log import Bounds, Record

FINISHED_S: Final = 3_600.0
"""Seconds since their result after which inputs are deleted: as with journals (``JournalTruncation``)."""
_TASKS: Final = "tasks."


@dataclass(frozen=True, slots=True)
class Deleted:
    """Of one partition. ``about``: inputs about the subject that were deleted, ``others`` in front of them;
    ``left``: that are still there. ``below``: the offset that the partition begins at now; None: it was not changed.
    ``again``: when those that are left may be deleted (ms), where only time is lacking; else ``why`` says what is.
    """

    topic: str
    partition: int
    about: int
    others: int
    left: int
    below: int | None
    again: int | None
    why: str

    def after(self, before: Deleted | None) -> Deleted:
        """Both together, this one being the later."""
        if before is None:
            return self
        below = before.below if self.below is None else self.below
        about, others = self.about + before.about, self.others + before.others
        return replace(self, about=about, others=others, below=below)

    def to_json(self) -> dict[str, Any]:
        """Stable names."""
        told = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**told, "again_date": None if self.again is None else date(self.again)}


class _Input(NamedTuple):
    offset: int
    id: bytes
    about: bool


class _Safe(NamedTuple):
    """Inputs below ``end`` may be deleted; what stops there, and until when."""

    end: int
    why: str
    again: int | None


class PlainInputs:
    """Of one tenant's subject. ``subject``: its name."""

    def __init__(self, mesh: Mesh, tenant: str, subject: str) -> None:
        self._mesh = mesh
        self._reading = Reading(mesh)
        self._overview = Overview(mesh.connection)
        self._tenant = tenant
        self._hashes = KeyedHashes(mesh_secret(mesh.settings))
        self._subject = self._hashes.subject(tenant, subject)
        self._default = mesh.settings.mesh.tenant

    async def delete(self, finished_s: float = FINISHED_S) -> list[Deleted]:
        """Deletes them; one entry for each partition that has, or had, any. ``finished_s``: see the module."""
        counts = await self._overview.topics(self._mesh.topics.prefix + _TASKS)
        bounds = await self._overview.bounds(counts)
        found = []
        for topic in counts:
            agent = topic.removeprefix(self._mesh.topics.prefix + _TASKS)
            committed = await self._overview.committed(group_of(self._mesh.topics, agent), topic)
            for partition in range(counts[topic]):
                held = bounds[topic, partition]
                inputs = [self._read(one, agent) async for one in self._reading.between(topic, partition, held)]
                if any(one.about for one in inputs):
                    base = committed[partition].offset if partition in committed else held.start
                    safe = await self._safe(agent, partition, inputs, base, finished_s)
                    found.append(await self._cut(topic, partition, held, inputs, safe))
        return found

    def is_about(self, record: Record) -> bool:
        """Whether a task event names the subject, in an outsider's header or in the mesh's own."""
        try:
            raw = record.header(names.GRANT)
            if raw is not None:
                grant = Grant.decode(raw)
                return grant.tenant == self._tenant and grant.subject == self._subject
            record = unfolded(record)
            tenant = (record.header(names.CE_TENANT) or b"").decode() or self._default
            said = (record.header(names.CE_SUBJECT) or b"").decode()
        except (WireError, UnicodeDecodeError):
            return False  # its worker finds it unreadable too: it is about nobody
        if not said or tenant != self._tenant:
            return False
        return said == f"keyed:{self._subject}" or self._hashes.subject(tenant, said) == self._subject

    def _read(self, record: Record, agent: str) -> _Input:
        return _Input(record.offset, _task_id(record, agent), self.is_about(record))

    async def _safe(self, agent: str, partition: int, inputs: list[_Input], base: int, finished_s: float) -> _Safe:
        kept = round(finished_s * 1000)
        before = time.time_ns() // 1_000_000 - kept
        results = self._mesh.topics.results(agent)
        ended: dict[bytes, int] = {}
        if await self._reading.exists(results):
            async for record in self._reading.records(results, partition):
                ended.setdefault(record.header(CE_ID) or b"", record.timestamp)
        for one in inputs:
            if one.offset >= base:
                return _Safe(one.offset, "from there on no commit says that they are finished", None)
            at = ended.get(one.id)
            if at is None:
                return _Safe(one.offset, f"the task at offset {one.offset} has no result yet", None)
            if at > before:
                return _Safe(one.offset, "their tasks ended a moment ago", at + kept)
        return _Safe(base, "", None)

    async def _cut(self, topic: str, partition: int, held: Bounds, inputs: list[_Input], safe: _Safe) -> Deleted:
        about = [one.offset for one in inputs if one.about]
        gone = [offset for offset in about if offset < safe.end]
        left = len(about) - len(gone)
        why, again = (safe.why, safe.again) if left else ("", None)
        if not gone:
            return Deleted(topic, partition, 0, 0, left, None, again, why)
        below = gone[-1] + 1
        await self._mesh.log.truncate(topic, partition, below)
        others = below - held.start - len(gone)
        return Deleted(topic, partition, len(gone), others, left, below, again, why)


def _task_id(record: Record, agent: str) -> bytes:
    try:
        return identify(record, agent).id.encode()
    except WireError:
        return b"\0"
