"""How people are reached and numbered: found, and ordinary numbers are not."""

from __future__ import annotations

import pytest

from aiosv3.prompts.scan.people import emails, identities, phones

FINDERS = {"email": emails, "phone": phones, "national-id": identities}
FOUND = [
    ("email", "write to ana.m+x@mail.example.co.uk.", "ana.m+x@mail.example.co.uk"),
    ("phone", "call +49 30 1234567", "+49 30 1234567"),
    ("phone", "or 0041 44 668 18 00", "0041 44 668 18 00"),
    ("phone", "or (212) 555-1234", "(212) 555-1234"),
    ("national-id", "SSN 123-45-6789", "123-45-6789"),
    ("national-id", "DNI 12345678Z", "12345678Z"),
    ("national-id", "PESEL: 44051401359", "44051401359"),
    ("national-id", "Steuer-ID 86 095 742 719", "86 095 742 719"),
    ("national-id", "her BSN is 111222333", "111222333"),
    ("national-id", "Aadhaar 2341 2341 2346", "2341 2341 2346"),
    ("national-id", "RSSMRA85T10A562S", "RSSMRA85T10A562S"),
    ("national-id", "personnummer 811218-9876", "811218-9876"),
    ("national-id", "CPF 529.982.247-25", "529.982.247-25"),
    ("national-id", "2 55 08 14 168 025 38", "2 55 08 14 168 025 38"),
    ("national-id", "NI number AB 12 34 56 C", "AB 12 34 56 C"),
]
NOTHING = [
    "ana at example.com, @ana, a@b",
    "666-12-3456 000-12-3456 123-00-4567",
    "12345678A",
    "86 095 742 719",
    "111222333",
    "2026-11-30T07:00:00+01:00",
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
