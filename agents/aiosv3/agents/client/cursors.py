"""Where a watcher stands in each log that it reads: the text form goes to browsers and back."""

from __future__ import annotations

from collections.abc import Mapping

from aiosv3.schemas.errors import AiosError

Positions = dict[tuple[str, int], int]
"""(source, partition) -> next offset. Sources are named by one letter: see :mod:`aiosv3.agents.client.watch`."""


class BadCursor(AiosError, ValueError):
    """Text that is no cursor of an event."""


def cursor_text(positions: Mapping[tuple[str, int], int]) -> str:
    """Such as ``a0-17.d3-9.j2-40``."""
    return ".".join(f"{source}{partition}-{offset}" for (source, partition), offset in sorted(positions.items()))


def cursor_positions(text: str) -> Positions:
    """Raises :class:`BadCursor`."""
    found: Positions = {}
    for part in text.split(".") if text else []:
        partition, dash, offset = part[1:].partition("-")
        if not (part[:1].isalpha() and dash and _number(partition) and _number(offset)):
            raise BadCursor(f"{text[:80]!r} is no cursor: use the one of an event as it is")
        found[part[0], int(partition)] = int(offset)
    return found


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 19
