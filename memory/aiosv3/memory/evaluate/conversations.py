"""Documents as they are given, and which of them are turns of one conversation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

_PAUSE_MS: Final = 3_600_000
"""A conversation that was silent for so long is another one."""
_SECONDS_END: Final = 100_000_000_000
"""A number below is seconds since the epoch, one above milliseconds (this one: the year 5138, or March 1973)."""
_CLOCK: Final = r"%I:%M %p"
_FORMS: Final = (
    f"{_CLOCK} on %d %B, %Y",
    f"{_CLOCK} on %d %B %Y",
    f"%d %B, %Y {_CLOCK}",
    f"%d %B %Y {_CLOCK}",
    f"%B %d, %Y {_CLOCK}",
    "%B-%d-%Y",
    "%B %d, %Y",
    "%d %B, %Y",
    "%d %B %Y",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
)


def milliseconds(told: object) -> int | None:
    """A time as people write it (a number, ISO 8601, ``1:56 pm on 8 May, 2023``); None where there is none."""
    if isinstance(told, datetime):
        return int((told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp() * 1000)
    if isinstance(told, int | float) and not isinstance(told, bool):
        return int(told * 1000 if abs(told) < _SECONDS_END else told) or None
    if not isinstance(told, str) or not told.strip():
        return None
    text = re.sub(r"\s+", " ", told.strip())
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return milliseconds(float(text))
    try:
        return milliseconds(datetime.fromisoformat(text))
    except ValueError:
        pass
    for form in _FORMS:
        try:
            return milliseconds(datetime.strptime(text, form).replace(tzinfo=UTC))
        except ValueError:
            continue
    return None


@dataclass(frozen=True, slots=True)
class Document:
    """What is searched: a turn of a conversation, or a text of its own. ``time``: milliseconds, None if unknown."""

    id: str
    text: str
    scope: str
    speaker: str = ""
    time: int | None = None

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Document:
        """From the keys ``id``, ``text``, ``scope``, ``speaker`` and ``timestamp``; the last two may be missing."""
        speaker = told.get("speaker")
        return cls(
            id=str(told["id"]),
            text=str(told["text"]),
            scope=str(told.get("scope") or ""),
            speaker=str(speaker).strip() if speaker is not None else "",
            time=milliseconds(told.get("timestamp")),
        )


@dataclass(frozen=True, slots=True)
class Placed:
    """A document and where it is. ``source`` is empty for a text of its own."""

    document: Document
    source: str
    position: int
    version: int


@dataclass(slots=True)
class Placing:
    """Gives documents their place, in the order they come.

    What somebody said is a turn; the turns of a scope are one conversation until there is a pause of an hour.
    """

    _last: dict[str, tuple[str, int, int | None]] = field(default_factory=dict)
    _versions: dict[tuple[str, str], int] = field(default_factory=dict)

    def place(self, document: Document) -> Placed:
        """Where the document is; the next of its scope comes after it."""
        version = self._versions.get((document.scope, document.id), 0) + 1
        self._versions[document.scope, document.id] = version
        if not document.speaker:
            return Placed(document, "", 0, version)
        source, position, time = self._last.get(document.scope, (f"{document.scope}#1", 0, document.time))
        if document.time is not None and time is not None and abs(document.time - time) > _PAUSE_MS:
            number = int(source.rpartition("#")[2]) + 1
            source, position = f"{document.scope}#{number}", 0
        self._last[document.scope] = (source, position + 1, document.time if document.time is not None else time)
        return Placed(document, source, position, version)
