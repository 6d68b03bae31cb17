"""Journal records that answer a step, as the typed value that the step promised or the error that it raises."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from aiosv3.agents.errors import ModelRefused, ModelUnavailable, StepError, step_error
from aiosv3.agents.turn import ModelTurn, read_turn
from aiosv3.schemas.records import Outcome

if TYPE_CHECKING:
    from aiosv3.agents.facts import JournalEntry


@lru_cache(maxsize=512)
def adapter_of(kind: Any) -> TypeAdapter[Any]:
    """Pydantic's adapter of a type, made once."""
    return TypeAdapter(kind)


@lru_cache(maxsize=512)
def _json_schema(kind: Any, _spelling: str) -> str:
    return json.dumps(TypeAdapter(kind).json_schema(), separators=(",", ":"))


def json_schema(kind: Any) -> str:
    """The JSON Schema text of a type. ``Literal["a", "b"]`` equals ``Literal["b", "a"]``, and their schemas differ."""
    return _json_schema(kind, repr(kind))


def _failed(entry: JournalEntry, step_id: str, default: type[StepError]) -> StepError | None:
    record = entry.record
    return None if record.outcome is Outcome.OK else step_error(record.error, step_id, default)


def _content(entry: JournalEntry) -> str:
    content = entry.record.content
    return content if isinstance(content, str) else "null"


def decoded(entry: JournalEntry, step_id: str, adapter: TypeAdapter[Any], default: type[StepError]) -> Any:
    """The value of an answer; raises its error, or ``default`` when it is not of the declared type."""
    if (error := _failed(entry, step_id, default)) is not None:
        raise error
    try:
        return adapter.validate_json(_content(entry))
    except ValidationError as error:
        raise default(f"the answer is not of the declared type: {error}", step=step_id) from None


def model_answer(entry: JournalEntry, step_id: str, output_type: Any) -> Any:
    """A model's answer, journaled as ``{"text": …, "tool_calls": …}``: the turn, its text, or the value it spells."""
    if (error := _failed(entry, step_id, ModelUnavailable)) is not None:
        raise error
    try:
        answer = json.loads(_content(entry))
        if output_type is ModelTurn:
            return read_turn(answer, step_id, entry.record.usage)
        text = answer["text"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelUnavailable(f"the answer cannot be read: {type(error).__name__} {error}", step=step_id) from None
    if output_type is str:
        return text
    try:
        return adapter_of(output_type).validate_json(text)
    except ValidationError as error:
        raise ModelRefused(f"the answer is not of the asked type: {error}", step=step_id, retryable=True) from None
