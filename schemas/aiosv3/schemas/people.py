"""Records of ``approvals``: questions to people, what people answer, and what became of an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from aiosv3.schemas.records import ReplyTo, Symbol

Content: TypeAlias = str | bytes | None


class QuestionKind(Symbol):
    """APPROVE wants a yes or a no; ASK wants a value of a type."""

    APPROVE = "APPROVE"
    ASK = "ASK"


@dataclass(frozen=True, slots=True)
class Question:
    """Key: the request id. ``asker`` started the tree of the task; ``role``: who may answer, None for anybody.

    ``content`` is what is asked; ``output_schema`` is JSON Schema text, set when the kind is ASK.
    """

    request_id: str
    root_id: str
    task_id: str
    step_id: str
    agent: str
    tenant: str
    kind: QuestionKind
    role: str | None
    asker: str | None
    asked_at: int
    expires_at: int | None
    request_hash: str
    reply: ReplyTo
    output_schema: str | None = None
    content: Content = None
    content_key_id: str | None = None


@dataclass(frozen=True, slots=True)
class PersonAnswer:
    """Key: ``request id/answer/answer id``. ``token`` is the one of the question's reply address.

    ``approved`` answers APPROVE; ``content`` (JSON text) answers ASK.
    """

    request_id: str
    answer_id: str
    who: str
    answered_at: int
    token: str
    approved: bool | None = None
    comment: str | None = None
    content: Content = None
    content_key_id: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerVerdict:
    """What the desk made of an answer; ``reason`` says why it was refused.

    Key: ``request id/closed`` when it was accepted, else ``request id/answer/answer id/refused``.
    """

    request_id: str
    answer_id: str
    who: str
    accepted: bool
    decided_at: int
    reason: str | None = None
