"""The messages of a ``Prompt`` as a provider gets them: tool calls and their results told apart from plain words.

Where a prompt offers no tools, or a result names no call, they are put into words: some APIs refuse them otherwise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from aiosv3.router.endpoints.errors import BadRequest
from aiosv3.schemas.records import Message, Prompt, Role

_RAW: Final = "arguments"


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. ``calls``: what an ASSISTANT turn calls; ``answers``: the id of the call behind a TOOL turn."""

    role: Role
    text: str
    calls: tuple[dict[str, Any], ...] = ()
    answers: str | None = None


def turns(prompt: Prompt) -> list[Turn]:
    """The messages of a prompt. The arguments of each call are the JSON text of an object. Raises ``BadRequest``."""
    return [_turn(message, offers_tools=prompt.tools is not None) for message in prompt.messages]


def tools(prompt: Prompt) -> list[dict[str, Any]]:
    """The tools, in OpenAI's form ``{"type": "function", "function": {…}}``. Raises ``BadRequest``."""
    if prompt.tools is None:
        return []
    listed = _listed(prompt.tools, "tools")
    if not all(_is_function(tool) for tool in listed):
        raise BadRequest('tools must be a list of {"type": "function", "function": {"name": …, "parameters": …}}')
    return listed


def _turn(message: Message, *, offers_tools: bool) -> Turn:
    if message.role is Role.TOOL:
        if offers_tools and message.tool_call_id:
            return Turn(Role.TOOL, message.content, answers=message.tool_call_id)
        return Turn(Role.USER, f"Result of a tool:\n{message.content}")
    if message.role is not Role.ASSISTANT or message.tool_calls is None:
        return Turn(message.role, message.content)
    calls = tuple(_call(call) for call in _listed(message.tool_calls, "tool_calls"))
    if offers_tools:
        return Turn(Role.ASSISTANT, message.content, calls)
    said = [f"Called {call['function']['name']}({call['function']['arguments']})" for call in calls]
    return Turn(Role.ASSISTANT, "\n".join([message.content, *said] if message.content else said))


def _call(call: object) -> dict[str, Any]:
    if not isinstance(call, dict) or not _is_function(call) or not isinstance(call.get("id"), str):
        raise BadRequest('tool_calls must be a list of {"id", "type": "function", "function": {"name", "arguments"}}')
    function = call["function"]
    called = {"name": function["name"], "arguments": _object(function.get("arguments"))}
    return {"id": call["id"], "type": "function", "function": called}


def _object(arguments: object) -> str:
    """What the model wrote if it is an object, else an object that holds it: servers parse it, and refuse the rest."""
    text = (arguments if isinstance(arguments, str) else json.dumps(arguments)) or "{}"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    return text if isinstance(value, dict) else json.dumps({_RAW: text}, ensure_ascii=False)


def _listed(text: str, what: str) -> list[Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"{what} are not JSON ({error})") from None
    if not isinstance(value, list):
        raise BadRequest(f"{what} must be a list")
    return value


def _is_function(value: object) -> bool:
    function = value.get("function") if isinstance(value, dict) else None
    return isinstance(function, dict) and isinstance(function.get("name"), str)
