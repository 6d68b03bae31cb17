"""The answer that is held back: the licence that a distribution declares in its metadata."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Final, Literal

from aiosv3.app.demo.families import Licence, families

Source = Literal["License-Expression", "Classifier", "License", "nothing"]


@dataclass(frozen=True, slots=True)
class Declared:
    """What is declared and where. ``families``: the ways to be right; empty when nothing in the closed set is named."""

    text: str
    source: Source
    families: frozenset[Licence]


_BSD: Final[frozenset[Licence]] = frozenset({"BSD-2-Clause", "BSD-3-Clause"})
_GPL: Final[frozenset[Licence]] = frozenset({"GPL-2", "GPL-3"})

_SPDX: Final[dict[str, Licence]] = {
    "0bsd": "0BSD",
    "agpl-3.0": "AGPL-3",
    "apache-2.0": "Apache-2.0",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "bsl-1.0": "BSL-1.0",
    "cc0-1.0": "CC0-1.0",
    "epl-2.0": "EPL-2.0",
    "gpl-2.0": "GPL-2",
    "gpl-3.0": "GPL-3",
    "hpnd": "HPND",
    "isc": "ISC",
    "lgpl-2.0": "LGPL",
    "lgpl-2.1": "LGPL",
    "lgpl-3.0": "LGPL",
    "mit": "MIT",
    "mit-0": "MIT-0",
    "mpl-2.0": "MPL-2.0",
    "openssl": "OpenSSL",
    "psf-2.0": "PSF-2.0",
    "python-2.0": "PSF-2.0",
    "unlicense": "Unlicense",
    "zlib": "Zlib",
}
_SUFFIX: Final = re.compile(r"(?:-only|-or-later|\+)$")
_EXCEPTION: Final = re.compile(r"\bwith\s+[\w.-]+", re.IGNORECASE)
_IDENTIFIER: Final = re.compile(r"[\w.+-]+")

# Words of classifiers and of the free License field; the first that fits decides, so the narrow ones come first.
_WORDS: Final[tuple[tuple[str, frozenset[Licence]], ...]] = (
    (r"affero|\bagpl", frozenset({"AGPL-3"})),
    (r"lesser|library|\blgpl", frozenset({"LGPL"})),
    (r"(?:general public|\bgpl).*(?:v|version )?\s?2", frozenset({"GPL-2"})),
    (r"(?:general public|\bgpl).*(?:v|version )?\s?3", frozenset({"GPL-3"})),
    (r"general public|\bgpl", _GPL),
    (r"mozilla.*2|\bmpl.*2", frozenset({"MPL-2.0"})),
    (r"apache|\basl\b", frozenset({"Apache-2.0"})),
    (r"zero-clause|\b0bsd", frozenset({"0BSD"})),
    (r"bsd.*3|3.*bsd|new bsd|modified bsd", frozenset({"BSD-3-Clause"})),
    (r"bsd.*2|2.*bsd|simplified bsd", frozenset({"BSD-2-Clause"})),
    (r"\bbsd", _BSD),
    (r"mit-0|mit no attribution", frozenset({"MIT-0"})),
    (r"\bmit\b|\bexpat\b", frozenset({"MIT"})),
    (r"\bisc\b|\biscl\b", frozenset({"ISC"})),
    (r"python software foundation|\bpsf", frozenset({"PSF-2.0"})),
    (r"zlib", frozenset({"Zlib"})),
    (r"unlicense", frozenset({"Unlicense"})),
    (r"historical permission|\bhpnd", frozenset({"HPND"})),
    (r"\bcc0", frozenset({"CC0-1.0"})),
    (r"boost|\bbsl-1", frozenset({"BSL-1.0"})),
    (r"eclipse.*2|\bepl.*2", frozenset({"EPL-2.0"})),
    (r"openssl", frozenset({"OpenSSL"})),
)
_A_TEXT: Final = 200


def declared(distribution: metadata.Distribution) -> Declared:
    """License-Expression first, then the trove classifiers, then the old License field."""
    head: Any = distribution.metadata
    expression = (head.get("License-Expression") or "").strip()
    if expression:
        return Declared(expression, "License-Expression", of_expression(expression))
    classifiers = [
        line.rpartition("::")[2].strip()
        for line in head.get_all("Classifier") or []
        if line.startswith("License ::") and line.count("::") > 1
    ]
    named = of_words(classifiers)
    if named:
        return Declared(" / ".join(classifiers), "Classifier", named)
    field = (head.get("License") or "").strip()
    if field and field.upper() != "UNKNOWN":
        return Declared(_short(field), "License", of_field(field))
    return Declared(" / ".join(classifiers), "Classifier" if classifiers else "nothing", frozenset())


def of_expression(expression: str) -> frozenset[Licence]:
    """The families of an SPDX expression, joined by whichever operators: each is one that the text may show."""
    identifiers = _IDENTIFIER.findall(_EXCEPTION.sub("", expression))
    found = (_SPDX.get(_SUFFIX.sub("", identifier.lower())) for identifier in identifiers)
    return frozenset(licence for licence in found if licence is not None)


def of_words(words: Iterable[str]) -> frozenset[Licence]:
    """The families that names in free words stand for."""
    return frozenset(licence for name in words for licence in _named(name))


def of_field(field: str) -> frozenset[Licence]:
    """The families of a License field: an expression, a name, or the whole licence."""
    if len(field) > _A_TEXT:
        return frozenset(families(field)) or of_words([field[:_A_TEXT]])
    return of_expression(field) or of_words([field])


def _named(name: str) -> frozenset[Licence]:
    lowered = name.lower()
    return next((found for words, found in _WORDS if re.search(words, lowered)), frozenset())


def _short(field: str) -> str:
    line = " ".join(field.split())
    return line if len(line) <= 60 else f"{line[:60]}…"
