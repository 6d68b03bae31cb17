"""Who said a memory, as its text is searched and embedded: names matter, roles do not."""

from __future__ import annotations

import re
from typing import Final

USERS: Final = frozenset({"user", "human"})
"""Speakers that a query in the first person speaks of."""
_ROLES: Final = USERS | {"assistant", "system", "ai", "bot", "tool", "agent", "unknown", ""}
_FIRST_PERSON: Final = re.compile(r"\b(?:i|i'm|i've|i'd|me|my|mine|myself)\b", re.IGNORECASE)


def spoken(text: str, speaker: str | None) -> str:
    """A text with the name of who said it before it; this is what embedders get and what words are found in."""
    name = (speaker or "").strip()
    return text if name.lower() in _ROLES else f"{name}: {text}"


def asks_about_the_asker(text: str) -> bool:
    """Whether a question is in the first person."""
    return bool(_FIRST_PERSON.search(text.replace("\u2019", "'")))
