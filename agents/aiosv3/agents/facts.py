"""What a task is a function of: the task as admitted, its journal entries, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from aiosv3.schemas.headers import AUTO, Complexity, Grant, Reply
from aiosv3.schemas.records import JournalRecord, Outcome, StepFailure
from aiosv3.schemas.sealing import PLAIN, ContentKeys

DEADLINE_STEP: Final = "deadline"
"""Step id of the timer record that ends a task at its deadline."""
GRACE_STEP: Final = "grace"
"""Step id of the timer record that ends the cleanup of a task that was cancelled or is past its deadline."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a task wants its model calls routed, unless its agent says otherwise for one of them.

    ``stream``: the partition of ``deltas`` where somebody follows the task; None: nobody does.
    """

    complexity: Complexity = AUTO
    latency_ms: int | None = None
    priority: int = 0
    stream: int | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A task as admitted. ``offset`` is its input offset, ``timestamp`` its broker time (ms)."""

    id: str
    key: str | None
    offset: int
    timestamp: int
    grant: Grant
    reply: Reply | None
    traceparent: bytes
    value: Any
    request_hash: str = ""
    wishes: Wishes = Wishes()
    keys: ContentKeys = PLAIN
    """What its content is sealed with."""


class JournalEntry(NamedTuple):
    """A journal record with its place and broker time (ms); ``value``: its bytes, as they stand on the log."""

    offset: int
    timestamp: int
    record: JournalRecord
    value: bytes = b""


@dataclass(frozen=True, slots=True)
class Finish:
    """How a task ended. ``journal_offset``: the record that finished it, -1 if it needed none."""

    outcome: Outcome
    journal_offset: int
    timestamp: int
    value: Any = None
    failure: StepFailure | None = None
