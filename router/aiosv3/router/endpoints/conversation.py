"""Messages, as a ``Prompt`` carries them, with tool calls and tool results told apart from plain words.

``Message`` has a role and a text only. In a prompt with ``tools`` an ASSISTANT message may be JSON
``{"text": …, "tool_calls": …}`` (as answers are journaled; ``tool_calls`` a list or its JSON text) and a TOOL message
JSON ``{"tool_call_id": …, "content": …}``. Anything else is plain text, also text that merely looks like JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from aiosv3.router.endpoints.errors import BadRequest
from aiosv3.schemas.records import Message, Prompt, Role

_ANSWER_KEYS: Final = {"text", "tool_calls"}
_RESULT_KEYS: Final = {"tool_call_id", "content"}


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. ``calls``: what an ASSISTANT turn calls; ``answers``: the id of the call behind a TOOL turn."""

    role: Role
    text: str
    calls: tuple[dict[str, Any], ...] = ()
    answers: str | None = None


def turns(prompt: Prompt) -> list[Turn]:
    """The messages of a prompt. A TOOL message that names no call becomes words of the USER."""
    return [_turn(message, structured=prompt.tools is not None) for message in prompt.messages]


def tools(prompt: Prompt) -> list[dict[str, Any]]:
    """The tools, in OpenAI's form ``{"type": "function", "function": {…}}``. Raises ``BadRequest``."""
    if prompt.tools is None:
        return []
    try:
        listed = json.loads(prompt.tools)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"tools are not JSON ({error})") from None
    if not isinstance(listed, list) or not all(_is_tool(tool) for tool in listed):
        raise BadRequest('tools must be a list of {"type": "function", "function": {"name": …, "parameters": …}}')
    return listed


def _is_tool(tool: object) -> bool:
    function = tool.get("function") if isinstance(tool, dict) else None
    return isinstance(function, dict) and isinstance(function.get("name"), str)


def _turn(message: Message, *, structured: bool) -> Turn:
    if message.role is Role.ASSISTANT and structured:
        said = _object(message.content, _ANSWER_KEYS)
        calls = _calls(said["tool_calls"]) if said else ()
        return Turn(Role.ASSISTANT, str(said["text"] or ""), calls) if said and calls else _plain(message)
    if message.role is Role.TOOL:
        result = _object(message.content, _RESULT_KEYS) if structured else None
        if result is None:
            return Turn(Role.USER, f"Result of a tool:\n{message.content}")
        content = result["content"]
        text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        return Turn(Role.TOOL, text, answers=str(result["tool_call_id"]))
    return _plain(message)


def _plain(message: Message) -> Turn:
    return Turn(message.role, message.content)


def _object(text: str, keys: set[str]) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and set(value) == keys else None


def _calls(value: object) -> tuple[dict[str, Any], ...]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return ()
    if not isinstance(value, list) or not all(_is_tool(call) and isinstance(call.get("id"), str) for call in value):
        return ()
    return tuple(value)
