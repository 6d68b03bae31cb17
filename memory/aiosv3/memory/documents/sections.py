"""A document as all formats come to it: stretches of text, each under its headings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias


class Section(NamedTuple):
    """Text under one heading, up to the next one. ``headings``: from the document's title down; paragraphs are
    separated by empty lines.
    """

    headings: tuple[str, ...]
    text: str


Piece: TypeAlias = tuple[int, str]
"""A heading with its level, 1 and up; or, level 0, a text."""


def sections(pieces: Iterable[Piece]) -> Iterator[Section]:
    """Pieces in their order as sections. A heading ends those of its level and below; empty sections are left out."""
    path: list[Piece] = []
    texts: list[str] = []
    for level, words in pieces:
        if level == 0:
            texts.append(words)
            continue
        yield from _section(path, texts)
        texts = []
        path = [one for one in path if one[0] < level]
        if words.strip():
            path.append((level, " ".join(words.split())))
    yield from _section(path, texts)


def _section(path: list[Piece], texts: list[str]) -> Iterator[Section]:
    text = "\n\n".join(stripped for one in texts if (stripped := one.strip("\n").rstrip()).strip())
    if text:
        yield Section(tuple(words for _, words in path), text)
