"""Server-sent events, incrementally: WHATWG HTML, section 9.2.6 "Interpreting an event stream"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
_BOM: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """``event``: its type, ``message`` where the server names none. ``data``: its lines joined by LF."""

    event: str
    data: str


class EventParser:
    """Bytes in, whole events out; the split of the bytes makes no difference. ``id`` and ``retry`` are not kept.

    As the standard says, an event without its closing blank line is never given out: a stream that was cut inside an
    event ends before it. Time is linear in the bytes, memory is the longest event.
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._after_cr = False
        self._first_line = True
        self._event = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """The events that this chunk completes."""
        found = (self._line(line) for line in self._lines(chunk))
        return [event for event in found if event is not None]

    def _lines(self, chunk: bytes) -> list[bytes]:
        if not chunk:
            return []
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        self._after_cr = chunk.endswith(b"\r")
        *lines, rest = _LINE_END.split(chunk)
        if lines:
            lines[0] = b"".join((*self._rest, lines[0]))
            self._rest = []
        self._rest.append(rest)
        return lines

    def _line(self, raw: bytes) -> ServerEvent | None:
        line = raw.decode("utf-8", "replace")
        if self._first_line:
            line = line.removeprefix(_BOM)
            self._first_line = False
        if not line:
            return self._dispatch()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._event = value
        return None

    def _dispatch(self) -> ServerEvent | None:
        event = ServerEvent(self._event or "message", "\n".join(self._data)) if self._data else None
        self._event = ""
        self._data = []
        return event
