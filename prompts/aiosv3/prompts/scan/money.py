"""Payment cards and bank accounts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from aiosv3.prompts.scan.checksums import luhn, mod97

# A digit, then 12 to 18 more with at most one separator before each: no two ways to match, so linear. The look back
# stands behind the first letter, so that the engine can jump from one that may begin a match to the next.
_CARD: Final = re.compile(r"[2-6](?<![\w.+-].)\d{3}(?:[ -]?\d){9,15}(?![\w-]|\.\d)")
_IBAN: Final = re.compile(r"[A-Za-z](?<!\w.)[A-Za-z]\d{2}(?: ?[A-Za-z0-9]){11,30}(?!\w)")
_SEPARATORS: Final = re.compile(r"[ -]")
_LENGTHS: Final = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
    "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24,
    "XK": 20,
}  # fmt: skip
"""Characters of an IBAN by country (SWIFT's IBAN registry)."""


def cards(text: str) -> Iterator[tuple[int, int]]:
    """Numbers of 13 to 19 digits that a card scheme may have issued and whose Luhn digit is right."""
    for match in _CARD.finditer(text):
        digits = _SEPARATORS.sub("", match[0])
        if len(set(digits)) > 1 and luhn(digits):
            yield match.span()


def ibans(text: str) -> Iterator[tuple[int, int]]:
    """Accounts of a known country, of its length, with the right check digits; words that follow are left out."""
    for match in _IBAN.finditer(text):
        length = _LENGTHS.get(match[0][:2].upper())
        end = None if length is None else _end_of(match[0], length)
        if end is not None and mod97(match[0][:end].replace(" ", "").upper()):
            yield match.start(), match.start() + end


def _end_of(text: str, length: int) -> int | None:
    """Where ``length`` characters that are no blanks end, at the end of a word; None where they do not."""
    seen = 0
    for place, letter in enumerate(text):
        seen += letter != " "
        if seen == length:
            return place + 1 if place + 1 == len(text) or text[place + 1] == " " else None
    return None
