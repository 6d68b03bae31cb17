"""Cards and accounts: found by form and check digits, and not mistaken."""

from __future__ import annotations

import pytest

from aiosv3.prompts.scan.money import cards, ibans

FINDERS = {"card": cards, "iban": ibans}
FOUND = [
    ("card", "paid with 4111 1111 1111 1111 today", "4111 1111 1111 1111"),
    ("card", "5500-0000-0000-0004", "5500-0000-0000-0004"),
    ("card", "(378282246310005)", "378282246310005"),
    ("iban", "to DE89 3704 0044 0532 0130 00 please", "DE89 3704 0044 0532 0130 00"),
    ("iban", "GB82WEST12345698765432", "GB82WEST12345698765432"),
    ("iban", "no9386011117947", "no9386011117947"),
]
NOTHING = [
    "order 4111 1111 1111 1112",
    "0000 0000 0000 0000",
    "version 2.30.1.2024, build 1234567890123456789012",
    "DE89 3704 0044 0532 0130 02",
    "XX89 3704 0044 0532 0130 00",
    "uuid 123e4567-e89b-12d3-a456-426614174000",
    "10.0.0.1:9092 192.168.100.200",
]


@pytest.mark.parametrize(("kind", "text", "words"), FOUND)
def test_it_is_found(kind: str, text: str, words: str) -> None:
    assert words in [text[start:end] for start, end in FINDERS[kind](text)]


@pytest.mark.parametrize("text", NOTHING)
def test_nothing_is_found(text: str) -> None:
    assert [text[start:end] for find in FINDERS.values() for start, end in find(text)] == []
