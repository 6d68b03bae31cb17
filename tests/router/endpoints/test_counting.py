"""Tokens as providers tell them: what was cached, written, reasoned, left out, and what cannot be true."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiosv3.router.endpoints.counting import AnthropicCounts, Counted, counted_by_openai
from aiosv3.router.endpoints.errors import Spent

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
NAMES = (
    "prompt_tokens",
    "completion_tokens",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "prompt_tokens_details",
    "cache_creation",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
)


def told(usage: dict[str, Any]) -> Spent:
    return counted_by_openai(usage, "", final=True).spent(7, 3)


@pytest.mark.parametrize(
    ("usage", "spent"),
    [
        (
            {  # OpenAI, chat
                "prompt_tokens": 2_600,
                "completion_tokens": 300,
                "total_tokens": 2_900,
                "prompt_tokens_details": {"cached_tokens": 2_000, "cache_write_tokens": 400},
                "completion_tokens_details": {"reasoning_tokens": 200},
            },
            Spent(2_600, 300, 2_000, 400),
        ),
        (
            {  # OpenAI, responses
                "input_tokens": 3_438,
                "output_tokens": 10,
                "total_tokens": 3_448,
                "input_tokens_details": {"cached_tokens": 3_423, "cache_write_tokens": 12},
                "output_tokens_details": {"reasoning_tokens": 4},
            },
            Spent(3_438, 10, 3_423, 12),
        ),
        (  # reasoning beside the answer, as xAI has told it
            {
                "prompt_tokens": 9,
                "completion_tokens": 10,
                "total_tokens": 113,
                "completion_tokens_details": {"reasoning_tokens": 94},
            },
            Spent(9, 104),
        ),
        ({"prompt_tokens": 2_181, "completion_tokens": 57, "total_tokens": 2_518}, Spent(2_181, 337)),
        ({"prompt_tokens": 9, "completion_tokens": 10, "total_tokens": 3}, Spent(9, 10)),
        ({"prompt_tokens": 90, "completion_tokens": 1, "prompt_cache_hit_tokens": 64}, Spent(90, 1, 64)),
        (  # Alibaba
            {
                "prompt_tokens": 90,
                "completion_tokens": 1,
                "prompt_tokens_details": {"cached_tokens": 0, "cache_creation_input_tokens": 80},
            },
            Spent(90, 1, 0, 80),
        ),
        ({"prompt_tokens": 90, "completion_tokens": 1, "prompt_tokens_details": None}, Spent(90, 1)),
        ({"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 99}}, Spent(9, 1, 9)),
    ],
)
def test_what_servers_with_openais_api_tell(usage: dict[str, Any], spent: Spent) -> None:
    assert told(usage) == spent


@pytest.mark.parametrize(
    ("usage", "spent"),
    [
        ({}, Spent(7, 3, estimated=True)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Spent(7, 3, estimated=True)),
        ({"prompt_tokens": 5, "completion_tokens": 0}, Spent(5, 3, estimated=True)),
        ({"prompt_tokens": 5, "completion_tokens": -4}, Spent(5, 3, estimated=True)),
        ({"prompt_tokens": "5", "completion_tokens": 1}, Spent(7, 1, estimated=True)),
        ({"prompt_tokens": 10**12, "completion_tokens": True}, Spent(7, 3, estimated=True)),
    ],
)
def test_what_is_not_told_or_cannot_be_true_is_estimated(usage: dict[str, Any], spent: Spent) -> None:
    assert told(usage) == spent


def test_an_answer_of_nothing_may_have_no_tokens() -> None:
    assert Counted(5, 0, final=True).spent(7, 0) == Spent(5, 0)


def test_a_count_on_the_way_is_at_least_what_has_come() -> None:
    assert Counted(5, 1).spent(7, 3) == Spent(5, 3, estimated=True)
    assert Counted(5, 9).spent(7, 3) == Spent(5, 9, estimated=True)


@pytest.mark.parametrize(("tier", "standard"), [("", False), ("flex", False), ("auto", False), ("default", True)])
def test_a_call_that_was_not_let_wait_is_known(tier: str, standard: bool) -> None:
    assert counted_by_openai({"prompt_tokens": 1}, tier, final=True).spent(0, 0).standard is standard


def test_anthropic_tells_each_count_where_it_likes() -> None:
    counts = AnthropicCounts()
    counts.take(
        {
            "input_tokens": 20,
            "cache_read_input_tokens": 10,
            "cache_creation_input_tokens": 7,
            "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 3},
            "output_tokens": 1,
        }
    )
    assert counts.counted(final=False).spent(0, 2) == Spent(37, 2, 10, 4, 3, estimated=True)
    counts.take({"input_tokens": 20, "output_tokens": 6})  # what was cached is not said again
    assert counts.counted(final=True).spent(0, 2) == Spent(37, 6, 10, 4, 3)


@pytest.mark.parametrize(
    ("usage", "spent"),
    [
        ({"cache_creation_input_tokens": 7}, Spent(8, 2, 0, 7)),
        ({"cache_creation": {"ephemeral_1h_input_tokens": 3}}, Spent(4, 2, 0, 0, 3)),
        ({"cache_creation": None, "cache_read_input_tokens": None}, Spent(1, 2)),
    ],
)
def test_anthropics_writes_may_be_a_sum_or_its_parts(usage: dict[str, Any], spent: Spent) -> None:
    counts = AnthropicCounts()
    counts.take({"input_tokens": 1, "output_tokens": 2, **usage})
    assert counts.counted(final=True).spent(0, 0) == spent


@given(st.dictionaries(st.sampled_from(NAMES), json_values | st.integers(0, 99)), st.integers(0, 99), st.booleans())
def test_whatever_they_tell_the_parts_are_no_more_than_the_whole(
    usage: dict[str, Any], answered: int, final: bool
) -> None:
    counts = AnthropicCounts()
    counts.take(usage)
    for counted in (counted_by_openai(usage, "", final=final), counts.counted(final=final)):
        spent = counted.spent(5, answered)
        assert min(spent.cached_tokens, spent.written_tokens, spent.kept_tokens) >= 0
        assert spent.cached_tokens + spent.written_tokens + spent.kept_tokens <= spent.input_tokens
        assert spent.output_tokens >= answered or final
