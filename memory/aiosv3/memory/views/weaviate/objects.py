"""What is stored: each version of a memory is an object of its own, which is written once and never changed.

Several workers write the same objects at the same time, and Weaviate has no conditional write. So nothing is ever
written over: the id of an object is that of its version, the highest version of a memory counts, and lower ones are
deleted by whoever sees both. That a memory was removed is a version too, without content: it outlives every late write.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from uuid import UUID

from weaviate.classes.config import DataType, Property, Tokenization
from weaviate.classes.data import DataObject

from aiosv3.memory.views.digests import share
from aiosv3.memory.views.embedded.analysis import terms
from aiosv3.memory.views.port import Change, Entry, Put
from aiosv3.memory.views.speaking import spoken

NEVER: Final = (1 << 53) - 1
"""The last time that there is: numbers travel as doubles."""
Order: TypeAlias = tuple[int, bool]
"""Version, and whether it removes: of a version that was put and removed the removal counts."""

_BODY: Final = (
    *("id", "version", "tenant", "scope", "kind", "text", "valid_from", "recorded_at", "content_hash", "subject"),
    *("speaker", "embedder", "valid_to", "expires_at", "source", "position", "trust", "importance", "partition"),
    "offset",
)


def _named(name: str) -> Property:
    return Property(name=name, data_type=DataType.TEXT, tokenization=Tokenization.FIELD, index_searchable=False)


def _counted(name: str) -> Property:
    return Property(name=name, data_type=DataType.INT, index_filterable=True, index_range_filters=True)


def _kept(name: str, kind: DataType = DataType.TEXT) -> Property:
    return Property(name=name, data_type=kind, index_filterable=False, index_searchable=False)


PROPERTIES: Final[Sequence[Property]] = (
    # Stemmed here, as in the embedded view; the server only counts them.
    Property(
        name="terms",
        data_type=DataType.TEXT,
        tokenization=Tokenization.WHITESPACE,
        index_filterable=False,
        index_searchable=True,
    ),
    *map(_named, ("memory", "scope", "kind", "subject", "source")),
    *map(_counted, ("trust", "position", "valid_from", "valid_to", "expires_at")),
    Property(name="version", data_type=DataType.INT, index_filterable=False),
    Property(name="gone", data_type=DataType.BOOL, index_filterable=False),
    _kept("share"),
    _kept("body"),
)


@dataclass(frozen=True, slots=True)
class Stored:
    """One version on the server."""

    uuid: UUID
    memory: str
    order: Order


def key(name: str) -> str:
    """A name as it is compared on the server: by its hash, so that no tokenizer takes two names for one."""
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def tenant_key(tenant: str) -> str:
    """A tenant's name on the server, which allows few characters."""
    return f"t{key(tenant)}"


def vector_name(embedder: str | None) -> str:
    """The vector index of an embedder: vectors of different embedders never meet."""
    return f"e{key(embedder or '')}"


def order_of(change: Change) -> Order:
    """The place of a change among those of its memory."""
    return (change.entry.version, False) if isinstance(change, Put) else (change.version, True)


def newest(changes: Iterable[Change]) -> dict[str, dict[str, Change]]:
    """By tenant and id, the change that counts."""
    found: dict[str, dict[str, Change]] = {}
    for change in changes:
        tenant, id_ = (change.entry.tenant, change.entry.id) if isinstance(change, Put) else (change.tenant, change.id)
        before = found.setdefault(tenant, {}).get(id_)
        if before is None or order_of(change) > order_of(before):
            found[tenant][id_] = change
    return found


def object_of(id_: str, change: Change) -> DataObject[dict[str, Any], None]:
    """What a change is on the server."""
    if not isinstance(change, Put):
        return gone_object(key(id_), change.version)
    entry = change.entry
    uuid, told = _version(key(id_), (entry.version, False))
    told |= {
        "terms": " ".join(terms(spoken(entry.text, entry.speaker))),
        "scope": key(entry.scope),
        "kind": key(entry.kind),
        "source": key(entry.source),
        "trust": entry.trust,
        "position": entry.position,
        "valid_from": entry.valid_from,
        "valid_to": NEVER if entry.valid_to is None else entry.valid_to,
        "expires_at": NEVER if entry.expires_at is None else entry.expires_at,
        "share": f"{share(entry):x}",
        "body": json.dumps({name: getattr(entry, name) for name in _BODY}),
    }
    if entry.subject is not None:
        told["subject"] = key(entry.subject)
    if entry.vector is None:
        return DataObject(uuid=uuid, properties=told)
    return DataObject(uuid=uuid, properties=told, vector={vector_name(entry.embedder): entry.vector.tolist()})


def gone_object(memory: str, version: int) -> DataObject[dict[str, Any], None]:
    """That a memory, by its key, is removed up to a version."""
    uuid, told = _version(memory, (version, True))
    return DataObject(uuid=uuid, properties=told)


def stored_of(uuid: UUID, properties: Mapping[str, Any]) -> Stored:
    """A version as it comes back."""
    return Stored(uuid, properties["memory"], (int(properties["version"]), bool(properties["gone"])))


def entry_of(properties: Mapping[str, Any]) -> Entry:
    """A memory as it comes back, without its vector."""
    return Entry(**json.loads(properties["body"]))


def losers(stored: Iterable[Stored]) -> list[UUID]:
    """The versions that a higher one of the same memory has taken the place of."""
    kept: dict[str, Stored] = {}
    lost = []
    for one in stored:
        other = kept.get(one.memory)
        if other is None or one.order > other.order:
            kept[one.memory] = one
        if other is not None:
            lost.append(min(one, other, key=lambda each: each.order).uuid)
    return lost


def _version(memory: str, order: Order) -> tuple[UUID, dict[str, Any]]:
    uuid = UUID(hex=key(f"{memory}/{order[0]}/{order[1]}"))
    return uuid, {"memory": memory, "version": order[0], "gone": order[1]}
