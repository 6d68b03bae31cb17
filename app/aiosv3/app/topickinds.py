"""What the topics of a mesh carry, by their names: for people who look at a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiosv3.schemas.topics import Topics


@dataclass(frozen=True, slots=True)
class TopicKind:
    """``owner``: the agent, pool or zone whose topic it is, None for those of the whole mesh."""

    name: str
    owner: str | None
    key: str
    carries: str


_OWNED: Final = {
    "tasks": ("task key", "work for an agent"),
    "journal": ("task id", "what an agent's code is fed: answers, timers, messages"),
    "results": ("task key", "results of an agent, its own log"),
    "state": ("task key", "what an agent keeps for each key"),
    "prompts": ("prefix group or request id", "model requests routed to a pool"),
    "completions": ("request id", "answers of a pool, with tokens and cost"),
    "tools": ("task id", "tool calls for a zone"),
    "tool-results": ("request id", "answers of a zone's tools"),
}
_SHARED: Final = {
    "prompts": ("root task id", "model requests before routing"),
    "decisions": ("request id", "where model requests went, and why"),
    "pools": ("pool/replica", "health and load of pools"),
    "agents": ("agent/version", "agent cards"),
    "policies": ("kind/version", "what the router decides by: every version"),
    "ledger": ("budget id", "reserved and settled money"),
    "approvals": ("request id", "questions to people, and their answers"),
    "memory.queries": ("place", "what agents ask to be remembered, recalled and forgotten"),
    "memory.events": ("place", "the memory log: what was remembered and forgotten"),
    "memory.state": ("memory id", "the newest version of each memory"),
    "keys": ("key id", "data keys that content is sealed with, wrapped"),
    "deltas": ("request id", "tokens and progress of running tasks"),
    "dead-letters": ("as the original", "what could not be processed"),
}
QUIET: Final = frozenset({"pools", "agents", "deltas"})
"""They say how workers are, again and again: nothing of a task that lasts is in them."""


def kind_of(topics: Topics, topic: str) -> TopicKind | None:
    """The kind of a topic of this mesh; None for a name that means nothing to it."""
    if not topic.startswith(topics.prefix):
        return None
    name = topic.removeprefix(topics.prefix)
    if name in _SHARED:
        return TopicKind(name, None, *_SHARED[name])
    kind, dot, owner = name.partition(".")
    if dot and owner and kind in _OWNED:
        if (kind, owner) == ("journal", "router"):
            return TopicKind("journal", owner, "root task id", "what routers are told")
        return TopicKind(kind, owner, *_OWNED[kind])
    return None
