"""Dates that a text names: ``3 May 2023``, ``May 3``, ``in June 2022``, ``2023-05-03``, ``2021``."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

DAY_MS: Final = 86_400_000

_MONTHS: Final = {name.lower(): number for number, name in enumerate(calendar.month_name) if name}
_SHORT: Final = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_NAME: Final = "|".join([*_MONTHS, *_SHORT, "sept"])
_DAY: Final = r"(?P<day{0}>0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?"
_YEAR: Final = r"(?P<year{0}>(?:19|20)\d\d)"
_DATES: Final = re.compile(
    rf"\b{_YEAR.format(1)}-(?P<number1>0?[1-9]|1[0-2])(?:-{_DAY.format(1)})?\b"
    rf"|\b(?:{_DAY.format(2)} (?:of )?)?(?P<name2>{_NAME})\b\.?(?: {_DAY.format(3)}\b(?! ?(?::|am|pm)))?"
    rf"(?:,? (?:of )?{_YEAR.format(2)}\b)?"
    rf"|\b(?:in|since|during|of|by|year|before|after) {_YEAR.format(3)}\b",
    re.IGNORECASE,
)
_WORDS_TOO: Final = {"may", "mar", "march", "sun", "dec", "jan"}
"""Names of months that are other words as well: not a date without a day, a year or a preposition."""
_PREPOSITION: Final = re.compile(
    r"\b(?:in|during|since|of|by|early|late|mid|last|this|next|until|from|to)[ -]$", re.IGNORECASE
)


class Span(NamedTuple):
    """A day, a month or a year; ``year`` None: of any year."""

    year: int | None
    month: int | None
    day: int | None


def dates(text: str) -> list[Span]:
    """The dates that a text names, in order."""
    found = []
    for match in _DATES.finditer(text):
        told = {name: value for name, value in match.groupdict().items() if value}
        year = next((int(value) for name, value in told.items() if name.startswith("year")), None)
        day = next((int(value) for name, value in told.items() if name.startswith("day")), None)
        name = told.get("name2", "").lower()
        if name in _WORDS_TOO and day is None and year is None and not _PREPOSITION.search(text[: match.start()]):
            continue
        month = (
            _MONTHS.get(name) or _SHORT.get(name[:3]) if name else int(told["number1"]) if "number1" in told else None
        )
        found.append(Span(year, month, day))
    return found


def closeness(spans: list[Span], times: NDArray[np.int64]) -> NDArray[np.float64]:
    """1 for a time within one of the spans, falling to a half within three days (a month's or year's end: 15 days)."""
    best = np.zeros(len(times))
    if not len(times):
        return best
    years = range(_year(int(times.min())), _year(int(times.max())) + 1)
    for span in spans:
        half = 3 * DAY_MS if span.day else 15 * DAY_MS
        for year in years if span.year is None else [span.year]:
            bounds = _bounds(year, span)
            if bounds is None:
                continue
            away = np.maximum(np.maximum(bounds[0] - times, times - bounds[1]), 0)
            best = np.maximum(best, np.exp2(-away / half))
    return best


def _year(milliseconds: int) -> int:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).year


def _bounds(year: int, span: Span) -> tuple[int, int] | None:
    first, last = span.month or 1, span.month or 12
    try:
        start = datetime(year, first, span.day or 1, tzinfo=UTC)
        end = datetime(year, last, span.day or calendar.monthrange(year, last)[1], tzinfo=UTC)
    except ValueError:
        return None
    return int(start.timestamp() * 1000), int(end.timestamp() * 1000) + DAY_MS - 1
