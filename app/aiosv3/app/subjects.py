"""The registry subjects of a project: what its workers register when they start, compared with what is there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from aiosv3.agents import Agent
from aiosv3.app.settings import Settings
from aiosv3.app.topology import agent_records, desk_subjects, mesh_topics, pool_records, zone_records
from aiosv3.schemas.compat import problems
from aiosv3.schemas.envelope import AgentSchemas
from aiosv3.schemas.errors import UnknownSchema
from aiosv3.schemas.fingerprints import Schema, fingerprint
from aiosv3.schemas.registry import RegistryClient
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to stand under a name. ``agent``: whose types it has; None for records of the mesh."""

    name: str
    schema: Schema
    agent: str | None = None


class Status(Enum):
    """How a subject's schema relates to the versions that there are."""

    NEW = "new"
    """There is no version."""
    SAME = "unchanged"
    """It is the newest version, or an earlier one."""
    CHANGED = "new version"
    """It reads all versions, and is none of them."""
    BROKEN = "incompatible"
    """There are records that it could not read."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A released version that could not be read any more: where, and by which rule of Avro."""

    against: str
    field: str
    rule: str


@dataclass(frozen=True, slots=True)
class Compared:
    """A subject beside its released versions. ``versions``: how many the registry has, None without one."""

    subject: Subject
    versions: int | None
    status: Status
    faults: tuple[Fault, ...]


def project_subjects(settings: Settings, agents: Iterable[Agent[Any, Any]]) -> list[Subject]:
    """All subjects that workers of this project register, its agents' first. Raises UnsupportedType."""
    topics, store = Topics(settings.kafka.prefix), SchemaStore()
    found: dict[str, Subject] = {}
    records: dict[str, str] = dict(mesh_topics(topics))
    for agent in agents:
        for subject in _agent_subjects(agent, topics):
            found[subject.name] = subject
        records |= agent_records(topics, agent.name)
    for pool in settings.pools:
        records |= pool_records(topics, pool)
    for zone in settings.tools:
        records |= zone_records(topics, zone)
    named = {topics.subject(topic): record for topic, record in records.items()} | desk_subjects(topics)
    for name, record in sorted(named.items()):
        found[name] = Subject(name, store.released_schema(record))
    return list(found.values())


def _agent_subjects(agent: Agent[Any, Any], topics: Topics) -> Iterator[Subject]:
    schemas = AgentSchemas(agent.name, agent.input_type, agent.output_type, topics, agent.state_type)
    yield Subject(schemas.task_subject, schemas.task_schema, agent.name)
    yield Subject(schemas.result_subject, schemas.result_schema, agent.name)
    if schemas.state is not None:
        yield Subject(schemas.state.subject, schemas.state.schema, agent.name)


def locked_versions(lock: Path) -> dict[str, list[Schema]]:
    """What the project's lock file holds, oldest first by subject; nothing without one."""
    if not lock.exists():
        return {}
    subjects = json.loads(lock.read_text(encoding="utf-8"))["subjects"]
    return {name: [version["schema"] for version in versions] for name, versions in subjects.items()}


async def registered_versions(registry: RegistryClient, subject: str) -> list[tuple[int, Schema]]:
    """All versions that the registry has, oldest first. Raises RegistryUnavailable."""
    found = []
    for number in await registry.versions(subject):
        try:
            found.append((number, (await registry.version(subject, number)).schema))
        except UnknownSchema:
            continue  # deleted in between
    return found


def compared(subject: Subject, locked: Sequence[Schema], registered: Sequence[tuple[int, Schema]] | None) -> Compared:
    """A subject beside its versions in the lock file and in the registry (None: there is no registry)."""
    labelled = [(f"lock file version {number}", schema) for number, schema in enumerate(locked, 1)]
    labelled += [(f"registry version {number}", schema) for number, schema in registered or ()]
    mark = fingerprint(subject.schema)
    faults: list[Fault] = []
    known: set[str] = set()
    for label, schema in labelled:
        other = fingerprint(schema)
        if other not in known:  # most versions are in both places
            faults += [Fault(label, problem.field, problem.rule) for problem in problems(subject.schema, schema)]
        known.add(other)
    if faults:
        status = Status.BROKEN
    elif mark in known:
        status = Status.SAME
    else:
        status = Status.CHANGED if known else Status.NEW
    return Compared(subject, None if registered is None else len(registered), status, tuple(faults))
