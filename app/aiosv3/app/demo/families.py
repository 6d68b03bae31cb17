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

_QUOTES: Final = re.compile("[\"'`“”„‘’]+")
_NOISE: Final = re.compile(r"(?:[\s#*>|_~=;{}\\]|(?<!\w)(?://+|-{2,}|\.\.)(?!\w)|<[a-z/]{1,4}>)+")
_SOFTWARE: Final = r"(?:this|the) software(?: and its documentation)?"


class Sighting(NamedTuple):
    """A phrase of ``licence`` at ``start``..``end`` of the normalised text."""

    licence: Licence
    start: int
    end: int


def normalise(text: str) -> str:
    """Lower case, one space between words, without quotes, comment marks and rulers: how phrases are compared."""
    return _NOISE.sub(" ", _QUOTES.sub("", text.lower())).strip()


_PHRASES: Final[tuple[tuple[Licence, str], ...]] = (
    (
        "MIT",
        r"permission is hereby granted, free of charge, to any person obtaining a copy of"
        r" this software and (?:associated documentation files|to permit)",
    ),
    (
        "MIT",
        r"the above copyright notice and this permission notice(?: \(including the next paragraph\))? shall be"
        r" included in (?:all copies or substantial portions|(?:all|any) copies)",
    ),
    (
        "ISC",
        r"permission to use, copy, modify,? (?:and/or|and|or) distribute this software for any purpose with or"
        r" without fee is hereby granted, provided that",
    ),
    (
        "0BSD",
        r"permission to use, copy, modify,? (?:and/or|and|or) distribute this software for any purpose with or"
        r" without fee is hereby granted\. the software is provided",
    ),
    (
        "HPND",
        rf"permission to use, copy, modify,?(?: and)? (?:distribute|sell|distribute,? and sell|and distribute)"
        rf"(?:,? and sell)? {_SOFTWARE} for any purpose (?:and )?(?:without fee )?is hereby granted"
        rf"(?: without fee)?, provided that",
    ),
    ("Apache-2.0", r"apache license,? version 2\.0, january 2004"),
    ("Apache-2.0", r"licensed under the apache license, version 2\.0 \(the license\)"),
    ("MPL-2.0", r"mozilla public license,? version 2\.0 1\. definitions"),
    ("MPL-2.0", r"this source code form is subject to the terms of the mozilla public license, v\. 2\.0"),
    ("LGPL", r"gnu (?:lesser|library) general public license version (?:2,|2\.0|2\.1|3)"),
    ("LGPL", r"under the terms of the gnu (?:lesser|library) general public license"),
    ("AGPL-3", r"gnu affero general public license version 3"),
    ("GPL-2", r"gnu general public license version 2, june 1991"),
    ("GPL-2", r"the gnu general public license \(gpl\) version 2"),
    ("GPL-3", r"gnu general public license version 3, 29 june 2007"),
    ("PSF-2.0", r"python software foundation license version 2"),
    ("PSF-2.0", r"this license agreement is between the python software foundation"),
    (
        "Zlib",
        r"this software is provided as-is, without any express or implied warranty\. in no event will the authors"
        r" be held liable",
    ),
    ("Unlicense", r"this is free and unencumbered software released into the public domain"),
    ("CC0-1.0", r"cc0 1\.0 universal"),
    ("BSL-1.0", r"boost software license - version 1\.0"),
    ("EPL-2.0", r"eclipse public license -? ?v(?:ersion)? 2\.0"),
    (
        "OpenSSL",
        r"all advertising materials mentioning features or use of this software must display the following"
        r" acknowledge?ment: this product includes (?:cryptographic )?software (?:developed|written) by"
        r" (?:the openssl project|eric young)",
    ),
)
_COMPILED: Final = tuple((licence, re.compile(phrase)) for licence, phrase in _PHRASES)

_BSD: Final = re.compile(r"redistributions? of source code must retain the (?:above )?copyright notice")
_BSD_BINARY: Final = re.compile(r"redistributions? in binary form must reproduce the (?:above )?copyright notice")
_BSD_NAMES: Final = re.compile(
    r"(?:neither the names? of|the names? of (?:the )?[^.]{0,120}? may not be used to endorse or promote"
    r"|may not be used to endorse or promote products)"
)
_BSD_ENDS: Final = re.compile(r"this software is provided")
_BSD_SPAN: Final = 1_800
"""The three clauses and the disclaimer's first words take about 900 characters; names in them can be long."""

_PSF_STACK: Final = "beopen.com license agreement for python 2.0"
_PSF_COVERS: Final = frozenset({"HPND", "0BSD"})
"""Python's own licence file holds these two, for its oldest code and for its documentation's examples."""


def sightings(text: str) -> list[Sighting]:
    """Every phrase in ``text``, which is normalised already, from the top down."""
    seen = [
        Sighting(licence, match.start(), match.end())
        for licence, phrase in _COMPILED
        for match in phrase.finditer(text)
    ]
    if _PSF_STACK in text:
        seen = [one for one in seen if one.licence not in _PSF_COVERS]
    return sorted([*seen, *_bsd(text)], key=lambda one: one.start)


def families(text: str) -> frozenset[Licence]:
    """The families whose phrases stand in ``text`` (as it came, not normalised)."""
    return frozenset(one.licence for one in sightings(normalise(text)))


def _bsd(text: str) -> Iterator[Sighting]:
    """Both families share two clauses; the third, about names, makes the difference, so each block is read on its own."""
    for match in _BSD.finditer(text):
        block = text[match.end() : match.end() + _BSD_SPAN]
        following = _BSD.search(block)
        block = block[: following.start()] if following else block
        disclaimer = _BSD_ENDS.search(block)
        clauses = block[: disclaimer.start()] if disclaimer else block
        if not _BSD_BINARY.search(clauses):
            continue
        yield Sighting("BSD-3-Clause" if _BSD_NAMES.search(clauses) else "BSD-2-Clause", match.start(), match.end())
