"""Turns: who said them, in which order, and how many stay word for word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiosv3.agents.remembering import Turn, Window
from aiosv3.agents.remembering.turns import as_told, by_place, is_full, kept, tokens_in
from aiosv3.schemas.records import Role


def turn(position: int, text: str = "hello", place: int | None = 0, speaker: str = "user") -> Turn:
    return Turn(speaker, text, "call-7", position, place=place)


@pytest.mark.parametrize(
    ("speaker", "role", "content"),
    [
        ("user", Role.USER, "hello"),
        ("Ada", Role.USER, "Ada: hello"),
        ("assistant", Role.ASSISTANT, "hello"),
    ],
)
def test_a_turn_as_a_message(speaker: str, role: Role, content: str) -> None:
    message = turn(0, speaker=speaker).message
    assert (message.role, message.content) == (role, content)


def test_the_order_of_the_log_and_the_order_in_which_it_was_said() -> None:
    late, early, new = turn(1, place=9), turn(2, place=4), turn(3, place=None)
    assert by_place([new, late, early]) == [early, late, new]
    assert as_told([new, early, late]) == [late, early, new]


@given(st.lists(st.integers(1, 4_000), min_size=1, max_size=30), st.integers(1, 12), st.integers(1, 2_000))
def test_half_a_window_stays_and_at_least_one_turn(lengths: list[int], most: int, tokens: int) -> None:
    turns = [turn(number, "x" * length) for number, length in enumerate(lengths)]
    window = Window(most, tokens)
    count = kept(turns, window)
    assert 1 <= count <= max(most // 2, 1)
    assert count == 1 or tokens_in(turns[-count:]) <= tokens // 2
    if count > 1:
        assert not is_full(turns[-count:], window)


@pytest.mark.parametrize("wrong", [{"turns": 0}, {"tokens": 0}, {"summary_tokens": 0}])
def test_a_window_has_room(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least one turn"):
        Window(**wrong)
