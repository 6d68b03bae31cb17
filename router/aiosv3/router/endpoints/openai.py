"""Chat completions as OpenAI defined them, streamed; also Ollama, llama.cpp, vLLM and most clouds.

Source: OpenAI API reference, "Create chat completion" and "Streaming"; vLLM's "Extra parameters" for ``priority`` and
``cache_salt``.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import SecretStr

from aiosv3.router.endpoints.clients import ClientLimits
from aiosv3.router.endpoints.conversation import Turn, tools, turns
from aiosv3.router.endpoints.counting import FLEX, counted_by_openai
from aiosv3.router.endpoints.endpoint import Call, Completed, Probed
from aiosv3.router.endpoints.errors import BadRequest, StreamCut
from aiosv3.router.endpoints.exchange import Exchange, Question, ReplyLimits, is_header_value
from aiosv3.router.endpoints.faults import failed_midway, refused_parameter
from aiosv3.router.endpoints.outputschema import is_closed, read_schema, rooted, unrooted
from aiosv3.router.endpoints.reading import Reading, ToolCall
from aiosv3.router.endpoints.sse import ServerEvent
from aiosv3.schemas.records import Role

_ROLES: Final = {Role.SYSTEM: "system", Role.USER: "user", Role.ASSISTANT: "assistant", Role.TOOL: "tool"}
_OLD_LIMIT: Final = "max_tokens"
_NEW_LIMIT: Final = "max_completion_tokens"
_MOST_TOOL_CALLS: Final = 256


@dataclass(frozen=True, slots=True)
class Dialect:
    """What servers disagree about.

    ``limit_field``: the name of the output limit; a server that refuses one name is asked with the other from then on.
    ``salts``: takes vLLM's ``cache_salt`` (tenants share no prefix cache, so none can time it). ``priorities``: its
    scheduler goes by ``priority``; a server whose scheduler does not takes the field and says nothing. ``flex``: asks
    for the service tier of calls that may wait.
    """

    limit_field: str = _OLD_LIMIT
    salts: bool = False
    priorities: bool = False
    flex: bool = False


class OpenAIChat:
    """An :class:`~aiosv3.router.endpoints.endpoint.Endpoint`. ``base_url`` ends with the version: ``http://host/v1``."""

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr | None = None,
        *,
        dialect: Dialect | None = None,
        clients: ClientLimits | None = None,
        reply: ReplyLimits | None = None,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        secret = api_key.get_secret_value() if api_key is not None else None
        headers = {"authorization": f"Bearer {secret}"} if secret else {}
        self._http = Exchange(base_url, headers, secret=secret, clients=clients, reply=reply, verify=verify)
        self._dialect = dialect or Dialect()
        self._limit_field = self._dialect.limit_field

    async def complete(self, call: Call) -> Completed:
        limit_field = self._limit_field
        try:
            return await self._complete(call, limit_field)
        except BadRequest as error:
            if not refused_parameter(error, limit_field):
                raise
        # Reasoning models know the new name only, many servers the old one only. A refusal costs nothing.
        self._limit_field = _NEW_LIMIT if limit_field == _OLD_LIMIT else _OLD_LIMIT
        return await self._complete(call, self._limit_field)

    async def probe(self) -> Probed:
        return await self._http.models("models")

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _complete(self, call: Call, limit_field: str) -> Completed:
        wanted = call.prompt.output_schema
        wrapped = rooted(wanted) if wanted is not None else None
        if wrapped is None:
            return await self._ask(call, limit_field)
        inside = replace(call, prompt=replace(call.prompt, output_schema=wrapped))
        answer = await self._ask(inside, limit_field)
        return answer if answer.tool_calls is not None else replace(answer, text=unrooted(answer.text))

    async def _ask(self, call: Call, limit_field: str) -> Completed:
        reading = ChatReading(call.prompt, on_text=call.on_text, on_dropped=call.on_dropped)
        headers = {"idempotency-key": idempotency_header(call.idempotency_key)}
        question = Question("chat/completions", self._body(call, limit_field), call.timeout_s, headers)
        await self._http.ask(question, reading)
        return reading.completed()

    def _body(self, call: Call, limit_field: str) -> dict[str, Any]:
        prompt = call.prompt
        body: dict[str, Any] = {
            "model": call.model,
            "messages": [_message(turn) for turn in turns(prompt)],
            "stream": True,
            "stream_options": {"include_usage": True},
            limit_field: prompt.max_tokens,
        }
        if prompt.temperature is not None:
            body["temperature"] = prompt.temperature
        if prompt.stop:
            body["stop"] = list(prompt.stop)
        if prompt.tools is not None:
            body["tools"] = tools(prompt)
        if prompt.output_schema is not None:
            schema = read_schema(prompt.output_schema)
            wanted = {"name": "answer", "schema": schema, "strict": is_closed(schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": wanted}
        if self._dialect.flex:
            body["service_tier"] = FLEX
        if self._dialect.priorities and call.priority is not None:
            body["priority"] = call.priority
        if self._dialect.salts and call.tenant is not None:
            body["cache_salt"] = hashlib.sha256(call.tenant.encode("utf-8", "surrogatepass")).hexdigest()
        return body


class ChatReading(Reading):
    """Takes ``chat.completion.chunk`` events up to ``[DONE]``."""

    def take(self, event: ServerEvent) -> None:
        if event.data.strip() == "[DONE]":
            self._end()
            return
        chunk = self.parsed(event.data)
        if self.provider_request_id is None:
            self.provider_request_id = self.words(chunk, "id") or None
        self.counted.tier = self.words(chunk, "service_tier") or self.counted.tier
        if usage := self.part(chunk, "usage"):
            self.tell(usage, final=self.finish_reason is not None)
        if chunk.get("error"):
            raise failed_midway(chunk, self.spent(), self.provider_request_id)
        choices = chunk.get("choices") or []
        if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
            raise self.malformed("'choices' is no list of objects")
        for choice in choices:
            if choice.get("index", 0) == 0:
                self._choice(choice)
        if usage:  # running counts, and those that come with the finish reason, hold once that is there
            self.counted.final = self.finish_reason is not None

    def tell(self, usage: Mapping[str, Any], *, final: bool) -> None:
        self.counted = counted_by_openai(usage, self.counted.tier, final=final)

    def _end(self) -> None:
        if self.finish_reason is None:
            words = "the stream ended without a finish reason"
            raise StreamCut(words, status=200, spent=self.spent(), provider_request_id=self.provider_request_id)
        self.finished = True

    def _choice(self, choice: dict[str, Any]) -> None:
        delta = self.part(choice, "delta")
        if text := self.words(delta, "content"):
            self.say(text)
        if refusal := self.words(delta, "refusal"):
            self.decline(refusal)
        for name in ("reasoning_content", "reasoning"):
            self.count(self.words(delta, name))
        self._calls(delta.get("tool_calls") or [])
        if reason := self.words(choice, "finish_reason"):
            self.finish_reason = reason

    def _calls(self, pieces: object) -> None:
        if not isinstance(pieces, list) or not all(isinstance(piece, dict) for piece in pieces):
            raise self.malformed("'tool_calls' is no list of objects")
        for piece in pieces:
            call = self._call(piece)
            function = self.part(piece, "function")
            call.id = self.words(piece, "id") or call.id
            call.name = self.words(function, "name") or call.name
            arguments = self.words(function, "arguments")
            call.arguments.append(arguments)
            self.count(arguments)

    def _call(self, piece: dict[str, Any]) -> ToolCall:
        """The call that a piece belongs to. Some servers count no index, or 0 for all: there a new id is a new call."""
        index = piece.get("index")
        if index is None:
            index = max(self.tool_calls, default=0)
        if not isinstance(index, int) or not 0 <= index < _MOST_TOOL_CALLS:
            raise self.malformed("a tool call's index is out of range")
        begun, new = self.tool_calls.get(index), self.words(piece, "id")
        if begun is not None and begun.id and new and new != begun.id:
            index = max(self.tool_calls) + 1
            if index >= _MOST_TOOL_CALLS:
                raise self.malformed("too many tool calls")
        return self.tool_calls.setdefault(index, ToolCall())


def idempotency_header(key: str) -> str:
    """The key, or its SHA-256 where HTTP does not carry it or it is longer than 255 characters."""
    if key and is_header_value(key) and len(key) <= 255:
        return key
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _message(turn: Turn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": _ROLES[turn.role], "content": turn.text}
    if turn.calls:
        message["tool_calls"] = list(turn.calls)
    if turn.answers is not None:
        message["tool_call_id"] = turn.answers
    return message
