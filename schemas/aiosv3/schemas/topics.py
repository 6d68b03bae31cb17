"""Names of topics and subjects, and the handle by which a task is found again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from aiosv3.schemas.errors import AiosError

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_PREFIX = re.compile(r"[a-zA-Z0-9._-]*")
_LONGEST_TOPIC = 249
_RESERVED = "router"


class BadName(AiosError, ValueError):
    """A name that cannot be part of a topic, or text that is no task handle."""


@dataclass(frozen=True, slots=True)
class Topics:
    """All topic names of one mesh.

    ``prefix`` separates meshes that share a cluster. Methods raise :class:`BadName`.
    """

    prefix: str = "aios."

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix):
            raise BadName(f"prefix {self.prefix!r} may hold only letters, digits, '.', '_' and '-'")

    def tasks(self, agent: str) -> str:
        """Admission of work; key: the task key."""
        return self._named("tasks", _agent(agent))

    def journal(self, agent: str) -> str:
        """Every step's answer, timer, signal and cancel; key: task id, partition explicit."""
        return self._named("journal", _agent(agent))

    def results(self, agent: str) -> str:
        """The agent's own log; key: the task key."""
        return self._named("results", _agent(agent))

    def state(self, agent: str) -> str:
        """What an agent keeps for each task key, compacted; key: the task key."""
        return self._named("state", _agent(agent))

    def prompts(self) -> str:
        """Model requests before routing; key: root task id."""
        return self.prefix + "prompts"

    def decisions(self) -> str:
        """The router's own log; key: request id."""
        return self.prefix + "decisions"

    def router_journal(self) -> str:
        """Settlements, lease grants, re-route requests; key: root task id."""
        return self.prefix + "journal." + _RESERVED

    def pool_prompts(self, pool: str) -> str:
        """Routed requests of one pool."""
        return self._named("prompts", _part("pool", pool))

    def completions(self, pool: str) -> str:
        """A pool's own log: every answer with tokens, cost, latency; key: request id."""
        return self._named("completions", _part("pool", pool))

    def tools(self, zone: str) -> str:
        """Tool calls of one trust zone; key: task id."""
        return self._named("tools", _part("zone", zone))

    def tool_results(self, zone: str) -> str:
        """The tool workers' own log; key: request id."""
        return self._named("tool-results", _part("zone", zone))

    def pools(self) -> str:
        """Health, load and limits, compacted; key: pool/replica."""
        return self.prefix + "pools"

    def agents(self) -> str:
        """Agent cards, compacted; key: agent/version."""
        return self.prefix + "agents"

    def dead_letters(self) -> str:
        """What could not be processed, original bytes untouched; original key."""
        return self.prefix + "dead-letters"

    def approvals(self) -> str:
        """Questions to people and their answers, compacted; key: request id."""
        return self.prefix + "approvals"

    def ledger(self) -> str:
        """Reserved and settled money, compacted; key: budget id."""
        return self.prefix + "ledger"

    def policies(self) -> str:
        """What the router decides by, compacted: every version; key: kind/version."""
        return self.prefix + "policies"

    def keys(self) -> str:
        """Data keys, wrapped, compacted; key: the data key's id."""
        return self.prefix + "keys"

    def memory_queries(self) -> str:
        """What is asked of memory; key: the place."""
        return self.prefix + "memory.queries"

    def memory_events(self) -> str:
        """The memory log, the memory workers' own; key: the place."""
        return self.prefix + "memory.events"

    def memory_state(self) -> str:
        """The newest version of each memory, compacted; key: its id."""
        return self.prefix + "memory.state"

    def deltas(self) -> str:
        """What can be shown of tasks at work, kept for minutes; key: request id, partition explicit."""
        return self.prefix + "deltas"

    @staticmethod
    def subject(topic: str) -> str:
        """The registry subject of a topic's values (TopicName strategy)."""
        return topic + "-value"

    def _named(self, kind: str, name: str) -> str:
        topic = f"{self.prefix}{kind}.{name}"
        if len(topic) > _LONGEST_TOPIC:
            raise BadName(f"topic {topic!r} has {len(topic)} characters: Kafka allows {_LONGEST_TOPIC}")
        return topic


@dataclass(frozen=True, slots=True)
class TaskHandle:
    """Where a task lives. Text form ``agent:partition:task_id``; the task id may itself hold colons."""

    agent: str
    partition: int
    task_id: str

    def __str__(self) -> str:
        return f"{self.agent}:{self.partition}:{self.task_id}"

    @classmethod
    def parse(cls, text: str) -> TaskHandle:
        """Reads the text form; raises :class:`BadName`."""
        agent, _, rest = text.partition(":")
        partition, _, task_id = rest.partition(":")
        if not (partition.isascii() and partition.isdigit() and task_id and len(partition) <= 10):
            raise BadName(f"{text!r} is no task handle: write agent:partition:task_id, for example triage:3:order-17")
        return cls(_agent(agent), int(partition), task_id)


def _agent(name: str) -> str:
    if name == _RESERVED:
        raise BadName(f"no agent can be named {name!r}: its journal would be the router's")
    return _part("agent", name)


@lru_cache(maxsize=1024)
def _part(kind: str, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise BadName(f"{kind} name {name!r}: lower-case letters, digits and hyphens only, no hyphen at the start")
    return name
