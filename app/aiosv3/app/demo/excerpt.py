"""The few lines of a licence text that a small model can be asked about."""

from __future__ import annotations

import re
from typing import Final

from aiosv3.app.demo.families import families

LONGEST_EXCERPT: Final = 1_500
"""Characters; a 135M model loses the thread long before its window is full."""

_LINES: Final = 6
_WIDTH: Final = 110
_TOP: Final = 3
_PARAGRAPH: Final = re.compile(r"\n[^\w\n]*\n")
_MARKS: Final = re.compile(r"^[\W_]+|[\s=#*_-]+$")
_LICENCE: Final = re.compile(r"licen[cs]e", re.IGNORECASE)


def telling_lines(text: str) -> list[str]:
    """Up to six beginnings of paragraphs, in the order of the text, each 110 characters at most.

    Those at the top that speak of a licence, and the first of each family. Each occurs in the text, its white space
    aside.
    """
    paragraphs = [words for part in _PARAGRAPH.split(text) if (words := " ".join(part.split()))]
    lines: list[str] = []
    met: set[str] = set()
    for place, paragraph in enumerate(paragraphs):
        following = paragraphs[place + 1] if place + 1 < len(paragraphs) else ""
        # A heading and its text are two paragraphs, and a phrase may need both.
        here = set(families(paragraph)) or set(families(f"{paragraph} {following}")) - set(families(following))
        if here - met or (place < _TOP and _LICENCE.search(paragraph)):
            met |= here
            lines.append(_MARKS.sub("", paragraph)[:_WIDTH].strip())
    chosen = list(dict.fromkeys(line for line in lines if line))[:_LINES]
    return chosen or [" ".join(text.split())[:_WIDTH]]
