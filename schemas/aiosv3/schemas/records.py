"""Typed twins of the ``.avsc`` files: the records that every mesh has, field for field in the same order.

``tests/schemas/test_drift.py`` keeps both equal. Times are milliseconds since the epoch, money is millionths
of a US dollar, offsets that do not exist are -1 where a field is not nullable. Content that is ``bytes`` is
sealed, under the key ``content_key_id``; any other content is plain and ``content_key_id`` is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

_CANCEL: Final = "!cancel"


class Symbol(Enum):
    """An Avro enum: each member's value is its symbol."""

    def __str__(self) -> str:
        return str(self.value)


class JournalKind(Symbol):
    """What a journal record says.

    An answer to a step, a value made locally, a timer that fired, and so on.
    """

    ANSWER = "ANSWER"
    VALUE = "VALUE"
    TIMER = "TIMER"
    SIGNAL = "SIGNAL"
    CANCEL = "CANCEL"
    STARTED = "STARTED"
    CARRY = "CARRY"


class Outcome(Symbol):
    """How a step, call or task ended. REFUSED: not done here, may be done elsewhere."""

    OK = "OK"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    REFUSED = "REFUSED"


class DecisionOutcome(Symbol):
    """What the router did with a request."""

    ROUTED = "ROUTED"
    REFUSED = "REFUSED"


class Role(Symbol):
    """Whose words a message holds."""

    SYSTEM = "SYSTEM"
    USER = "USER"
    ASSISTANT = "ASSISTANT"
    TOOL = "TOOL"


class PoolState(Symbol):
    """How a replica of a pool feels."""

    UP = "UP"
    DEGRADED = "DEGRADED"
    DOWN = "DOWN"


@dataclass(frozen=True, slots=True)
class StepFailure:
    """Why a step failed; ``type`` is the error's name in the SDK, such as ``BudgetExceeded``."""

    type: str
    message: str
    retryable: bool
    step: str | None = None
    topic: str | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """The ``aios-reply`` header, kept in own-log records: they can be forwarded again without their input."""

    topic: str
    partition: int
    offset: int
    task: str
    step: str
    token: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What model calls consumed."""

    model_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_usd_micros: int = 0
    cache_write_tokens: int = 0
    cache_write_long_tokens: int = 0
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class CarryHeader:
    """One header of a parked task's record."""

    name: str
    value: bytes


@dataclass(frozen=True, slots=True)
class CarryEntry:
    """One journal record of a parked task, as it stood on the log."""

    offset: int
    timestamp: int
    value: bytes


@dataclass(frozen=True, slots=True)
class CarryTimer:
    """A timer that a parked task waits for; ``due`` in ms."""

    step: str
    hash: str
    due: int


@dataclass(frozen=True, slots=True)
class Carry:
    """A parked task, complete.

    Its record and its journal up to ``upto`` (``protocol.md``, sections 2 and 6). ``resting``: the code version under
    which all that it waits for had been asked for; None: its code has to run after a restore.
    """

    task_key: bytes | None
    task_value: bytes | None
    task_headers: tuple[CarryHeader, ...]
    task_timestamp: int
    code_version: str
    entries: tuple[CarryEntry, ...]
    upto: int
    own_upto: int
    claim: str | None = None
    timers: tuple[CarryTimer, ...] = ()
    resting: str | None = None


JournalContent: TypeAlias = str | bytes | None
"""JSON text, sealed bytes, or nothing."""


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """A record of ``journal.*``: whatever an agent's coroutine is fed, in offset order."""

    task_id: str
    task_offset: int
    step_id: str | None
    request_hash: str | None
    kind: JournalKind
    outcome: Outcome
    error: StepFailure | None = None
    token: str | None = None
    code_version: str | None = None
    source_topic: str | None = None
    source_partition: int | None = None
    source_offset: int | None = None
    usage: Usage | None = None
    content: JournalContent = None
    content_key_id: str | None = None
    carry: Carry | None = None
    claim: str | None = None
    """The claim store has the content; what stands in ``content`` is its beginning, for people to read."""
    message: str | None = None
    message_id: str | None = None
    """Name of a SIGNAL, and its id for de-duplication."""
    seals: str | None = None
    """Of STARTED: the class from which on the task's content is sealed; None: none of it is."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    ``tool_calls``: what an ASSISTANT turn calls, as in :class:`Answer`; ``tool_call_id``: the call behind a TOOL turn.
    """

    role: Role
    content: str
    tool_calls: str | None = None
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked. ``output_schema`` and ``tools`` are JSON text.

    ``history``: claim of earlier messages (``schemas.history``), which stand behind the leading SYSTEM messages.
    """

    messages: tuple[Message, ...]
    output_schema: str | None
    max_tokens: int
    temperature: float | None = None
    stop: tuple[str, ...] = ()
    tools: str | None = None
    history: str | None = None


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A record of ``prompts`` and ``prompts.<pool>``."""

    request_id: str
    root_id: str
    task_id: str
    step_id: str
    agent: str
    content: Prompt | bytes | None = None
    content_key_id: str | None = None


@dataclass(slots=True, unsafe_hash=True)
class Candidate:
    """One pool as the router saw it. ``score`` is None where it was not eligible; higher is better.

    ``load`` None: the pool had not said how it is. Not to be changed; it is not frozen because each decision makes one
    a pool, and a frozen dataclass of ten fields takes five times as long.
    """

    pool: str
    eligible: bool
    reason: str
    score: float | None = None
    cost_usd_micros: int | None = None
    load: float | None = None
    latency_ms: int | None = None
    latency_p95_ms: int | None = None
    degraded: bool = False
    down: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """A record of ``decisions``. ``request_id`` ends in ``~n`` for attempt n > 1."""

    request_id: str
    root_id: str
    task_id: str
    attempt: int
    input_offset: int
    epoch: int
    request_hash: str
    first_sent: int
    reply: ReplyTo | None
    outcome: DecisionOutcome
    pool: str | None
    model: str | None
    reason: str
    candidates: tuple[Candidate, ...]
    policy_version: str
    prices_version: str
    ledger_position: int = -1
    reserved_usd_micros: int = 0
    error: StepFailure | None = None
    cap_usd_micros: int | None = None
    budgets: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    sticky: str | None = None
    pools_version: str = ""
    expires_at: int | None = None
    limit_usd_micros: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said. ``tool_calls``: JSON text, a list in OpenAI's form, arguments as the model wrote them."""

    text: str
    tool_calls: str | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A record of ``completions.<pool>``: the answer, the bill and the audit of one call."""

    request_id: str
    root_id: str
    task_id: str
    step_id: str
    agent: str
    attempt: int
    input_offset: int
    epoch: int
    request_hash: str
    first_sent: int
    reply: ReplyTo | None
    outcome: Outcome
    error: StepFailure | None
    pool: str
    model: str
    finish_reason: str | None
    usage: Usage
    latency_ms: int
    first_token_ms: int | None = None
    provider_request_id: str | None = None
    content: Answer | bytes | None = None
    content_key_id: str | None = None


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """A record of ``pools``.

    One replica's health and load. ``clearance`` is the highest class that it may see.
    """

    pool: str
    replica: str
    state: PoolState
    kind: str
    model: str
    clearance: str
    in_flight: int
    limit: int
    latency_ms_p50: int | None
    failures: int
    retry_after: int | None
    updated: int
    note: str = ""
    latency_ms_p95: int | None = None
    latency_ms_usual: int | None = None
    error_rate: float | None = None
    retry_budget: float | None = None
    asleep: bool = False
    server_running: int | None = None
    server_waiting: int | None = None
    cache_usage: float | None = None
    prefix_hit_rate: float | None = None
    server_seen: int | None = None
    usd_micros_per_mtok: int | None = None


@dataclass(frozen=True, slots=True)
class AgentCard:
    """A record of ``agents``.

    One version of an agent, its topics, its schemas (JSON Schema text), its model policy.
    """

    agent: str
    version: str
    task_topic: str
    result_topic: str
    journal_topic: str
    partitions: int
    input_schema: str
    output_schema: str
    clearance: str
    model: str | None
    pool: str | None
    budget_usd_micros: int | None
    description: str
    updated: int


def cancel_request_id(root_id: str) -> str:
    """The id under which the router decides that a tree is cancelled."""
    return f"{root_id}{_CANCEL}"


def is_cancel_request(request_id: str) -> bool:
    """True for what :func:`cancel_request_id` makes."""
    return request_id.endswith(_CANCEL)


def base_request_id(request_id: str) -> str:
    """The request without its attempt: ``R~2`` and ``R`` are both ``R``."""
    return request_id.rpartition("~")[0] or request_id if _numbered(request_id) else request_id


def attempt_request_id(base: str, attempt: int) -> str:
    """The id under which attempt ``attempt`` (from 1) of request ``base`` is remembered."""
    return base if attempt == 1 else f"{base}~{attempt}"


def _numbered(request_id: str) -> bool:
    suffix = request_id.rpartition("~")[2]
    return suffix.isascii() and suffix.isdigit()
