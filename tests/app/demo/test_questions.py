"""What is asked, and what counts as an answer."""

from __future__ import annotations

import pytest

from aiosv3.app.demo.families import LICENCES
from aiosv3.app.demo.questions import answer_format, choices, licence_prompt, quote_prompt, shown, unverified


@pytest.mark.parametrize("quote", ["", "mit", "  -- "])
def test_too_little_to_be_a_quote(quote: str) -> None:
    assert unverified("MIT - mit -", "MIT", quote) is not None


def test_white_space_and_quotes_do_not_matter() -> None:
    assert unverified('The "MIT"\n   License, 2020', "MIT", "the MIT License") is None


def test_prompts_hold_the_lines() -> None:
    assert "- one\n- two\n" in licence_prompt("thing", ["one", "two"], ("MIT", "unknown"))
    assert "- one\n- two\n" in quote_prompt("thing", ["one", "two"], "MIT")


def test_no_two_distributions_ask_the_same_question() -> None:
    """The count of calls paid twice goes by what was asked."""
    assert licence_prompt("one", ["x"], ("MIT",)) != licence_prompt("two", ["x"], ("MIT",))
    assert quote_prompt("one", ["x"], "MIT") != quote_prompt("two", ["x"], "MIT")


def test_the_choices_are_what_the_text_shows_or_all() -> None:
    assert choices(("MIT", "ISC")) == ("MIT", "ISC", "unknown")
    assert choices(()) == LICENCES


def test_the_line_that_shows_a_licence() -> None:
    assert shown("MIT License\n\nand more", "MIT") == "MIT License"
    assert shown("nothing", "MIT") is None


def test_a_closed_set_as_an_answers_form() -> None:
    form = answer_format(["b", "a", "b"])
    assert form["type"] == "json_schema"
    assert form["json_schema"]["schema"]["properties"]["value"] == {"enum": ["a", "b"], "type": "string"}
