"""Lines out of a stream of a stranger's bytes, at most so long, without keeping what is longer."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_HEAD: Final = 512
_ID: Final = re.compile(
    rb'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(?P<id>[0-9]{1,15})\s*[,}]',
)
"""The id where it stands at the very beginning of a message, as servers write it."""


class Line(NamedTuple):
    """A whole line. ``cut``: it was too long, and this is only its beginning."""

    raw: bytes
    cut: bool = False

    @property
    def answers(self) -> int | None:
        """The number of the request that this message says it answers, if its beginning says so."""
        match = _ID.match(self.raw[:_HEAD])
        return int(match["id"]) if match is not None else None


class LineCutter:
    """Feed it chunks. A line over ``limit`` bytes comes out once, cut, as soon as it is too long; its rest is dropped.

    ``dropped``: bytes dropped since a whole line came.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()
        self._skipping = False
        self.dropped = 0

    def feed(self, chunk: bytes) -> list[Line]:
        """The lines that end in this chunk, or become too long in it."""
        lines: list[Line] = []
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._add(chunk[start:end], lines)
            self._end(lines)
            start = end + 1
        self._add(chunk[start:], lines)
        return lines

    def _add(self, part: bytes, lines: list[Line]) -> None:
        if self._skipping:
            self.dropped += len(part)
            return
        self._held += part
        if len(self._held) > self._limit:
            lines.append(Line(bytes(self._held[:_HEAD]), cut=True))
            self.dropped += len(self._held)
            self._held.clear()
            self._skipping = True

    def _end(self, lines: list[Line]) -> None:
        if self._skipping:
            self._skipping = False
            return
        self.dropped = 0
        if self._held.strip():
            lines.append(Line(bytes(self._held)))
        self._held.clear()
