"""A task as an outsider sends it, and what is said to a task: records, without a connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from aiosv3.agents.agent import Agent
from aiosv3.agents.client.errors import InvalidInput
from aiosv3.agents.controls import RESERVED
from aiosv3.agents.mailbox import message_record
from aiosv3.schemas import headers as names
from aiosv3.schemas.derive import validation_words
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome
from aiosv3.schemas.topics import Topics
from aiosv3.streams.log import Headers, Outgoing

SOURCE: Final = "aiosv3/client"
"""``ce_source`` of what a client sends, unless its headers name another."""
_OURS: Final = {names.CE_ID: "id=", names.CE_STREAM: "stream="}


class RawJson(bytes):
    """A value that is JSON already: it is sent as it is."""


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """A task event: JSON and CloudEvents headers."""

    agent: str
    id: str
    key: str
    value: bytes
    headers: Headers

    def outgoing(self, topics: Topics, now: datetime) -> Outgoing:
        """As a record: tasks of one key go to one partition."""
        return Outgoing(topics.tasks(self.agent), None, self.key.encode(), self.value, event_headers(self, now))


def event_headers(event: TaskEvent, now: datetime) -> Headers:
    """CloudEvents in binary mode; a header that the sender gives takes the place of ours."""
    ours = {
        names.CE_ID: event.id.encode(),
        names.CE_SOURCE: SOURCE.encode(),
        names.CE_TYPE: f"aiosv3.task.{event.agent}".encode(),
        names.CE_SPECVERSION: names.SPECVERSION.encode(),
        names.CONTENT_TYPE: names.CONTENT_JSON.encode(),
        names.CE_TIME: now.isoformat().encode(),
    }
    return list({**ours, **dict(event.headers)}.items())


def given_headers(headers: Mapping[str, str] | None) -> Headers:
    """What the caller wants on the task event. Raises :class:`InvalidInput` for what other parameters say."""
    for name in headers or {}:
        if name in _OURS:
            raise InvalidInput(f"header {name} is set by {_OURS[name]}")
    return [(name, value.encode()) for name, value in (headers or {}).items()]


def input_json(agent: Agent[Any, Any] | str, value: Any) -> bytes:
    """The input as its worker will read it. Raises :class:`InvalidInput` before anything is sent.

    Of an agent whose code is elsewhere anything that JSON can say; that agent's worker has the last word.
    """
    if isinstance(value, RawJson):
        return value
    return json_bytes(value) if isinstance(agent, str) else _checked(agent, value)


def _checked(agent: Agent[Any, Any], value: Any) -> bytes:
    adapter: TypeAdapter[Any] = agent.input_adapter
    wrong: Exception | None = None
    for by_alias in (True, False):  # a model may be read by other names than it is written by
        try:
            raw = adapter.dump_json(value, by_alias=by_alias, warnings="error")
            adapter.validate_json(raw)
        except ValidationError as error:
            wrong = wrong or InvalidInput(f"this is no input of {agent.name}: {validation_words(error)}")
        except (PydanticSerializationError, AttributeError, TypeError):  # their words quote the value
            kind = getattr(agent.input_type, "__name__", agent.input_type)
            wrong = wrong or InvalidInput(f"{agent.name} takes {kind}, and this is {type(value).__name__}")
        else:
            return raw
    raise wrong or InvalidInput(f"this is no input of {agent.name}")


def json_bytes(value: Any) -> bytes:
    """Any value as JSON: plain data, models, dataclasses, times. Raises :class:`InvalidInput`."""
    try:
        return to_json(value)
    except (PydanticSerializationError, ValueError, TypeError, RecursionError):  # their words quote the value
        raise InvalidInput(f"{type(value).__name__} has no form in JSON") from None


def cancel_record(task_id: str) -> JournalRecord:
    """Asks for the task's end; nothing happens where it has ended."""
    return JournalRecord(task_id, -1, None, None, JournalKind.CANCEL, Outcome.CANCELLED)


def told_record(task_id: str, name: str, content: Any, message_id: str) -> JournalRecord:
    """A message, for ``ctx.receive(name, …)``. Raises :class:`InvalidInput`."""
    if not name or name.startswith(RESERVED):
        raise InvalidInput(f"{name!r} is no name for a message: choose one that does not begin with {RESERVED!r}")
    raw = content if isinstance(content, RawJson) else json_bytes(content)
    return message_record(task_id, name, raw.decode(), message_id)
