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
