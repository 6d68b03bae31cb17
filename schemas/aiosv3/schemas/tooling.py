"""Records of the tool workers: requests on ``tools.<zone>``, answers on ``tool-results.<zone>``."""

from __future__ import annotations

from dataclasses import dataclass

from aiosv3.schemas.records import Outcome, ReplyTo, StepFailure


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """One tool call. ``content``: the arguments, a JSON object as text (secrets by name only), or sealed bytes."""

    request_id: str
    root_id: str
    task_id: str
    step_id: str
    agent: str
    server: str
    tool: str
    content: str | bytes | None = None
    content_key_id: str | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A record of ``tool-results.<zone>``: what one call came to.

    ``content`` is the value as JSON text; where ``claim`` is set the claim store has the value, and ``content`` is its
    beginning, as a JSON string for people to read.
    """

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
    zone: str
    server: str
    tool: str
    calls: int
    latency_ms: int
    content: str | bytes | None = None
    claim: str | None = None
    content_key_id: str | None = None
