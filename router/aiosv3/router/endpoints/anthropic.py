"""Anthropic's Messages API, streamed (also served by vLLM).

Source: Anthropic API reference, "Messages", "Streaming Messages", "Errors", "Tool use". Structured output is a tool
that the model must call: every model has tools, and its input is the answer.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Any, Final

from pydantic import SecretStr

from aiosv3.router.endpoints.clients import ClientLimits
from aiosv3.router.endpoints.conversation import Turn, tools, turns
from aiosv3.router.endpoints.counting import AnthropicCounts
from aiosv3.router.endpoints.endpoint import Call, Completed, Probed
from aiosv3.router.endpoints.errors import Spent, StreamCut
from aiosv3.router.endpoints.exchange import Exchange, Question, ReplyLimits
from aiosv3.router.endpoints.faults import failed_midway
from aiosv3.router.endpoints.openai import idempotency_header
from aiosv3.router.endpoints.outputschema import read_schema
from aiosv3.router.endpoints.reading import Reading, ToolCall
from aiosv3.router.endpoints.sse import ServerEvent
from aiosv3.schemas.records import Prompt, Role

API_VERSION: Final = "2023-06-01"
_ANSWER_TOOL: Final = "structured_answer"
_WRAPPED: Final = "answer"
_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class AnthropicMessages:
    """An :class:`~aiosv3.router.endpoints.endpoint.Endpoint`. ``base_url`` is without a version: ``https://host``."""

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr | None = None,
        *,
        clients: ClientLimits | None = None,
        reply: ReplyLimits | None = None,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        secret = api_key.get_secret_value() if api_key is not None else None
        headers = {"anthropic-version": API_VERSION} | ({"x-api-key": secret} if secret else {})
        self._http = Exchange(base_url, headers, secret=secret, clients=clients, reply=reply, verify=verify)

    async def complete(self, call: Call) -> Completed:
        reading = MessageReading(call.prompt, on_text=call.on_text, on_dropped=call.on_dropped)
        headers = {"idempotency-key": idempotency_header(call.idempotency_key)}
        await self._http.ask(Question("v1/messages", _body(call), call.timeout_s, headers), reading)
        return reading.completed()

    async def probe(self) -> Probed:
        return await self._http.models("v1/models")

    async def aclose(self) -> None:
        await self._http.aclose()


class MessageReading(Reading):
    """Takes events from ``message_start`` to ``message_stop``; a stop reason must have come in between."""

    def __init__(
        self,
        prompt: Prompt,
        on_text: Callable[[str], None] | None = None,
        on_dropped: Callable[[Spent], None] | None = None,
    ) -> None:
        super().__init__(prompt, on_text=on_text, on_dropped=on_dropped)
        self._blocks: dict[int, ToolCall | None] = {}
        self._counts = AnthropicCounts()
        self._structured = prompt.output_schema is not None

    def take(self, event: ServerEvent) -> None:
        data = self.parsed(event.data)
        match data.get("type"):
            case "message_start":
                self._start(self.part(data, "message"))
            case "content_block_start":
                self._open(data)
            case "content_block_delta":
                self._delta(data)
            case "message_delta":
                self._stop_reason(data)
            case "message_stop":
                self._end()
            case "error":
                raise failed_midway(data, self.spent(), self.provider_request_id)
            # Others are pings, block ends, or newer than this code: the API's versioning says to pass over them.

    def tell(self, usage: Mapping[str, Any], *, final: bool) -> None:
        self._counts.take(usage)
        self.counted = self._counts.counted(final=final)

    def fitted(self, text: str) -> str:
        schema = read_schema(self._prompt.output_schema or "{}")
        if _is_object(schema) or not text:
            return text
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return text
        return (
            json.dumps(value[_WRAPPED], ensure_ascii=False) if isinstance(value, dict) and _WRAPPED in value else text
        )

    def _start(self, message: dict[str, Any]) -> None:
        self.provider_request_id = self.provider_request_id or self.words(message, "id") or None
        self.tell(self.part(message, "usage"), final=False)

    def _open(self, data: dict[str, Any]) -> None:
        block = self.part(data, "content_block")
        index = self._index(data)
        if block.get("type") != "tool_use":
            self._blocks[index] = None
            self._say(self.words(block, "text"))
            return
        call = ToolCall(self.words(block, "id"), self.words(block, "name"))
        self._blocks[index] = call
        if not (self._structured and call.name == _ANSWER_TOOL):
            self.tool_calls[index] = call

    def _delta(self, data: dict[str, Any]) -> None:
        delta = self.part(data, "delta")
        index = self._index(data)
        if index not in self._blocks:
            raise self.malformed("a piece of a content block that was never opened")
        if "text" in delta:
            self._say(self.words(delta, "text"))
        elif "partial_json" in delta:
            self._json(self._blocks[index], self.words(delta, "partial_json"))
        else:
            self.count(self.words(delta, "thinking"))

    def _say(self, text: str) -> None:
        """Words beside a structured answer are asides: paid for, but no part of it."""
        if self._structured:
            self.count(text)
        else:
            self.say(text)

    def _json(self, call: ToolCall | None, piece: str) -> None:
        if call is None:
            raise self.malformed("JSON in a block that is no tool call")
        if self._structured and call.name == _ANSWER_TOOL:
            self.say(piece)
        else:
            call.arguments.append(piece)
            self.count(piece)

    def _stop_reason(self, data: dict[str, Any]) -> None:
        reason = self.words(self.part(data, "delta"), "stop_reason")
        if reason:
            self.finish_reason = _REASONS.get(reason, reason)
            if self._structured and not self.tool_calls and reason == "tool_use":
                self.finish_reason = "stop"
        self.tell(self.part(data, "usage"), final=self.finish_reason is not None)

    def _end(self) -> None:
        if self.finish_reason is None:
            words = "the message stopped without a stop reason"
            raise StreamCut(words, status=200, spent=self.spent(), provider_request_id=self.provider_request_id)
        self.finished = True

    def _index(self, data: dict[str, Any]) -> int:
        index = data.get("index")
        if not isinstance(index, int) or not 0 <= index < 1024:
            raise self.malformed("a content block's index is missing or out of range")
        return index


def _body(call: Call) -> dict[str, Any]:
    prompt = call.prompt
    said = turns(prompt)
    system = "\n\n".join(turn.text for turn in said if turn.role is Role.SYSTEM)
    others = _messages([turn for turn in said if turn.role is not Role.SYSTEM])
    if not others:
        # The API wants at least one message of the user.
        system, others = "", [{"role": "user", "content": system}]
    body: dict[str, Any] = {"model": call.model, "max_tokens": prompt.max_tokens, "messages": others, "stream": True}
    if system:
        body["system"] = system
    if prompt.temperature is not None:
        body["temperature"] = prompt.temperature
    if prompt.stop:
        body["stop_sequences"] = list(prompt.stop)
    offered = [_tool(tool["function"]) for tool in tools(prompt)]
    if prompt.output_schema is not None:
        body["tool_choice"] = {"type": "any"} if offered else {"type": "tool", "name": _ANSWER_TOOL}
        offered.append(_answer_tool(read_schema(prompt.output_schema)))
    if offered:
        body["tools"] = offered
    return body


def _messages(said: list[Turn]) -> list[dict[str, Any]]:
    """The results of parallel calls are one message: the API wants them all right behind the calls."""
    messages: list[dict[str, Any]] = []
    for is_result, group in groupby(said, lambda turn: turn.role is Role.TOOL):
        if is_result:
            messages.append({"role": "user", "content": [_result(turn) for turn in group]})
        else:
            messages += [_message(turn) for turn in group]
    return messages


def _result(turn: Turn) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": turn.answers, "content": turn.text}


def _message(turn: Turn) -> dict[str, Any]:
    if turn.calls:
        text = [{"type": "text", "text": turn.text}] if turn.text else []
        return {"role": "assistant", "content": [*text, *(_tool_use(call) for call in turn.calls)]}
    return {"role": "assistant" if turn.role is Role.ASSISTANT else "user", "content": turn.text}


def _tool_use(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    given = json.loads(function["arguments"])
    return {"type": "tool_use", "id": call["id"], "name": function["name"], "input": given}


def _tool(function: dict[str, Any]) -> dict[str, Any]:
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    return {"name": function["name"], "description": function.get("description") or "", "input_schema": schema}


def _answer_tool(schema: dict[str, Any]) -> dict[str, Any]:
    if not _is_object(schema):
        inner = {key: value for key, value in schema.items() if key != "$defs"}
        wrapped = {"type": "object", "properties": {_WRAPPED: inner}, "required": [_WRAPPED]}
        schema = wrapped | ({"$defs": schema["$defs"]} if "$defs" in schema else {})
    return {"name": _ANSWER_TOOL, "description": "Give the answer in this form.", "input_schema": schema}


def _is_object(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "object"
