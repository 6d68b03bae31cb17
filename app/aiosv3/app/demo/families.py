"""Licence families, and the phrases by which their texts are known.

A phrase is distinctive: it stands in texts of its family and, as far as the tests have seen, in no other. What names no
family this way, or several, is not for a rule to decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

Licence: TypeAlias = Literal[
    "0BSD",
    "AGPL-3",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "EPL-2.0",
    "GPL-2",
    "GPL-3",
    "HPND",
    "ISC",
    "LGPL",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "OpenSSL",
    "PSF-2.0",
    "Unlicense",
    "Zlib",
    "unknown",
]
"""The closed set of answers: families by their SPDX names, and ``unknown``."""

LICENCES: Final[tuple[Licence, ...]] = get_args(Licence)
UNKNOWN: Final = "unknown"

_QUOTES: Final = re.compile("[\"'`\u201c\u201d\u201e\u2018\u2019]+")
_NOISE: Final = re.compile(r"(?:[\s#*>|_~=;{}\\]|(?<!\w)(?://+|-{2,}|\.\.)(?!\w)|<[a-z/]{1,4}>)+")


class Sighting(NamedTuple):
    """A phrase of ``licence`` at ``start`` of the normalised text."""

    licence: Licence
    start: int


def normalise(text: str) -> str:
    """Lower case, one space between words, without quotes, comment marks and rulers: how texts are compared."""
    return _NOISE.sub(" ", _QUOTES.sub("", text.lower())).strip()


_PHRASES: Final[tuple[tuple[Licence, str], ...]] = (
    (
        "ISC",
        (
            r"permission to use, copy, modify,? (?:and/or|and|or) distribute this software for any purpose with"
            r" or without fee is hereby granted, provided that"
        ),
    ),
    (
        "0BSD",
        (
            r"permission to use, copy, modify,? (?:and/or|and|or) distribute this software for any purpose with"
            r" or without fee is hereby granted\."
        ),
    ),
    (
        "HPND",
        (
            r"permission to use, copy,(?: and)? modify,?[a-z, ]{0,30}distribute[a-z, ]{0,12} this software and its"
            r" documentation for any purpose[a-z, ]{0,30} is hereby granted(?: without fee)?, provided that"
        ),
    ),
    ("Apache-2.0", r"apache license,? version 2\.0, january 2004"),
    ("Apache-2.0", r"licensed under the apache license, version 2\.0"),
    ("MPL-2.0", r"mozilla public license,? version 2\.0 1\. definitions"),
    ("MPL-2.0", r"this source code form is subject to the terms of the mozilla public license, v\. 2\.0"),
    ("LGPL", r"gnu (?:lesser|library) general public license version (?:2,|2\.0|2\.1|3)"),
    ("LGPL", r"under the terms of the gnu (?:lesser|library) general public license"),
    ("AGPL-3", r"gnu affero general public license version 3"),
    ("GPL-2", r"gnu general public license version 2, june 1991"),
    ("GPL-3", r"gnu general public license version 3, 29 june 2007"),
    ("PSF-2.0", r"python software foundation license version 2"),
    ("PSF-2.0", r"this license agreement is between the python software foundation"),
    (
        "Zlib",
        (
            r"this software is provided as-is, without any express or implied warranty\. in no event will the"
            r" authors be held liable"
        ),
    ),
    ("Unlicense", r"this is free and unencumbered software released into the public domain"),
    ("CC0-1.0", r"cc0 1\.0 universal"),
    ("BSL-1.0", r"boost software license - version 1\.0"),
    ("EPL-2.0", r"eclipse public license -? ?v(?:ersion)? 2\.0"),
    (
        "OpenSSL",
        r"this product includes (?:cryptographic )?software (?:developed by the openssl project|written by eric young)",
    ),
)
_COMPILED: Final = tuple((licence, re.compile(phrase)) for licence, phrase in _PHRASES)

_MIT: Final = re.compile(r"permission is hereby granted, free of charge, to any person obtaining a copy")
_MIT_CONDITION: Final = re.compile(r"(?:above|this) copyright notice|permission notice|this notice")
_BSD: Final = re.compile(r"redistributions? of source code must retain the (?:above )?copyright notice")
_BSD_BINARY: Final = re.compile(r"redistributions? in binary form must reproduce the (?:above )?copyright notice")
_BSD_NAMES: Final = re.compile(r"neither the names? of|may not be used to endorse or promote products")
_DISCLAIMER: Final = re.compile(r"software is provided|are provided (?:by|as)")
_BLOCK: Final = 1_800
"""Grant and conditions take about 900 characters; names in them can be long."""

_PSF_STACK: Final = "beopen.com license agreement for python 2.0"
_PSF_COVERS: Final = frozenset({"HPND", "0BSD"})
"""Python's own licence file holds these two, for its oldest code and for its documentation's examples."""

_HINTS: Final[dict[Licence, str]] = {
    "0BSD": r"\b0bsd\b|zero-clause bsd|permission to use, copy",
    "AGPL-3": r"affero|\bagpl",
    "Apache-2.0": r"\bapache",
    "BSD-2-Clause": r"bsd|redistributions? ",
    "BSD-3-Clause": r"bsd|redistributions? |neither the name|endorse or promote",
    "BSL-1.0": r"boost software",
    "CC0-1.0": r"\bcc0\b|creative commons zero",
    "EPL-2.0": r"eclipse public",
    "GPL-2": r"(?<!lesser )(?<!library )general public license|\bgpl",
    "GPL-3": r"(?<!lesser )(?<!library )general public license|\bgpl",
    "HPND": r"permission to use, copy|historical permission",
    "ISC": r"\bisc\b|permission to use, copy",
    "LGPL": r"(?:lesser|library) general public|\blgpl",
    "MIT": r"\bmit\b|permission is hereby granted, free of charge",
    "MIT-0": r"\bmit\b|permission is hereby granted, free of charge",
    "MPL-2.0": r"mozilla public|\bmpl",
    "OpenSSL": r"openssl|eric young",
    "PSF-2.0": r"python software foundation|\bpsf\b",
    "Unlicense": r"unlicense|unencumbered|public domain",
    "Zlib": r"\bzlib\b|provided as-is",
}


def sightings(text: str) -> list[Sighting]:
    """Every phrase in ``text``, which is normalised already, from the top down."""
    seen = [Sighting(licence, match.start()) for licence, phrase in _COMPILED for match in phrase.finditer(text)]
    if _PSF_STACK in text:
        seen = [one for one in seen if one.licence not in _PSF_COVERS]
    return sorted([*seen, *_mit(text), *_bsd(text)], key=lambda one: one.start)


def families(text: str) -> tuple[Licence, ...]:
    """The families whose phrases stand in ``text`` (as it came, not normalised), in the order of the text."""
    return tuple(dict.fromkeys(one.licence for one in sightings(normalise(text))))


def names(licence: Licence, quote: str) -> bool:
    """Whether a quoted line can be said to show ``licence``: it names it or is the beginning of its terms."""
    hint = _HINTS.get(licence)
    return hint is not None and re.search(hint, normalise(quote)) is not None


def _mit(text: str) -> Iterator[Sighting]:
    """MIT-0 is MIT without its one condition, that the notice is kept."""
    for match in _MIT.finditer(text):
        kept = _MIT_CONDITION.search(_block(text, match, _MIT))
        yield Sighting("MIT" if kept else "MIT-0", match.start())


def _bsd(text: str) -> Iterator[Sighting]:
    """Both families share two clauses; the third, about names, makes the difference."""
    for match in _BSD.finditer(text):
        clauses = _block(text, match, _BSD)
        if _BSD_BINARY.search(clauses):
            yield Sighting("BSD-3-Clause" if _BSD_NAMES.search(clauses) else "BSD-2-Clause", match.start())


def _block(text: str, begin: re.Match[str], pattern: re.Pattern[str]) -> str:
    """What follows a match up to its disclaimer, or to the next licence of its kind."""
    block = text[begin.end() : begin.end() + _BLOCK]
    ends = [found.start() for found in (pattern.search(block), _DISCLAIMER.search(block)) if found]
    return block[: min(ends)] if ends else block
