"""Which topics exist, with which settings (protocol section 9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiosv3.app.settings import Settings
from aiosv3.schemas.topics import Topics
from aiosv3.streams.kafka import TopicSpec

_DAY_MS: Final = 24 * 3600 * 1000
_WEEK: Final = {"retention.ms": str(7 * _DAY_MS)}
_OWN_LOG: Final = {"retention.ms": str(30 * _DAY_MS)}
"""Own logs are kept longer than their inputs and than the longest deadline (rule 11)."""
_MINUTES: Final = str(10 * 60 * 1000)
_SHOWN: Final = {"retention.ms": _MINUTES, "segment.ms": _MINUTES}
"""What is only shown. A segment that is written to is not deleted: without a limit of its own it lives for a week."""


_FORGETFUL: Final = {
    "min.compaction.lag.ms": str(_DAY_MS),
    "max.compaction.lag.ms": str(7 * _DAY_MS),
    "delete.retention.ms": str(_DAY_MS),
    "segment.ms": str(_DAY_MS),
}
"""Of what is to be forgotten: an older version is gone a week after it, although nothing is written any more.

Only segments that are not written to are compacted (``segment.ms``), and a tombstone stays for a day, so that a reader
who is slower than that reads the log instead.
"""


_SHREDDING: Final = {"max.compaction.lag.ms": str(_DAY_MS), "segment.ms": str(_DAY_MS)}
"""A wrapped key that was shredded is off the brokers' disks within two days: a segment, and a pass of the cleaner."""


def _spec(settings: Settings, name: str, config: Mapping[str, str]) -> TopicSpec:
    return TopicSpec(name, settings.kafka.partitions, "delete", config)


def _compacted(settings: Settings, name: str) -> TopicSpec:
    """States by key.

    A worker that lost a partition may append late, above a newer state: both stay for a day, so that the owner sees it.
    """
    return TopicSpec(name, settings.kafka.partitions, "compact", {"min.compaction.lag.ms": str(_DAY_MS)})


def base_topics(settings: Settings, topics: Topics) -> list[TopicSpec]:
    """Topics that every mesh has."""
    compacted = [TopicSpec(name, 1, "compact") for name in (topics.pools(), topics.agents(), topics.policies())]
    return [
        _spec(settings, topics.prompts(), _WEEK),
        _spec(settings, topics.decisions(), _OWN_LOG),
        # No time retention: the owner deletes below the base of an old commit (rule 11).
        TopicSpec(topics.router_journal(), settings.kafka.partitions, "keep"),
        _compacted(settings, topics.ledger()),
        *memory_topics(settings, topics),
        keys_topic(topics),
        _spec(settings, topics.dead_letters(), _OWN_LOG),
        _spec(settings, topics.deltas(), _SHOWN),
        TopicSpec(topics.approvals(), settings.kafka.partitions, "compact"),
        *compacted,
    ]


def keys_topic(topics: Topics) -> TopicSpec:
    """Data keys: one partition, so that all see them in the same order."""
    return TopicSpec(topics.keys(), 1, "compact", _SHREDDING)


def memory_topics(settings: Settings, topics: Topics) -> list[TopicSpec]:
    """What is asked of memory, its log, and its newest states. The log has no time retention: it is the memory."""
    return [
        _spec(settings, topics.memory_queries(), _WEEK),
        TopicSpec(topics.memory_events(), settings.kafka.partitions, "keep"),
        TopicSpec(topics.memory_state(), settings.kafka.partitions, "compact", _FORGETFUL),
    ]


def agent_topics(settings: Settings, topics: Topics, agent: str) -> list[TopicSpec]:
    """Tasks, journal and results of an agent: the same partition count, fixed for life."""
    return [
        *base_topics(settings, topics),
        _spec(settings, topics.tasks(agent), _WEEK),
        # No time retention: the owner deletes below the base of an old commit (rule 11).
        TopicSpec(topics.journal(agent), settings.kafka.partitions, "keep"),
        _spec(settings, topics.results(agent), _OWN_LOG),
    ]


def zone_topics(settings: Settings, topics: Topics, zone: str) -> list[TopicSpec]:
    """Tool calls and answers of a zone."""
    return [
        *base_topics(settings, topics),
        _spec(settings, topics.tools(zone), _WEEK),
        _spec(settings, topics.tool_results(zone), _OWN_LOG),
    ]


def state_topic(settings: Settings, topics: Topics, agent: str) -> TopicSpec:
    """What an agent keeps for each key."""
    return _compacted(settings, topics.state(agent))


def pool_topics(settings: Settings, topics: Topics, pool: str) -> list[TopicSpec]:
    """Requests and answers of a pool."""
    return [
        *base_topics(settings, topics),
        _spec(settings, topics.pool_prompts(pool), _WEEK),
        _spec(settings, topics.completions(pool), _OWN_LOG),
    ]


def mesh_topics(topics: Topics) -> dict[str, str]:
    """Topic -> record name, for the registry."""
    return {
        topics.prompts(): "aiosv3.ModelRequest",
        topics.decisions(): "aiosv3.Decision",
        topics.router_journal(): "aiosv3.LedgerEntry",
        topics.ledger(): "aiosv3.LedgerState",
        topics.pools(): "aiosv3.PoolStatus",
        topics.policies(): "aiosv3.PolicyVersion",
        topics.agents(): "aiosv3.AgentCard",
        topics.deltas(): "aiosv3.Delta",
        topics.keys(): "aiosv3.KeyRecord",
        **memory_records(topics),
    }


def memory_records(topics: Topics) -> dict[str, str]:
    """What a memory worker registers."""
    return {
        topics.memory_queries(): "aiosv3.MemoryQuery",
        topics.memory_events(): "aiosv3.MemoryEvent",
        topics.memory_state(): "aiosv3.MemoryState",
    }


def agent_records(topics: Topics, agent: str) -> dict[str, str]:
    """What a worker of an agent registers beside the agent's own types."""
    return {topics.journal(agent): "aiosv3.JournalRecord", **mesh_topics(topics)}


def pool_records(topics: Topics, pool: str) -> dict[str, str]:
    """What a model worker of a pool registers."""
    return {topics.pool_prompts(pool): "aiosv3.ModelRequest", topics.completions(pool): "aiosv3.Completion"}


def zone_records(topics: Topics, zone: str) -> dict[str, str]:
    """What a tool worker of a zone registers."""
    return {topics.tools(zone): "aiosv3.ToolRequest", topics.tool_results(zone): "aiosv3.ToolResult"}


def desk_subjects(topics: Topics) -> dict[str, str]:
    """What the desk registers. One topic with records of several types: a subject each (TopicRecordNameStrategy)."""
    names = ("aiosv3.Question", "aiosv3.PersonAnswer", "aiosv3.AnswerVerdict")
    return {f"{topics.approvals()}-{name}": name for name in names}
