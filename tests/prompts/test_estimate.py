"""What a sender tells the router about a prompt: tokens and complexity."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import aiosv3.prompts
from aiosv3.prompts import estimate_complexity, estimate_tokens
from aiosv3.schemas.records import Message, Prompt, Role

LIMIT = 20_000


def prompt(*texts: str, schema: str | None = None) -> Prompt:
    return Prompt(tuple(Message(Role.USER, text) for text in texts), schema, 100)


def test_exported_names() -> None:
    assert aiosv3.prompts.__all__ == sorted(["estimate_complexity", "estimate_tokens"])


@pytest.mark.parametrize(
    ("given_prompt", "tokens"),
    [
        (prompt(), 0),
        (prompt(""), 4),
        (prompt("x" * 36), 14),
        (prompt("x" * 18, "x" * 18), 18),
        (prompt("x" * 36, schema="s" * 36), 24),
    ],
)
def test_tokens_come_from_characters_messages_and_schema(given_prompt: Prompt, tokens: int) -> None:
    assert estimate_tokens(given_prompt) == tokens


@given(st.lists(st.text(max_size=200), max_size=4), st.text(min_size=4, max_size=200))
def test_more_text_is_never_fewer_tokens(texts: list[str], more: str) -> None:
    assert estimate_tokens(prompt(*texts, more)) > estimate_tokens(prompt(*texts))


@given(st.lists(st.text(max_size=300), max_size=4))
def test_complexity_lies_between_trivial_and_hard(texts: list[str]) -> None:
    assert 0.1 <= estimate_complexity(prompt(*texts)) <= 1.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0.1),
        ("say hello", 0.1),
        ("prove it", 0.183),
        ("PROVE it, then compare the trade-offs", 0.35),
        ("analyse analyze diagnose derive optimise plan refactor", 0.601),
        ("```python\ndef f(): pass\n```", 0.35),
        ("improvements are planned", 0.1),
        ("x" * LIMIT, 0.5),
        ("x" * (5 * LIMIT), 0.5),
        ("plan " * LIMIT, 1.0),
    ],
)
def test_hard_words_and_length_make_a_prompt_complex(text: str, expected: float) -> None:
    assert estimate_complexity(prompt(text)) == pytest.approx(expected, abs=0.002)


def test_only_the_beginning_is_looked_at() -> None:
    """The estimate runs on the event loop: a book in a prompt must not hold it up."""
    assert estimate_complexity(prompt("x" * LIMIT + " prove prove prove")) == 0.5


def test_tools_and_their_calls_are_read_by_the_model_too() -> None:
    plain = Prompt((Message(Role.ASSISTANT, "x"),), None, 100)
    called = Prompt((Message(Role.ASSISTANT, "x", tool_calls="y" * 360),), None, 100)
    offered = Prompt((Message(Role.ASSISTANT, "x"),), None, 100, tools="z" * 360)
    assert estimate_tokens(called) == estimate_tokens(offered) == estimate_tokens(plain) + 100
