"""What is found, what is not, what it costs, and that a scan which fails closes the door."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiosv3.prompts.scan import DETECTORS, Detector, Judging, Verdict, judge, scan
from aiosv3.schemas.headers import Clearance
from aiosv3.schemas.records import Message, Prompt, Role

KEY = "sk-" + "a1B2c3D4e5" * 3
FOUND = [
    ("card", "paid with 4111 1111 1111 1111 today", "4111 1111 1111 1111"),
    ("card", "5500-0000-0000-0004", "5500-0000-0000-0004"),
    ("card", "(378282246310005)", "378282246310005"),
    ("iban", "to DE89 3704 0044 0532 0130 00 please", "DE89 3704 0044 0532 0130 00"),
    ("iban", "GB82WEST12345698765432", "GB82WEST12345698765432"),
    ("iban", "no9386011117947", "no9386011117947"),
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
    ("secret", f"OPENAI_API_KEY={KEY}", KEY),
    ("secret", "id AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    ("secret", 'password: "k9#Lq2!vTz8w"', "k9#Lq2!vTz8w"),
    ("secret", "postgres://app:s3cr3tpw@db/shop", "s3cr3tpw"),
    ("secret", "-----BEGIN RSA PRIVATE KEY-----\nMIIE", "-----BEGIN RSA PRIVATE KEY-----"),
    (
        "secret",
        "Bearer eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2Q",
        "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2Q",
    ),
]
NOTHING = [
    "order 4111 1111 1111 1112",
    "0000 0000 0000 0000",
    "version 2.30.1.2024, build 1234567890123456789012",
    "DE89 3704 0044 0532 0130 02",
    "XX89 3704 0044 0532 0130 00",
    "ana at example.com, @ana, a@b",
    "666-12-3456 000-12-3456 123-00-4567",
    "12345678A",
    "86 095 742 719",
    "111222333",
    "the token is expired; password: required; secret = settings.secret_name",
    "a task-sk-abc and the key idea",
    "2026-11-30T07:00:00+01:00",
    "uuid 123e4567-e89b-12d3-a456-426614174000",
    "10.0.0.1:9092 192.168.100.200",
]


@pytest.mark.parametrize(("kind", "text", "words"), FOUND)
def test_it_is_found(kind: str, text: str, words: str) -> None:
    assert (kind, words) in {(one.kind, text[one.start : one.end]) for one in scan(text)}


@pytest.mark.parametrize("text", NOTHING)
def test_nothing_is_found(text: str) -> None:
    assert [(one.kind, text[one.start : one.end]) for one in scan(text)] == []


def prompt(*texts: str, tools: str | None = None) -> Prompt:
    messages = tuple(Message(Role.USER, text) for text in texts)
    return Prompt(messages=messages, output_schema=None, max_tokens=10, temperature=None, tools=tools)


def test_the_highest_class_counts_wherever_it_stands() -> None:
    assert judge(prompt("hello")).clearance is Clearance.PUBLIC
    assert judge(prompt("hello", "ana@example.com")).clearance is Clearance.INTERNAL
    assert judge(prompt("ana@example.com", "4111 1111 1111 1111")).clearance is Clearance.CONFIDENTIAL
    assert judge(prompt("hello", tools=f'{{"key": "{KEY}"}}')).clearance is Clearance.RESTRICTED


def test_the_kinds_of_the_highest_class_are_named() -> None:
    assert judge(prompt("ana@example.com 4111 1111 1111 1111 SSN 123-45-6789")).kinds == ("card", "national-id")
    assert judge(prompt("hello")).kinds == ()


def test_what_a_model_asked_a_tool_for_is_looked_at() -> None:
    asked = Message(Role.ASSISTANT, "", tool_calls='[{"arguments": "{\\"to\\": \\"ana@example.com\\"}"}]')
    whole = Prompt(messages=(asked,), output_schema=None, max_tokens=10, temperature=None)
    assert judge(whole).clearance is Clearance.INTERNAL


@pytest.mark.parametrize("place", [0, 15_300, 15_360, 16_370, 16_384, 40_000])
def test_a_long_text_is_looked_at_in_pieces_and_nothing_is_missed_between_them(place: int) -> None:
    judging = Judging(prompt("x" * place + " DE89 3704 0044 0532 0130 00 " + "y " * 30_000))
    assert sum(1 for _ in judging) >= 4
    assert judging.verdict == Verdict(Clearance.CONFIDENTIAL, ("iban",))


def test_a_scan_that_fails_means_the_highest_class() -> None:
    def broken(_text: str) -> Iterator[tuple[int, int]]:
        raise RuntimeError("no")

    assert judge(prompt("hello"), [Detector("broken", Clearance.INTERNAL, broken)]) == Verdict(
        Clearance.RESTRICTED, ("failed-scan",)
    )


@given(st.text(max_size=400))
def test_any_text_is_scanned_and_places_are_within_it(text: str) -> None:
    for one in scan(text):
        assert 0 <= one.start < one.end <= len(text)


@pytest.mark.parametrize(
    "piece",
    ["a@", "a.", "1", "4111-", "+1 2", "DE89 ", "sk-", "eyJabcdefgh.", "secret=", "a://b:c", "a@b.", "0041 ", "(212) "],
)
def test_time_grows_with_the_text_and_not_with_its_square(piece: str) -> None:
    def cost(size: int) -> float:
        text = piece * (size // len(piece))
        began = time.process_time()
        for detector in DETECTORS:
            list(detector.find(text))
        return time.process_time() - began

    cost(1_000)
    small = min(cost(20_000) for _ in range(3))
    assert min(cost(160_000) for _ in range(2)) < 32 * max(small, 0.0005)  # 8 times the text; its square would be 64
