"""What providers say of the tokens of a call, in one form.

Sources: OpenAI "Prompt caching" and the usage objects of both of its APIs; Anthropic "Prompt caching" and "Streaming
Messages"; DeepSeek "Context Caching"; Alibaba's and xAI's notes on their OpenAI-compatible usage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiosv3.router.endpoints.errors import Spent

FLEX: Final = "flex"
"""OpenAI's service tier for calls that may wait, at the price of batches."""
_MOST_TOKENS: Final = 1_000_000_000
_WRITES: Final = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
"""Names under which servers with OpenAI's API tell what they wrote to their cache: OpenAI's own first."""


@dataclass(slots=True)
class Counted:
    """The provider's own token counts, None until told. ``final``: the output count covers the whole answer.

    ``input_tokens`` has all of the input in it: ``cached_tokens`` that were read from the provider's cache,
    ``written_tokens`` put there for minutes, ``kept_tokens`` for an hour or more. ``tier``: its service tier, as told.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0
    written_tokens: int = 0
    kept_tokens: int = 0
    final: bool = False
    tier: str = ""

    def spent(self, asked: int, answered: int) -> Spent:
        """What the call has cost so far. ``asked``, ``answered``: our own estimates of what was sent and has come.

        They count where nothing was told, and where none was told of what is there.
        """
        input_tokens = self.input_tokens or asked
        told = self.output_tokens or 0
        output_tokens = told if self.final and told else max(told, answered)
        whole = self.final and self.input_tokens is not None and self.output_tokens is not None
        cached = min(self.cached_tokens, input_tokens)
        written = min(self.written_tokens, input_tokens - cached)
        return Spent(
            input_tokens,
            output_tokens,
            cached,
            written,
            min(self.kept_tokens, input_tokens - cached - written),
            estimated=not whole or (input_tokens, output_tokens) != (self.input_tokens, told),
            standard=self.tier not in {"", "auto", FLEX},
        )


def counted_by_openai(usage: Mapping[str, Any], tier: str, *, final: bool) -> Counted:
    """From a usage object of either API of OpenAI; other servers leave out parts of it, or name them otherwise.

    Reasoning is output. Some leave it out of their count of the answer and have it in the total alone.
    """
    asked = _first(usage, "prompt_tokens", "input_tokens")
    answered = _first(usage, "completion_tokens", "output_tokens")
    total = tokens(usage.get("total_tokens"))
    if asked is not None and answered is not None and total is not None:
        answered = max(answered, total - asked)
    details = _object(usage, "prompt_tokens_details") or _object(usage, "input_tokens_details")
    cached = _first(details, "cached_tokens") or _first(usage, "prompt_cache_hit_tokens") or 0
    written = max((tokens(details.get(name)) or 0 for name in _WRITES), default=0)
    return Counted(asked, answered, cached, written, final=final, tier=tier)


@dataclass(slots=True)
class AnthropicCounts:
    """Anthropic's counts, each cumulative and each told in some events only.

    ``input_tokens`` is told without what was read from or written to the cache.
    """

    _told: dict[str, int] = field(default_factory=dict)

    def take(self, usage: Mapping[str, Any]) -> None:
        """Reads a usage object; what is not in it stays as it was told before."""
        for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
            if (told := tokens(usage.get(name))) is not None:
                self._told[name] = told
        for name, told in _object(usage, "cache_creation").items():
            if (count := tokens(told)) is not None:
                self._told[name] = count

    def counted(self, *, final: bool) -> Counted:
        """All of it so far."""
        told = self._told
        fresh, read = told.get("input_tokens"), told.get("cache_read_input_tokens", 0)
        kept = told.get("ephemeral_1h_input_tokens", 0)
        # The sum and its parts are told; where they differ, the larger one is on the bill.
        made = max(told.get("cache_creation_input_tokens", 0), kept + told.get("ephemeral_5m_input_tokens", 0))
        asked = None if fresh is None else fresh + read + made
        return Counted(asked, told.get("output_tokens"), read, made - kept, kept, final=final)


def tokens(value: object) -> int | None:
    """A token count that can be believed, else None."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS:
        return value
    return None


def _first(of: Mapping[str, Any], *names: str) -> int | None:
    return next((told for name in names if (told := tokens(of.get(name))) is not None), None)


def _object(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = of.get(name)
    return value if isinstance(value, dict) else {}
