"""From what ``generate`` is given to the prompt that travels, and what of it counts as the request."""

from __future__ import annotations

from typing import Any

from aiosv3.agents.conversation import Conversation
from aiosv3.agents.decoding import json_schema
from aiosv3.agents.turn import ModelTurn
from aiosv3.prompts import estimate_complexity, estimate_tokens
from aiosv3.schemas.headers import AUTO, Clearance, Complexity
from aiosv3.schemas.records import Message, Prompt, Role


def prompt_of(
    prompt: str | Prompt | Conversation,
    system: str | None,
    output_type: Any,
    max_tokens: int,
    temperature: float | None,
) -> Prompt:
    """A text or a conversation, with its settings, as a prompt; a prompt as it is."""
    if isinstance(prompt, Prompt):
        return prompt
    talk = prompt if isinstance(prompt, Conversation) else Conversation(turns=[Message(Role.USER, prompt)])
    messages = list(talk.turns)
    if system is not None:
        messages.insert(0, Message(role=Role.SYSTEM, content=system))
    return Prompt(
        messages=tuple(messages),
        output_schema=None if output_type in (str, ModelTurn) else json_schema(output_type),
        max_tokens=max_tokens,
        temperature=temperature,
        history=talk.head,
    )


def tokens_of(body: Prompt, prompt: str | Prompt | Conversation) -> int:
    """What ``body`` adds up to for the model, its history too; ``prompt`` is what it was made of."""
    return estimate_tokens(body) + (prompt.stored_tokens if isinstance(prompt, Conversation) else 0)


def stored_class(body: Prompt, prompt: str | Prompt | Conversation) -> Clearance:
    """The least class that the history of ``body`` allows, which lies elsewhere. Of a claim alone nothing is known."""
    if body.history is None:
        return Clearance.PUBLIC
    known = prompt.stored_class if isinstance(prompt, Conversation) else None
    return Clearance.RESTRICTED if known is None else Clearance(known)


def complexity_of(prompt: Prompt, asked: float | None, wished: Complexity) -> float:
    """The call's own, else the task's, else an estimate from the text."""
    if asked is not None:
        return asked
    return estimate_complexity(prompt) if wished == AUTO else float(wished)


def needs_of(prompt: Prompt) -> tuple[str, ...]:
    """What a pool must be able to do to answer it."""
    asked = (("json", prompt.output_schema), ("tools", prompt.tools))
    return tuple(need for need, text in asked if text is not None)


def prompt_parts(prompt: Prompt) -> list[str]:
    """What the request hash of a model call is made of."""
    parts = [part for message in prompt.messages for part in _message_parts(message)]
    parts += [prompt.output_schema or "", str(prompt.max_tokens), str(prompt.temperature)]
    parts += [prompt.tools or "", *prompt.stop]
    # Without a history as before there were any, and no text that ends an answer begins like this.
    return parts if prompt.history is None else [*parts, f"\0behind {prompt.history}"]


def _message_parts(message: Message) -> list[str]:
    parts = [message.role.name, message.content]
    if message.tool_calls is None and message.tool_call_id is None:
        return parts  # as before there were tools: the journals of that time hold such hashes
    # No role begins like this, so that the parts cannot be read as other messages.
    return [*parts, f"\0calls {message.tool_calls or ''}", f"\0result of {message.tool_call_id or ''}"]
