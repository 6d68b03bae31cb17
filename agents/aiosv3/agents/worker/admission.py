"""Admission: an outsider's headers, with defaults, become the grant that everything inside the mesh reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, TypeVar

from aiosv3.agents.agent import Agent, parse_usd
from aiosv3.agents.facts import Task, Wishes
from aiosv3.agents.worker.cloudevents import unfolded
from aiosv3.schemas import headers as names
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.envelope import AgentSchemas
from aiosv3.schemas.errors import MalformedHeader, MalformedValue, WireError
from aiosv3.schemas.headers import Clearance, Complexity, Grant, Reply, Route
from aiosv3.schemas.sealing import PLAIN, ContentKeys
from aiosv3.streams.log import Record

_N = TypeVar("_N", int, float)
_MOST: Final = 2**31 - 1
_WORD: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_route: Final = lru_cache(maxsize=16)(Route.decode)
"""A task's route is asked for twice in a row: for who it is, and for what it wishes."""
DEDUPE_WINDOW: Final = timedelta(hours=24)
"""How far apart two copies of a task event may be and still count as one (protocol rule 13)."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a task has that says nothing about itself."""

    tenant: str = "default"
    clearance: Clearance = Clearance.INTERNAL
    tenants: Mapping[str, Clearance] = field(default_factory=dict)
    """The class of tasks of some tenants, where their own is another."""

    def clearance_of(self, tenant: str) -> Clearance:
        """The class of a task of this tenant that names none."""
        return self.tenants.get(tenant, self.clearance)


@dataclass(frozen=True, slots=True)
class Identity:
    """What can be told of a task before its value is read. ``first_sent``: ms; ``request_hash``: the asker's."""

    id: str
    key: str | None
    first_sent: int
    reply: Reply | None
    request_hash: str = ""


def text_header(record: Record, name: str) -> str | None:
    """A header as text; raises MalformedHeader when it is not UTF-8."""
    raw = record.header(name)
    if raw is None:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise MalformedHeader(f"header {name} is not UTF-8: {raw[:40]!r}") from None


def _milliseconds(record: Record, name: str) -> int | None:
    text = text_header(record, name)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise MalformedHeader(f"header {name} is not an RFC 3339 time: {text!r}") from None
    if moment.tzinfo is None:
        raise MalformedHeader(f"header {name} has no time zone: {text!r}; write it as {text}Z")
    return int(moment.timestamp() * 1000)


def identify(record: Record, agent: str) -> Identity:
    """Id, key and first-sent time; a record without ``ce_id`` is named by its place. Raises MalformedHeader."""
    with suppress(MalformedValue):  # what is wrong with it is said once its task is built: it has a name then
        record = unfolded(record)
    task_id = text_header(record, names.CE_ID) or f"{agent}-{record.partition}-{record.offset}"
    raw_route, raw_reply = record.header(names.ROUTE), record.header(names.REPLY)
    request_hash = ""
    if raw_route is not None:
        route = _route(raw_route)
        first_sent, request_hash = route.first_sent, route.hash
    else:
        sent = _milliseconds(record, names.CE_TIME)
        oldest = record.timestamp - int(DEDUPE_WINDOW.total_seconds() * 1000)
        first_sent = record.timestamp if sent is None else max(min(sent, record.timestamp), oldest)
    key = record.key.decode("utf-8", "replace") if record.key is not None else None
    reply = Reply.decode(raw_reply) if raw_reply is not None else None
    return Identity(task_id, key, first_sent, reply, request_hash)


def grant_of(record: Record, identity: Identity, agent: Agent[Any, Any], defaults: Defaults) -> Grant:
    """The grant of a task: as sent inside the mesh, or folded from an outsider's headers. Raises MalformedHeader."""
    raw = record.header(names.GRANT)
    if raw is not None:
        return Grant.decode(raw)
    label = text_header(record, names.CE_DATACLASSIFICATION)
    limit = text_header(record, names.CE_COSTLIMITUSD)
    tenant = text_header(record, names.CE_TENANT) or defaults.tenant
    try:
        clearance = defaults.clearance_of(tenant) if label is None else Clearance.parse(label)
        usd = agent.limits.usd_micros if limit is None else parse_usd(limit)
    except ValueError as error:
        raise MalformedHeader(f"a header of the task cannot be used: {error}") from None
    deadline = record.timestamp + int(agent.limits.deadline.total_seconds() * 1000)
    expiry = _milliseconds(record, names.CE_EXPIRYTIME)
    return Grant(
        tenant=tenant,
        root=identity.id,
        clearance=clearance,
        usd_micros=usd,
        exp=deadline if expiry is None else min(deadline, expiry),
        depth=1,
        sig=None,
        by=text_header(record, names.CE_AUTHID) or None,
        regions=_listed(record, names.CE_DATAREGIONS),
        terms=_listed(record, names.CE_DATATERMS),
        workflow=agent.name,
        type=text_header(record, names.CE_TYPE) or None,
        label=text_header(record, names.CE_ROUTING) or None,
        cap=usd,
    )


def _listed(record: Record, name: str) -> tuple[str, ...]:
    """Words with commas between. Raises MalformedHeader: what is asked for the data must not be lost in a slip."""
    text = text_header(record, name)
    if text is None:
        return ()
    words = tuple(word.strip() for word in text.split(","))
    if not all(_WORD.fullmatch(word) for word in words):
        raise MalformedHeader(f"header {name} must be words with commas between: {text[:40]!r}")
    return words


def wishes_of(record: Record) -> Wishes:
    """How the task wants its model calls routed: as sent inside the mesh, or an outsider's. Raises MalformedHeader."""
    raw = record.header(names.ROUTE)
    if raw is not None:
        route = _route(raw)
        return Wishes(route.complexity, route.latency_ms, route.priority, route.stream)
    complexity = text_header(record, names.CE_COMPLEXITY) or names.AUTO
    wished: Complexity = names.AUTO
    if complexity != names.AUTO:
        wished = _number(names.CE_COMPLEXITY, complexity, float, 0.0, 1.0)
    latency, priority = text_header(record, names.CE_LATENCYMS), text_header(record, names.CE_PRIORITY)
    stream = text_header(record, names.CE_STREAM)
    return Wishes(
        wished,
        None if not latency else _number(names.CE_LATENCYMS, latency, int, 0, _MOST),
        0 if not priority else _number(names.CE_PRIORITY, priority, int, -_MOST, _MOST),
        None if not stream else _number(names.CE_STREAM, stream, int, 0, _MOST),
    )


def _number(name: str, text: str, kind: Callable[[str], _N], least: float, most: float) -> _N:
    try:
        value = kind(text)
    except ValueError:
        raise MalformedHeader(f"header {name} is not a number: {text[:40]!r}") from None
    if not least <= value <= most:
        raise MalformedHeader(f"header {name} must be from {least} to {most}: {text[:40]!r}")
    return value


def input_of(
    record: Record, schemas: AgentSchemas, codec: Codec, opened: Callable[[bytes], bytes] = lambda raw: raw
) -> Any:
    """The agent's input out of a task event; JSON by content type or by its looks, Avro otherwise. Raises WireError.

    ``opened``: opens a value that is sealed; raises UnresolvedKey.
    """
    if record.value is None:
        raise WireError("a task without a value: its input is missing")
    raw = opened(record.value)
    if raw[:1] == b"\0":
        envelope = schemas.decode_task(codec, raw)
        if envelope.sealed is not None:
            raise WireError(f"the task is sealed with key {envelope.content_key_id}, which this worker does not have")
        return envelope.content
    return schemas.parse_json_task(raw)


def admitted(
    record: Record,
    identity: Identity,
    grant: Grant,
    value: Any,
    wishes: Wishes | None = None,
    keys: ContentKeys = PLAIN,
) -> Task:
    """The task that the coroutine gets."""
    return Task(
        id=identity.id,
        key=identity.key,
        offset=record.offset,
        timestamp=record.timestamp,
        grant=grant,
        reply=identity.reply,
        traceparent=record.header(names.TRACEPARENT) or b"",
        value=value,
        request_hash=identity.request_hash,
        wishes=wishes or Wishes(),
        keys=keys,
    )
