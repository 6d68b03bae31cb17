"""A model's turn that may call tools: what it said, and the calls that it asks for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from aiosv3.agents.steps import request_hash
from aiosv3.schemas.records import Message, Role, Usage

LONGEST_RESULT: Final = 20_000
"""Characters of a tool's result that a model is shown."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model asks for. ``arguments`` as it wrote them: JSON text as a rule, to be checked."""

    id: str
    name: str
    arguments: str

    def result(self, text: str) -> Message:
        """Its result as a message of the next prompt, cut where it is too long to be worth a model's while."""
        if len(text) > LONGEST_RESULT:
            text = f"{text[:LONGEST_RESULT]}\n[{len(text) - LONGEST_RESULT} more characters were left out]"
        return Message(Role.TOOL, text, tool_call_id=self.id)


@dataclass(frozen=True, slots=True)
class ModelTurn:
    """An ``output_type`` of ``generate`` for prompts with tools: the text, and the calls in the model's order."""

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()

    def message(self) -> Message:
        """The turn as a message of the next prompt."""
        calls = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in self.tool_calls
        ]
        said = json.dumps(calls, ensure_ascii=False, separators=(",", ":")) if calls else None
        return Message(Role.ASSISTANT, self.text, tool_calls=said)


def read_turn(answer: Any, step_id: str, usage: Usage | None = None) -> ModelTurn:
    """The turn in a journaled answer ``{"text": …, "tool_calls": …}``. Raises ValueError, KeyError, TypeError.

    Each call has an id of its own: where the model's is missing or repeated, it is derived from the step's.
    """
    raw = answer.get("tool_calls")
    calls = json.loads(raw) if isinstance(raw, str) else raw or []
    turn: list[ToolCall] = []
    for index, call in enumerate(calls):
        function = call["function"]
        call_id = str(call.get("id") or "")
        if not call_id or any(call_id == other.id for other in turn):
            call_id = f"call_{request_hash(step_id)}_{index}"
        arguments = function.get("arguments") or "{}"
        written = arguments if isinstance(arguments, str) else json.dumps(arguments)
        turn.append(ToolCall(call_id, str(function["name"]), written))
    return ModelTurn(str(answer["text"] or ""), tuple(turn), usage or Usage())
