"""What forgetting comes to in each topic and store of a mesh: how it ends there, and by when (docs/memory.md)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from aiosv3.app.settings import Settings
from aiosv3.app.topickinds import TopicKind, kind_of
from aiosv3.schemas.topics import Topics
from aiosv3.streams.kafka.overview import Overview

How: TypeAlias = Literal["shredded", "tombstone", "purged", "deleted", "retention", "nothing", "not reached"]
_CHECK_MS: Final = 6 * 60 * 1000
"""A broker looks for old segments every five minutes, and removes their files a minute later."""
_FOR_EVER_MS: Final = 10**13
_NO_CONTENT: Final = frozenset({"pools", "agents", "policies", "ledger", "decisions"})
_COMPACTED: Final = {
    "approvals": "what people were asked and answered in plain stays under its id",
    "state": "what is in plain stays until the agent gives its key another state, or none",
}
_OWN: Final = "its owner deletes it an hour after the tasks in it have ended; no date is known"


@dataclass(frozen=True, slots=True)
class StoreEnd:
    """One topic or store. ``by``: milliseconds, when the last of it is gone at the latest; None: no date is known, or
    there is nothing to wait for.
    """

    store: str
    kind: str
    how: How
    by: int | None
    why: str

    def to_json(self) -> dict[str, Any]:
        """Stable names; the date as milliseconds and as text."""
        told = {"store": self.store, "kind": self.kind, "how": self.how, "why": self.why}
        return {**told, "by": self.by, "by_date": None if self.by is None else date(self.by)}


@dataclass(frozen=True, slots=True)
class Target:
    """What was forgotten. ``sealed``: content of the mesh is sealed, from this class on; ``whole``: all of a subject,
    whose keys are shredded with it. ``plain``: events about it on the memory log that hold their text in plain.
    """

    whole: bool
    sealed: str | None
    plain: int

    @property
    def keyed(self) -> bool:
        """Whether what is sealed cannot be read any more."""
        return self.whole and self.sealed is not None


def date(milliseconds: int) -> str:
    """UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(milliseconds / 1000))


async def store_ends(overview: Overview, settings: Settings, topics: Topics, target: Target) -> list[StoreEnd]:
    """Every topic that the mesh has, by name, and then what is not a topic."""
    counts = await overview.topics(topics.prefix)
    kinds = {name: kind for name in counts if (kind := kind_of(topics, name)) is not None}
    configs = await overview.configs(kinds)
    newest = await overview.newest({name: counts[name] for name in kinds})
    now = time.time_ns() // 1_000_000
    ends = [
        _topic_end(name, kind, configs.get(name, {}), newest.get(name, 0), target, now)
        for name, kind in sorted(kinds.items())
    ]
    return [*ends, *_others(settings, target)]


def gone_by(newest: int, config: Mapping[str, str]) -> int | None:
    """When a record of ``newest`` (ms) has left a topic at the latest; None where nothing leaves it by time.

    A segment takes records for ``segment.ms``, and is deleted ``retention.ms`` after its last one.
    """
    kept, rolled = int(config.get("retention.ms", -1)), int(config.get("segment.ms", 0))
    if not 0 <= kept < _FOR_EVER_MS or rolled > _FOR_EVER_MS or "delete" not in config.get("cleanup.policy", ""):
        return None
    return newest + kept + rolled + _CHECK_MS


def _topic_end(
    name: str, kind: TopicKind, config: Mapping[str, str], newest: int, target: Target, now: int
) -> StoreEnd:
    label = kind.name
    if newest == 0:
        return StoreEnd(name, label, "nothing", None, "it is empty")
    if label in _NO_CONTENT or (label, kind.owner) == ("journal", "router"):
        return StoreEnd(name, label, "nothing", None, "no content is in it: ids, classes, counts, cost")
    if label == "keys":
        return _of_keys(name, config, target, now)
    if label in {"memory.events", "memory.state"}:
        return _of_memory(name, label, target)
    by = gone_by(min(newest, now), config)
    if label == "tasks":
        why = "what outsiders produced in plain, until then; events of the mesh itself are sealed where the class is"
        return StoreEnd(name, label, "retention", by, why)
    return _of_work(name, label, by, target)


def _of_work(name: str, label: str, by: int | None, target: Target) -> StoreEnd:
    if label == "dead-letters":
        why = "the bytes of what died, in plain until then where outsiders had produced them; 'aiosv3 dlq' shows them"
        return StoreEnd(name, label, "retention", by, why)
    lasting = "until then" if by is not None else _COMPACTED.get(label, _OWN)
    if target.keyed:
        plain = f"what is below {target.sealed}, or of another subject's task, {_stays(by, label)}"
        return StoreEnd(name, label, "shredded", by, f"sealed with the keys that are gone; {plain}")
    if by is not None:
        return StoreEnd(name, label, "retention", by, f"readable {lasting}")
    return StoreEnd(name, label, "not reached", None, lasting)


def _stays(by: int | None, label: str) -> str:
    return "until then" if by is not None else f"stays: {_COMPACTED.get(label, _OWN)}"


def _of_memory(name: str, label: str, target: Target) -> StoreEnd:
    if label == "memory.state":
        return StoreEnd(name, label, "tombstone", None, "and a record without content, which keeps it forgotten")
    if target.plain:
        why = f"{target.plain} events about it hold their text in plain, and this log has no retention"
        return StoreEnd(name, label, "not reached", None, why)
    if target.keyed:
        return StoreEnd(name, label, "shredded", None, "every event about it is sealed with the keys that are gone")
    if target.sealed is None:
        return StoreEnd(name, label, "nothing", None, "no event about it holds text")
    why = "sealed with a key that other memories of its subject share: forget the --subject to destroy it"
    return StoreEnd(name, label, "not reached", None, why)


def _of_keys(name: str, config: Mapping[str, str], target: Target, now: int) -> StoreEnd:
    if not target.whole:
        return StoreEnd(name, "keys", "nothing", None, "a key is of a subject, not of one memory")
    lag = int(config.get("max.compaction.lag.ms", 0)) + int(config.get("segment.ms", 0))
    if lag > _FOR_EVER_MS:
        why = "the wrapped keys leave the brokers' disks when the topic is compacted: set max.compaction.lag.ms"
        return StoreEnd(name, "keys", "shredded", None, why)
    why = "the wrapped keys are off the brokers' disks then"
    return StoreEnd(name, "keys", "shredded", now + lag + _CHECK_MS, why)


def _others(settings: Settings, target: Target) -> Iterable[StoreEnd]:
    memory = settings.memory
    yield StoreEnd("memory views", "view", "purged", None, "by every worker when it takes the event, and in rebuilds")
    if memory.view == "weaviate":
        where = f"Weaviate at {memory.weaviate.url}, {memory.weaviate.collection}"
        why = "its bytes leave the server's files when these are compacted; a collection that is kept after a rebuild "
        yield StoreEnd(where, "view", "purged", None, why + "has it until 'aiosv3 memory rebuild --confirm'")
    if settings.sealing.file is not None:
        yield StoreEnd(settings.sealing.file, "keys", "shredded", None, "the file is written anew")
    how: How = "shredded" if target.keyed else "not reached"
    why = "what is stored sealed; " if target.keyed else ""
    yield StoreEnd(settings.claims_url, "claims", how, None, why + "what is stored in plain has no retention")
    hot = "what programs keep in aiosv3.memory.hot ends by the time to live that they chose; drop() ends it at once"
    yield StoreEnd("hot state", "hot", "not reached", None, hot)
    told = "what a model, a tool or a person was sent in plain is theirs"
    yield StoreEnd("models and tools", "outside", "not reached", None, told)
    copies = "backups of the brokers, and of 'keys' together with the master keys: let them expire"
    yield StoreEnd("backups and exports", "outside", "not reached", None, copies)
