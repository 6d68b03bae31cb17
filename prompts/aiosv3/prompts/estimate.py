"""What the sender can tell from a prompt's text, so that the router never has to read it."""

from __future__ import annotations

import re
from typing import Final

from aiosv3.schemas.records import Prompt

_CHARACTERS_A_TOKEN: Final = 3.6
_MESSAGE_TOKENS: Final = 4
_TEXT_LIMIT: Final = 20_000
"""Characters that are looked at for the complexity: the estimate runs on the event loop and must stay short."""
_HARD: Final = re.compile(
    r"\b(prove|derive|analy[sz]e|compare|explain why|step by step|design|refactor|optimi[sz]e|debug|theorem|algorithm|"
    r"integral|trade-?offs?|legal|diagnos\w+|plan)\b|```|[=<>]{2}|\bdef |\bclass ",
    re.IGNORECASE,
)


def estimate_tokens(prompt: Prompt) -> int:
    """Input tokens, from characters: within a third for European languages and code, low for CJK text."""
    characters = sum(len(message.content) + len(message.tool_calls or "") for message in prompt.messages)
    characters += len(prompt.output_schema or "") + len(prompt.tools or "")
    return int(characters / _CHARACTERS_A_TOKEN) + _MESSAGE_TOKENS * len(prompt.messages)


def estimate_complexity(prompt: Prompt) -> float:
    """0 (trivial) to 1 (hard), from length and words that hard questions use: a rule of thumb, not a trained model."""
    text = "\n".join(message.content for message in prompt.messages)[:_TEXT_LIMIT]
    length = min(1.0, len(text) / _TEXT_LIMIT)
    hints = min(1.0, len(_HARD.findall(text)) / 6)
    return round(min(1.0, 0.1 + 0.4 * length + 0.5 * hints), 3)
