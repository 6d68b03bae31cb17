"""A model request as a test reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter

from aiosv3.agents.testing.errors import MeshFailure
from aiosv3.schemas.headers import Route
from aiosv3.schemas.history import Block, whole
from aiosv3.schemas.records import Message, ModelRequest, Role
from aiosv3.schemas.records import Prompt as WirePrompt


@dataclass(frozen=True, slots=True)
class Prompt:
    """What an agent asked a model. ``str(prompt)`` is all of its text; ``"refund" in prompt`` looks there.

    ``id``: request id, ``task/step``. ``route``: how the router is to choose (model, pool, complexity, limit).
    """

    id: str
    agent: str
    task: str
    step: str
    route: Route
    messages: tuple[Message, ...]
    output_schema: str | None
    tools: str | None
    max_tokens: int
    temperature: float | None

    @property
    def text(self) -> str:
        """The last message of the user."""
        return next((m.content for m in reversed(self.messages) if m.role is Role.USER), "")

    @property
    def system(self) -> str | None:
        """The system message, if there is one."""
        return next((m.content for m in self.messages if m.role is Role.SYSTEM), None)

    def wants(self, output_type: Any) -> bool:
        """True if the answer is to be of this type; ``str``: plain text."""
        if self.output_schema is None or output_type is str:
            return self.output_schema is None and output_type is str
        return bool(json.loads(self.output_schema) == TypeAdapter(output_type).json_schema())

    def __str__(self) -> str:
        return "\n".join(message.content for message in self.messages)

    def __contains__(self, text: str) -> bool:
        return text in str(self)


def readable(request: ModelRequest, route: Route, stored: Mapping[str, bytes] = MappingProxyType({})) -> Prompt:
    """The request on ``prompts`` with its route header; raises :class:`MeshFailure` for a sealed one.

    ``stored``: the claim store's content, where earlier messages of a conversation lie.
    """
    body = request.content
    if not isinstance(body, WirePrompt):
        raise MeshFailure(f"the prompt of {request.request_id} is sealed: a test cannot read it")
    return Prompt(
        id=request.request_id,
        agent=request.agent,
        task=request.task_id,
        step=request.step_id,
        route=route,
        messages=whole(body.messages, _earlier(body.history, stored)),
        output_schema=body.output_schema,
        tools=body.tools,
        max_tokens=body.max_tokens,
        temperature=body.temperature,
    )


def _earlier(head: str | None, stored: Mapping[str, bytes]) -> tuple[Message, ...]:
    messages: tuple[Message, ...] = ()
    while head is not None:
        if head not in stored:
            raise MeshFailure(f"earlier messages are not in the claim store: {head}")
        block = Block.decode(stored[head])
        messages, head = (*block.messages, *messages), block.prev
    return messages
