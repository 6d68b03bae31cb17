"""An answer while it comes in, event by event; and what it has cost so far."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiosv3.router.endpoints.counting import Counted
from aiosv3.router.endpoints.endpoint import Completed
from aiosv3.router.endpoints.errors import Advice, ContentRefused, MalformedReply, SchemaViolated, Spent
from aiosv3.router.endpoints.outputschema import violation
from aiosv3.router.endpoints.sse import ServerEvent
from aiosv3.schemas.records import Prompt

_CHARACTERS_A_TOKEN: Final = 4


def estimated_tokens(characters: int) -> int:
    """Tokens of a text of that length, at four characters a token (OpenAI's rule of thumb), rounded up."""
    return -(-characters // _CHARACTERS_A_TOKEN)


def prompt_characters(prompt: Prompt) -> int:
    """How much text a prompt is, with its schema and tools."""
    extra = len(prompt.output_schema or "") + len(prompt.tools or "")
    return extra + sum(len(message.content) + len(message.tool_calls or "") for message in prompt.messages)


@dataclass(slots=True)
class ToolCall:
    """A tool call as far as it has come."""

    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class Reading(ABC):
    """Takes events until ``finished``. One for each call; a provider's protocol is a subclass.

    ``on_text`` hears of each piece of the answer's text.
    """

    def __init__(
        self,
        prompt: Prompt,
        clock: Callable[[], float] = time.monotonic,
        on_text: Callable[[str], None] | None = None,
        on_dropped: Callable[[Spent], None] | None = None,
    ) -> None:
        self.finished = False
        self.provider_request_id: str | None = None
        self.counted = Counted()
        self.finish_reason: str | None = None
        self.tool_calls: dict[int, ToolCall] = {}
        self._prompt = prompt
        self._clock = clock
        self._on_text = on_text
        self._on_dropped = on_dropped
        self._began = clock()
        self._first_at: float | None = None
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._characters = 0

    @abstractmethod
    def take(self, event: ServerEvent) -> None:
        """Takes one event; sets ``finished`` at the provider's end marker. Raises ``EndpointError``."""

    @abstractmethod
    def tell(self, usage: Mapping[str, Any], *, final: bool) -> None:
        """Takes a usage object of the provider's. ``final``: it covers the whole answer."""

    def say(self, text: str) -> None:
        """A piece of the answer's text."""
        self._text.append(text)
        self.count(text)
        if text and self._on_text is not None:
            self._on_text(text)

    def decline(self, text: str) -> None:
        """A piece of the model's refusal."""
        self._refusal.append(text)
        self.count(text)

    def count(self, text: str) -> None:
        """Output that is paid for, whether it is part of the answer (text) or not (reasoning)."""
        if text and self._first_at is None:
            self._first_at = self._clock()
        self._characters += len(text)

    def dropped(self) -> None:
        """Whoever asked has gone before the end: what came is paid for all the same."""
        if self._on_dropped is not None:
            self._on_dropped(self.spent())

    def spent(self) -> Spent:
        """What the call has cost so far: the provider's numbers where told, else estimates."""
        asked = estimated_tokens(prompt_characters(self._prompt))
        return self.counted.spent(asked, estimated_tokens(self._characters))

    def completed(self) -> Completed:
        """The finished answer. Raises ``ContentRefused``, ``SchemaViolated``."""
        spent = self.spent()
        if self._refusal or self.finish_reason == "content_filter":
            words = well_formed("".join(self._refusal))[:300] or "a content filter stopped the answer"
            raise ContentRefused(words, spent=spent, provider_request_id=self.provider_request_id)
        text = well_formed("".join(self._text))
        calls = [self._tool_call(call) for _, call in sorted(self.tool_calls.items())]
        if self._prompt.output_schema is not None and not calls:
            text = self.fitted(text)
            if (wrong := violation(text, self._prompt.output_schema)) is not None:
                raise self._violated(wrong)
        return Completed(
            text=text,
            tool_calls=well_formed(json.dumps(calls, ensure_ascii=False)) if calls else None,
            finish_reason=self.finish_reason or "stop",
            input_tokens=spent.input_tokens,
            output_tokens=spent.output_tokens,
            cached_tokens=spent.cached_tokens,
            provider_request_id=self.provider_request_id,
            first_token_ms=None if self._first_at is None else round((self._first_at - self._began) * 1000),
            usage_estimated=spent.estimated,
            written_tokens=spent.written_tokens,
            kept_tokens=spent.kept_tokens,
            standard=spent.standard,
        )

    def fitted(self, text: str) -> str:
        """Structured text as the caller asked for it; a provider that wraps it unwraps it here."""
        return text

    def parsed(self, data: str) -> dict[str, Any]:
        """An event's JSON object. Raises ``MalformedReply``."""
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            raise self.malformed(f"an event is not JSON: {data[:60]!r}") from None
        if not isinstance(value, dict):
            raise self.malformed(f"an event is no JSON object: {data[:60]!r}")
        return value

    def part(self, of: Mapping[str, Any], key: str) -> dict[str, Any]:
        """An object within an object, empty where it is missing or null. Raises ``MalformedReply``."""
        value = of.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.malformed(f"{key!r} is no object")
        return value

    def words(self, of: Mapping[str, Any], key: str) -> str:
        """A text within an object, empty where it is missing or null. Raises ``MalformedReply``."""
        value = of.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.malformed(f"{key!r} is no text")
        return value

    def malformed(self, why: str) -> MalformedReply:
        """The error for a reply that breaks its protocol."""
        return MalformedReply(why, status=200, spent=self.spent(), provider_request_id=self.provider_request_id)

    def _tool_call(self, call: ToolCall) -> dict[str, Any]:
        arguments = "".join(call.arguments) or "{}"
        if self.finish_reason == "length" and not _is_json(arguments):
            raise self._violated(f"the arguments of tool {call.name!r} are not whole")
        return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}

    def _violated(self, why: str) -> SchemaViolated:
        cut = self.finish_reason == "length"
        return SchemaViolated(
            f"{why}; the answer was cut at max_tokens={self._prompt.max_tokens}" if cut else why,
            spent=self.spent(),
            # The same limit cuts the same answer again.
            advice=Advice(reroute=True) if cut else None,
            provider_request_id=self.provider_request_id,
        )


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def well_formed(text: str) -> str:
    """Text that UTF-8 can carry: surrogate halves from two events are joined, lone ones replaced by U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
