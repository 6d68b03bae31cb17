"""How people are reached, and the numbers that states give them.

Where a number has one check digit only, one in ten or eleven of any numbers would pass: such a number counts where a
word near it says what it is, or where its own shape (a date, letters, separators) does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from aiosv3.prompts.scan.checksums import cpf, dni, fiscale, luhn, mod11_10, nir, verhoeff, weighted

_EMAIL: Final = re.compile(
    r"[\w%+-](?<![\w.%+-].)[\w%+-]{0,63}(?:\.[\w%+-]{1,64}){0,4}@(?:[A-Za-z0-9-]{1,63}\.){1,6}[A-Za-z]{2,24}(?![\w-])"
)
_PHONE: Final = re.compile(
    r"(?:\+(?<![\w.+/-].)|0(?<![\w.+/-].)(?<!\d .)0)[1-9]\d{0,2}(?:[ ./-]?\(?\d{1,5}\)?){2,7}(?![\w-]|\.\d)"
    r"|\((?<![\w.+/-].)[2-9]\d{2}\) ?\d{3}[ .-]\d{4}(?![\w-]|\.\d)"
    r"|[2-9](?<![\w.+/-].)\d{2}[.-][2-9]\d{2}[.-]\d{4}(?![\w-]|\.\d)"
)
_DIGITS: Final = re.compile(r"\d")
_NEAR: Final = 48
"""Characters before a number in which a word may say what it is."""


_UNUSED: Final = frozenset({"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"})
"""Prefixes that no United Kingdom national insurance number has."""


class _Identity(NamedTuple):
    pattern: re.Pattern[str]
    holds: Callable[[str], bool]
    words: re.Pattern[str] | None = None


def _words(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{text})(?!\w)", re.IGNORECASE)


def _issued(number: str) -> bool:
    """A United States number of a block that may have been issued: there is no check digit."""
    return number[:3] not in {"000", "666"} and number[3:5] != "00" and number[5:] != "0000"


def _pesel(digits: str) -> bool:
    month, day = int(digits[2:4]) % 20, int(digits[4:6])
    return 1 <= month <= 12 and 1 <= day <= 31 and weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), 10)


def _personnummer(digits: str) -> bool:
    month, day = int(digits[2:4]), int(digits[4:6])
    return 1 <= month <= 12 and (1 <= day <= 31 or 61 <= day <= 91) and luhn(digits)


_IDENTITIES: Final = (
    # United States: three groups.
    _Identity(re.compile(r"[0-8](?<![\w-].)\d{2}-\d{2}-\d{4}(?![\w-])"), _issued),
    # Spain, Italy, France, Brazil, Poland, Sweden: the shape says enough.
    _Identity(re.compile(r"[\dXYZ](?<![\w-].)\d{7}-?[A-Z](?![\w-])"), dni),
    _Identity(re.compile(r"[A-Z](?<!\w.)[A-Z]{5}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z](?!\w)"), fiscale),
    _Identity(
        re.compile(r"[12](?<![\w-].) ?\d{2} ?(?:0[1-9]|1[0-2]) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}(?![\w-])"), nir
    ),
    _Identity(re.compile(r"\d(?<![\w-].)\d{2}\.\d{3}\.\d{3}-\d{2}(?![\w-])"), cpf),
    _Identity(re.compile(r"\d(?<![\w-].)\d{5}[-+]\d{4}(?![\w-])"), _personnummer),
    _Identity(re.compile(r"\d(?<![\w-].)\d{10}(?![\w-])"), _pesel, _words("pesel")),
    # United Kingdom: no check digit, letters that are never used.
    _Identity(
        re.compile(r"[A-CEGHJ-PR-TW-Z](?<!\w.)[A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D](?!\w)"),
        lambda number: number[:2] not in _UNUSED,
    ),
    # Germany, the Netherlands, India: only where a word says so.
    _Identity(
        re.compile(r"[1-9](?<![\w-].)\d ?\d{3} ?\d{3} ?\d{3}(?![\w-])"),
        mod11_10,
        _words(r"steuer-?id\w*|identifikationsnummer|idnr\.?|tax (?:id|number)|tin"),
    ),
    _Identity(
        re.compile(r"\d(?<![\w-].)\d{3}[ .]?\d{2}[ .]?\d{3}(?![\w-])"),
        lambda digits: weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1), 11),
        _words("bsn|burgerservicenummer|sofi-?nummer"),
    ),
    _Identity(
        re.compile(r"[2-9](?<![\w-].)\d{3} ?\d{4} ?\d{4}(?![\w-])"), verhoeff, _words("aadhaar|aadhar|uidai|uid")
    ),
)
_SEPARATORS: Final = re.compile(r"[ .+-]")
_FEWEST_DIGITS: Final = 6


def emails(text: str) -> Iterator[tuple[int, int]]:
    """Addresses with a domain that has a dot."""
    if "@" in text:
        yield from (match.span() for match in _EMAIL.finditer(text))


def phones(text: str) -> Iterator[tuple[int, int]]:
    """International numbers (E.164, 8 to 15 digits), and North American ones with separators."""
    for match in _PHONE.finditer(text):
        international = match[0].startswith(("+", "00"))
        if not international or 8 <= len(_DIGITS.findall(match[0].removeprefix("00"))) <= 15:
            yield match.span()


def identities(text: str) -> Iterator[tuple[int, int]]:
    """Personal numbers of eleven countries. A text with few digits is not searched: none of them is that short."""
    if sum(map(text.count, "0123456789")) < _FEWEST_DIGITS:
        return
    for identity in _IDENTITIES:
        for match in identity.pattern.finditer(text):
            near = text[max(0, match.start() - _NEAR) : match.start()]
            if identity.words is not None and identity.words.search(near) is None:
                continue
            if identity.holds(_SEPARATORS.sub("", match[0])):
                yield match.span()
