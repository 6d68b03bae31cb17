"""The tree of a task as people think of it: tasks, their steps, attempts of model calls, what else happened."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from aiosv3.app.tracing.collecting import Row


@dataclass(frozen=True, slots=True)
class Spent:
    """Of model calls, failed ones too."""

    model_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_usd_micros: int = 0
    cache_write_tokens: int = 0
    cache_write_long_tokens: int = 0
    estimated: bool = False

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.model_calls + other.model_calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cost_usd_micros + other.cost_usd_micros,
            self.cache_write_tokens + other.cache_write_tokens,
            self.cache_write_long_tokens + other.cache_write_long_tokens,
            self.estimated or other.estimated,
        )

    @classmethod
    def of(cls, usage: Any) -> Spent:
        """From a ``usage`` field of a record; nothing where there is none."""
        if not isinstance(usage, dict):
            return cls()
        counts = {name: int(usage.get(name) or 0) for name in cls.__dataclass_fields__ if name != "estimated"}
        return cls(**counts, estimated=bool(usage.get("estimated")))


@dataclass(slots=True)
class Attempt:
    """One model call as it was routed. ``outcome`` None: no answer yet."""

    number: int
    at: int
    pool: str | None = None
    model: str | None = None
    reason: str | None = None
    outcome: str | None = None
    error: str | None = None
    latency_ms: int | None = None
    ended: int | None = None
    spent: Spent = field(default_factory=Spent)

    def to_json(self) -> dict[str, Any]:
        """Stable names."""
        return asdict(self)


@dataclass(slots=True)
class Happened:
    """Something that is no step: started, a message, parked, cancelled."""

    at: int
    what: str
    times: int = 1

    def to_json(self) -> dict[str, Any]:
        """Stable names."""
        return asdict(self)


@dataclass(slots=True)
class Step:
    """``kind``: model, call, tool, person, value, timer, or unknown where its request is gone from the log.

    ``about``: the agent, tool or question. ``answers``: how often an answer to it is on the log.
    """

    id: str
    began: int
    kind: str = "unknown"
    about: str = ""
    ended: int | None = None
    outcome: str | None = None
    error: str | None = None
    who: str | None = None
    answers: int = 0
    attempts: dict[int, Attempt] = field(default_factory=dict)
    child: Task | None = None
    rows: list[Row] = field(default_factory=list)

    @property
    def spent(self) -> Spent:
        """By its attempts, or by the task that it has started."""
        total = self.child.spent if self.child is not None else Spent()
        return sum((attempt.spent for attempt in self.attempts.values()), total)

    def to_json(self) -> dict[str, Any]:
        """Stable names. ``took_ms`` is None while it has no answer."""
        return {
            "step": self.id,
            "kind": self.kind,
            "about": self.about,
            "began": self.began,
            "ended": self.ended,
            "took_ms": None if self.ended is None else self.ended - self.began,
            "outcome": self.outcome,
            "error": self.error,
            "who": self.who,
            "answers": self.answers,
            "spent": asdict(self.spent),
            "attempts": [attempt.to_json() for _, attempt in sorted(self.attempts.items())],
            "task": None if self.child is None else self.child.to_json(),
        }


@dataclass(slots=True)
class Task:
    """``outcome`` None: it has no result. ``waits``: when the timers of a parked task are due, by step."""

    id: str
    agent: str | None
    began: int
    ended: int | None = None
    outcome: str | None = None
    error: str | None = None
    steps: dict[str, Step] = field(default_factory=dict)
    happened: list[Happened] = field(default_factory=list)
    waits: dict[str, int] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    @property
    def spent(self) -> Spent:
        """Of all its steps, and of all below them."""
        return sum((step.spent for step in self.steps.values()), Spent())

    def to_json(self) -> dict[str, Any]:
        """Stable names; times are milliseconds since the epoch."""
        return {
            "task": self.id,
            "agent": self.agent,
            "began": self.began,
            "ended": self.ended,
            "took_ms": None if self.ended is None else self.ended - self.began,
            "outcome": self.outcome,
            "error": self.error,
            "spent": asdict(self.spent),
            "steps": [step.to_json() for step in self.ordered()],
            "happened": [one.to_json() for one in self.happened],
            "waits": self.waits,
        }

    def ordered(self) -> list[Step]:
        """Its steps by when they began."""
        return sorted(self.steps.values(), key=lambda step: step.began)
