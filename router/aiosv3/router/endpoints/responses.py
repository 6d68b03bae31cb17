"""OpenAI's Responses API, streamed (also served by vLLM): a typed event for each step, and its end says how it ended.

Source: OpenAI API reference, "Create a model response" and "Streaming events". Nothing is stored there (``store``).
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from pydantic import SecretStr

from aiosv3.router.endpoints.clients import ClientLimits
from aiosv3.router.endpoints.conversation import Turn, tools, turns
from aiosv3.router.endpoints.counting import FLEX, counted_by_openai
from aiosv3.router.endpoints.endpoint import Call, Completed, Probed
from aiosv3.router.endpoints.errors import StreamCut
from aiosv3.router.endpoints.exchange import Exchange, Question, ReplyLimits
from aiosv3.router.endpoints.faults import failed_midway
from aiosv3.router.endpoints.openai import idempotency_header
from aiosv3.router.endpoints.outputschema import is_closed, read_schema, rooted, unrooted
from aiosv3.router.endpoints.reading import Reading, ToolCall
from aiosv3.router.endpoints.sse import ServerEvent
from aiosv3.schemas.records import Role

LEAST_OUTPUT: Final = 16
"""The API refuses a smaller limit."""
_ROLES: Final = {Role.SYSTEM: "system", Role.USER: "user", Role.ASSISTANT: "assistant"}
_MOST_ITEMS: Final = 1024
_REASONING: Final = frozenset({"response.reasoning_text.delta", "response.reasoning_summary_text.delta"})


class OpenAIResponses:
    """An :class:`~aiosv3.router.endpoints.endpoint.Endpoint`. ``base_url`` ends with the version: ``http://host/v1``."""

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr | None = None,
        *,
        clients: ClientLimits | None = None,
        reply: ReplyLimits | None = None,
        verify: ssl.SSLContext | None = None,
        flex: bool = False,
    ) -> None:
        secret = api_key.get_secret_value() if api_key is not None else None
        headers = {"authorization": f"Bearer {secret}"} if secret else {}
        self._http = Exchange(base_url, headers, secret=secret, clients=clients, reply=reply, verify=verify)
        self._flex = flex

    async def complete(self, call: Call) -> Completed:
        wanted = call.prompt.output_schema
        wrapped = rooted(wanted) if wanted is not None else None
        if wrapped is None:
            return await self._ask(call)
        answer = await self._ask(replace(call, prompt=replace(call.prompt, output_schema=wrapped)))
        return answer if answer.tool_calls is not None else replace(answer, text=unrooted(answer.text))

    async def probe(self) -> Probed:
        return await self._http.models("models")

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _ask(self, call: Call) -> Completed:
        reading = ResponseReading(call.prompt, on_text=call.on_text, on_dropped=call.on_dropped)
        headers = {"idempotency-key": idempotency_header(call.idempotency_key)}
        await self._http.ask(Question("responses", self._body(call), call.timeout_s, headers), reading)
        return reading.completed()

    def _body(self, call: Call) -> dict[str, Any]:
        prompt = call.prompt
        body: dict[str, Any] = {
            "model": call.model,
            "input": [item for turn in turns(prompt) for item in _items(turn)],
            "stream": True,
            "store": False,
            "max_output_tokens": max(LEAST_OUTPUT, prompt.max_tokens),
        }
        if prompt.temperature is not None:
            body["temperature"] = prompt.temperature
        if prompt.tools is not None:
            body["tools"] = [_tool(tool["function"]) for tool in tools(prompt)]
        if prompt.output_schema is not None:
            schema = read_schema(prompt.output_schema)
            wanted = {"type": "json_schema", "name": "answer", "schema": schema, "strict": is_closed(schema)}
            body["text"] = {"format": wanted}
        if self._flex:
            body["service_tier"] = FLEX
        return body


class ResponseReading(Reading):
    """Takes events up to one of the four ends: completed, incomplete, failed, cancelled."""

    def take(self, event: ServerEvent) -> None:
        if event.data.strip() == "[DONE]":  # of servers that end every stream alike
            raise self._cut("the stream ended without the end of its response")
        data = self.parsed(event.data)
        kind = self.words(data, "type")
        match kind:
            case "response.created" | "response.in_progress":
                response = self.part(data, "response")
                self.provider_request_id = self.provider_request_id or self.words(response, "id") or None
                self._tier(response)
            case "response.output_item.added" | "response.output_item.done":
                self._item(data)
            case "response.output_text.delta":
                self.say(self.words(data, "delta"))
            case "response.refusal.delta":
                self.decline(self.words(data, "delta"))
            case "response.function_call_arguments.delta":
                self._arguments(data)
            case "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled":
                self._end(kind.removeprefix("response."), self.part(data, "response"))
            case "error":
                raise failed_midway(data, self.spent(), self.provider_request_id)
            case _ if kind in _REASONING:
                self.count(self.words(data, "delta"))
            # Others repeat what came in pieces, or are newer than this code.

    def completed(self) -> Completed:
        """As every reading's; the API knows no stop sequences, so what follows one is taken off here."""
        done = super().completed()
        if self._prompt.output_schema is not None or not self._prompt.stop:
            return done
        ends = [at for at in (done.text.find(stop) for stop in self._prompt.stop if stop) if at >= 0]
        return replace(done, text=done.text[: min(ends)], finish_reason="stop") if ends else done

    def tell(self, usage: Mapping[str, Any], *, final: bool) -> None:
        self.counted = counted_by_openai(usage, self.counted.tier, final=final)

    def _item(self, data: dict[str, Any]) -> None:
        item = self.part(data, "item")
        if item.get("type") != "function_call":
            return
        call = self.tool_calls.setdefault(self._index(data), ToolCall())
        call.id = self.words(item, "call_id") or self.words(item, "id") or call.id
        call.name = self.words(item, "name") or call.name
        whole = self.words(item, "arguments")
        if not call.arguments and whole:  # servers that do not write arguments in pieces
            call.arguments.append(whole)
            self.count(whole)

    def _arguments(self, data: dict[str, Any]) -> None:
        call = self.tool_calls.get(self._index(data))
        if call is None:
            raise self.malformed("arguments of a function call that never began")
        piece = self.words(data, "delta")
        call.arguments.append(piece)
        self.count(piece)

    def _end(self, how: str, response: dict[str, Any]) -> None:
        """``how`` is the event's word; a server that sends ``completed`` for all has it in ``status``."""
        self._tier(response)
        if usage := self.part(response, "usage"):
            self.tell(usage, final=True)
        status = self.words(response, "status")
        ended = status if status in {"failed", "incomplete", "cancelled"} else how
        if ended == "failed":
            raise failed_midway({"error": response.get("error") or {}}, self.spent(), self.provider_request_id)
        if ended == "cancelled":
            raise self._cut("the response was cancelled by its server")
        if not self._text and not self.tool_calls:
            self._whole(response.get("output"))
        self.finish_reason = "tool_calls" if self.tool_calls else "stop"
        if ended == "incomplete":
            why = self.words(self.part(response, "incomplete_details"), "reason")
            self.finish_reason = "content_filter" if why == "content_filter" else "length"
        self.finished = True

    def _whole(self, output: object) -> None:
        """Of servers that write nothing in pieces: the text as the end repeats it."""
        for item in output if isinstance(output, list) else ():
            parts = item.get("content") if isinstance(item, dict) else None
            for part in parts if isinstance(parts, list) else ():
                if isinstance(part, dict) and part.get("type") == "output_text":
                    self.say(self.words(part, "text"))

    def _cut(self, words: str) -> StreamCut:
        return StreamCut(words, status=200, spent=self.spent(), provider_request_id=self.provider_request_id)

    def _tier(self, response: dict[str, Any]) -> None:
        """As asked for in the first events, as it was in the last one."""
        self.counted.tier = self.words(response, "service_tier") or self.counted.tier

    def _index(self, data: dict[str, Any]) -> int:
        index = data.get("output_index")
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < _MOST_ITEMS:
            raise self.malformed("an output item's index is missing or out of range")
        return index


def _items(turn: Turn) -> list[dict[str, Any]]:
    """A turn as input items: calls and their results are items of their own."""
    if turn.role is Role.TOOL:
        return [{"type": "function_call_output", "call_id": turn.answers, "output": turn.text}]
    said = [{"role": _ROLES[turn.role], "content": turn.text}] if turn.text or not turn.calls else []
    calls = [
        {
            "type": "function_call",
            "call_id": call["id"],
            "name": call["function"]["name"],
            "arguments": call["function"]["arguments"],
        }
        for call in turn.calls
    ]
    return [*said, *calls]


def _tool(function: dict[str, Any]) -> dict[str, Any]:
    """Flat, unlike in the chat API. Not strict unless asked for: strict is this API's default, and refuses most."""
    return {"type": "function", "strict": False, **function}
