"""Sections as chunks of bounded size, each beginning with the headings that it stands under."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from aiosv3.memory.documents.sections import Section
from aiosv3.schemas.memory import headed

LIMIT: Final = 1_200
"""Characters of a chunk: about 300 tokens, more than which small embedders do not look at."""
_HEAD: Final = 4
"""The headings take at most this part of a chunk: 1/4."""
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+")
_BREAKS: Final = (re.compile(r"\n\s*\n"), re.compile(r"\n"), _SENTENCE, re.compile(r"\s+"))
_JOINTS: Final = ("\n\n", "\n", " ", " ")


def chunks(sections: Iterable[Section], limit: int = LIMIT) -> list[str]:
    """The chunks of a document, in order; each at most ``limit`` characters, with its headings.

    A section that fits is one chunk; a longer one is cut between paragraphs, else lines, else sentences, else words.
    """
    return list(_chunks(sections, limit))


def _chunks(sections: Iterable[Section], limit: int) -> Iterator[str]:
    for section in sections:
        headings = _shortened(section.headings, limit // _HEAD)
        room = limit - len(headed(headings, ""))
        for text in _cut(section.text, room, 0):
            yield headed(headings, text)


def _shortened(headings: tuple[str, ...], room: int) -> tuple[str, ...]:
    """The nearest headings say most: those above go first; a single one is cut."""
    kept = list(headings)
    while len(kept) > 1 and len(headed(kept, "")) > room:
        kept.pop(0)
    return tuple(one[:room] for one in kept)


def _cut(text: str, room: int, coarse: int) -> Iterator[str]:
    """Parts of at most ``room``, as large as may be, cut at breaks no finer than need be."""
    text = text.strip("\n").rstrip()
    if len(text) <= room:
        if text.strip():
            yield text
        return
    if coarse == len(_BREAKS):
        yield text[:room]
        yield from _cut(text[room:], room, coarse)
        return
    joint, held = _JOINTS[coarse], ""
    for part in _BREAKS[coarse].split(text):
        if len(held) + len(joint) + len(part) <= room:
            held = f"{held}{joint}{part}" if held else part
            continue
        yield from _cut(held, room, coarse)
        held = ""
        if len(part) <= room:
            held = part
        else:
            yield from _cut(part, room, coarse + 1)
    yield from _cut(held, room, coarse)
