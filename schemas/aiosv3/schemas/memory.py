"""Records of memory: requests on ``memory.queries``, the log ``memory.events``, its newest states ``memory.state``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from aiosv3.schemas.records import Outcome, ReplyTo, StepFailure, Symbol
from aiosv3.schemas.sealing import KeyedHashes

Content: TypeAlias = str | bytes | None
KINDS: Final = ("episode", "fact", "chunk", "preference", "procedure", "summary")
TENANT_WIDE: Final = "tenant"
"""The scope that every agent of the tenant reads."""
SEALED_QUERY: Final = "memory-query"
SEALED_EVENT: Final = "memory-event"
"""Kinds that sealed bodies are bound to; the record's id is the request's."""
_PLACE: Final = 16
_REST: Final = 24
"""Characters of a memory's identifier that say where its events lie."""


_HEAD: Final = "# "
_UNDER: Final = " > "


class MemoryAction(Symbol):
    """EXPIRE: a memory is over, by its own time, as a memory worker says, or because what it was part of has changed.

    QUARANTINE, RELEASE: all that came, or will come, from a source or a task. REBUILD: the view of who hears it, once
    for each ``source``. For these three and EXPIRE only who works at the shell may ask.
    """

    REMEMBER = "REMEMBER"
    RECALL = "RECALL"
    FORGET = "FORGET"
    EXPIRE = "EXPIRE"
    QUARANTINE = "QUARANTINE"
    RELEASE = "RELEASE"
    REBUILD = "REBUILD"


@dataclass(frozen=True, slots=True)
class MemoryPosition:
    """A place in ``memory.events``."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class MemoryQuery:
    """Key: the place, so that what concerns one subject has one order; of a recall the request id.

    What the asker may read and write is said by the headers alone. ``content``: the text to remember or to look for.
    Times are in milliseconds since the epoch.
    """

    request_id: str
    root_id: str
    task_id: str
    step_id: str
    agent: str
    action: MemoryAction
    place: str | None = None
    memory_id: str | None = None
    scope: str | None = None
    subject: str | None = None
    kind: str | None = None
    source: str | None = None
    position: int = 0
    speaker: str | None = None
    valid_from: int | None = None
    valid_to: int | None = None
    expires_at: int | None = None
    trust: int = 1
    importance: float = 0.0
    supersedes: str | None = None
    k: int = 0
    kinds: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    min_trust: int = 1
    as_of: int | None = None
    at: int | None = None
    since: int | None = None
    until: int | None = None
    positions: tuple[MemoryPosition, ...] = ()
    content: Content = None
    content_key_id: str | None = None
    as_of_positions: tuple[MemoryPosition, ...] = ()
    from_task: str | None = None
    model: str | None = None
    tasks: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MemoryEvent:
    """What one request came to. One that is not OK changes nothing.

    Where ``content`` is sealed, it holds the vector too: an embedding tells what it was made of.
    """

    request_id: str
    root_id: str
    task_id: str
    step_id: str
    agent: str
    input_offset: int
    epoch: int
    request_hash: str
    first_sent: int
    reply: ReplyTo | None
    outcome: Outcome
    error: StepFailure | None
    action: MemoryAction
    tenant: str
    clearance: str
    memory_id: str | None = None
    scope: str | None = None
    subject: str | None = None
    kind: str | None = None
    source: str | None = None
    position: int = 0
    speaker: str | None = None
    valid_from: int | None = None
    valid_to: int | None = None
    expires_at: int | None = None
    trust: int = 1
    importance: float = 0.0
    supersedes: str | None = None
    model: str | None = None
    embedder: str | None = None
    content_hash: str | None = None
    shredded: tuple[str, ...] = ()
    content: Content = None
    content_key_id: str | None = None
    vector: bytes | None = None
    from_task: str | None = None


@dataclass(frozen=True, slots=True)
class MemoryState:
    """The newest version (``offset``) of a memory; or, key ``forgotten/…``, that something was forgotten."""

    partition: int
    offset: int
    recorded_at: int
    event: MemoryEvent


def subject_of(secret: bytes, tenant: str, subject: str) -> str:
    """The keyed hash that stands for a subject in every record: that of its data keys."""
    return _names(secret).subject(tenant, subject)


def place_of(secret: bytes, tenant: str, scope: str, subject: str | None) -> str:
    """What shares an order: all of a subject, whatever its scope; without a subject all of a scope. 16 hex digits."""
    named = f"scope/{scope}" if subject is None else f"subject/{subject}"
    return _names(secret).value(tenant, "memory place", named)[:_PLACE]


def memory_id_of(secret: bytes, tenant: str, place: str, *said: str) -> str:
    """The identifier of a memory out of what makes it the same one: its scope, its kind, and its name or its text.

    It begins with its place, so that whoever has it knows where its events lie. 40 hex digits.
    """
    return place + _names(secret).value(tenant, "memory id", _joined(place, *said))[:_REST]


def quarantine_id_of(secret: bytes, tenant: str, source: str | None, task: str | None) -> str:
    """What stands for a quarantine of all that came from a source, or from a task; in the form of a memory's id."""
    place = place_of(secret, tenant, "quarantine", None)
    said = ("task", task or "") if source is None else ("source", source)
    return memory_id_of(secret, tenant, place, "quarantine", *said)


def place_in(memory_id: str) -> str:
    """The place of a memory."""
    return memory_id[:_PLACE]


def content_hash_of(secret: bytes, tenant: str, *said: str | None) -> str:
    """A keyed hash over a text and what is said about it: equal for what is the same memory in the same version."""
    return _names(secret).value(tenant, "memory content", _joined(*("-" if one is None else f"+{one}" for one in said)))


def headed(headings: Sequence[str], text: str) -> str:
    """A chunk of a document, its headings in its first line: what is found by them, and cited with them."""
    return f"{_HEAD}{_UNDER.join(headings)}\n\n{text}" if headings else text


def heading_in(text: str) -> str:
    """The headings that a text says it stands under, as :func:`headed` wrote them; empty where it says none."""
    first, line, _ = text.partition("\n")
    return first.removeprefix(_HEAD).strip() if line and first.startswith(_HEAD) else ""


def _joined(*parts: str) -> str:
    """Lengths go before the parts, so that no two lists look the same."""
    return "".join(f"{len(part)}:{part}" for part in parts)


@lru_cache(maxsize=8)
def _names(secret: bytes) -> KeyedHashes:
    return KeyedHashes(secret)
