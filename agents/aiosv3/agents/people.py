"""Steps that people answer, and messages from outside: ``approve``, ``ask`` and ``receive``."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from aiosv3.agents.decoding import adapter_of, decoded, json_schema
from aiosv3.agents.errors import Denied, InvalidContent
from aiosv3.agents.steps import PersonStep, ReceiveStep, due_after, request_hash
from aiosv3.schemas.people import QuestionKind

if TYPE_CHECKING:
    from aiosv3.agents.facts import JournalEntry
    from aiosv3.agents.task import TaskRun

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody said yes. ``when``: broker time of their answer."""

    who: str
    when: datetime
    comment: str = ""


class PeopleSteps:
    """The part of :class:`~aiosv3.agents.context.Context` that waits for people and for messages."""

    __slots__ = ()
    _run: TaskRun

    def approve(
        self, text: str, *, by: str | None = None, timeout: timedelta | None = None, name: str | None = None
    ) -> asyncio.Future[Approval]:
        """Asks people for a yes. ``by``: the role that may answer, None for anybody but who started the tree.

        Raises (on await) Denied, with ``who`` and ``comment``; StepTimeout after ``timeout``.
        """
        return self._question(QuestionKind.APPROVE, text, None, by, timeout, name)

    def ask(
        self,
        question: str,
        output_type: type[T],
        *,
        by: str | None = None,
        timeout: timedelta | None = None,
        name: str | None = None,
    ) -> asyncio.Future[T]:
        """Asks people for a value of ``output_type``; its JSON Schema travels along, so that a form can be shown.

        Raises (on await) InvalidContent, StepTimeout after ``timeout``.
        """
        return self._question(QuestionKind.ASK, question, output_type, by, timeout, name)

    def _question(
        self,
        kind: QuestionKind,
        text: str,
        output_type: Any,
        by: str | None,
        timeout: timedelta | None,
        name: str | None,
    ) -> asyncio.Future[Any]:
        run = self._run
        step_id = run.next_id(name)
        schema = None if output_type is None else json_schema(output_type)
        step = PersonStep(
            id=step_id,
            hash=request_hash(kind.value, text, by or "", schema or ""),
            first_sent=run.now,
            due=due_after(run.now, timeout),
            kind=kind,
            text=text,
            role=by,
            output_schema=schema,
        )
        if output_type is None:
            return run.issue(step, lambda entry: approval_in(entry, step_id))
        adapter = adapter_of(output_type)
        return run.issue(step, lambda entry: decoded(entry, step_id, adapter, InvalidContent))

    def receive(self, message: str, output_type: type[T], *, timeout: timedelta | None = None) -> asyncio.Future[T]:
        """The next unread message of this name to this task, in the order of its journal.

        One that came before it was asked for waits; the same message id counts once. Raises (on await)
        InvalidContent for a message of another type, which is read then; StepTimeout after ``timeout``.
        """
        run = self._run
        step_id = run.next_id(None)
        step = ReceiveStep(
            id=step_id,
            hash=request_hash("receive", message),
            first_sent=run.now,
            due=due_after(run.now, timeout),
            message=message,
        )
        kind: Any = output_type
        adapter = adapter_of(kind)
        return run.issue(step, lambda entry: decoded(entry, step_id, adapter, InvalidContent))


def approval_content(who: str, when: int, comment: str | None, *, approved: bool) -> str:
    """What the journal holds of a person's yes or no. ``when``: ms."""
    return json.dumps({"approved": approved, "who": who, "when": when, "comment": comment or ""}, ensure_ascii=False)


def approval_in(entry: JournalEntry, step_id: str) -> Approval:
    """The yes of a journal record; raises Denied for a no, and what else the record says."""
    found = decoded(entry, step_id, adapter_of(dict[str, Any]), InvalidContent)
    try:
        approved, who, comment = found["approved"], str(found["who"]), str(found["comment"])
        when = datetime.fromtimestamp(int(found["when"]) / 1000, UTC)
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        words = f"the answer cannot be read: {type(error).__name__} {error}"
        raise InvalidContent(words, step=step_id) from None
    if approved is True:
        return Approval(who, when, comment)
    raise Denied(f"denied by {who}{f': {comment}' if comment else ''}", who=who, comment=comment, step=step_id)
