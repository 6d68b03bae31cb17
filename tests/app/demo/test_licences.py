"""The agent's decisions, with a model that says what the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from aiosv3.agents import ModelUnavailable
from aiosv3.app.demo.families import LICENCES
from aiosv3.app.demo.licences import LicenceText, Verdict, licences
from aiosv3.schemas.envelope import AgentSchemas

MIT = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy; the above copyright notice is kept."
)
APACHE = "Apache License Version 2.0, January 2004"
BOTH = f"{APACHE}\n\n{MIT}\n"


class Model:
    """The one method of a context that the agent uses."""

    def __init__(self, *answers: str | Exception) -> None:
        self._answers: Iterator[str | Exception] = iter(answers)
        self.asked: list[tuple[str, Any]] = []

    def generate(self, prompt: str, *, output_type: Any, **_: Any) -> asyncio.Future[Any]:
        self.asked.append((prompt, output_type))
        future = asyncio.get_running_loop().create_future()
        answer = next(self._answers)
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
        return future


async def decide(text: str, *answers: str | Exception) -> tuple[Verdict, Model]:
    model = Model(*answers)
    shipped = LicenceText(distribution="thing", version="1", text=text)
    return await licences.function(model, shipped), model  # type: ignore[arg-type]


async def test_one_family_needs_no_model() -> None:
    verdict, model = await decide(MIT)
    assert (verdict.by, verdict.licence, model.asked) == ("rule", "MIT", [])
    assert verdict.quote is not None
    assert verdict.quote in MIT


@pytest.mark.parametrize("text", ["", " \n"])
async def test_no_text_is_for_a_person(text: str) -> None:
    verdict, model = await decide(text)
    assert (verdict.by, verdict.licence, verdict.reason) == ("person", "unknown", "it ships no licence text")
    assert model.asked == []


async def test_a_choice_of_licences_goes_to_the_model_which_must_show_it() -> None:
    verdict, model = await decide(BOTH, "Apache-2.0", APACHE)
    assert (verdict.by, verdict.licence, verdict.quote) == ("model", "Apache-2.0", APACHE)
    (first, choices), (second, lines) = model.asked
    assert "Answer with one of: Apache-2.0, MIT, unknown." in first
    assert "the licence is Apache-2.0" in second
    assert set(get_args(choices)) == {"Apache-2.0", "MIT", "unknown"}
    assert APACHE in get_args(lines)


async def test_without_a_known_phrase_the_whole_closed_set_is_asked_for() -> None:
    verdict, model = await decide("This is BSD licensed.", "BSD-2-Clause", "This is BSD licensed.")
    assert (verdict.by, verdict.licence) == ("model", "BSD-2-Clause")
    assert set(get_args(model.asked[0][1])) == set(LICENCES)


async def test_a_quote_that_shows_another_licence_is_for_a_person() -> None:
    verdict, _ = await decide(BOTH, "MIT", APACHE)
    assert (verdict.by, verdict.licence, verdict.quote) == ("person", "unknown", None)
    assert "the model said MIT, but the line that it quotes does not show that" in verdict.reason


async def test_a_quote_that_is_not_in_the_text_is_for_a_person() -> None:
    verdict, _ = await decide(BOTH, "MIT", "The MIT License, as everybody knows")
    assert verdict.by == "person"
    assert "does not stand in the text" in verdict.reason


async def test_a_model_that_cannot_tell() -> None:
    verdict, model = await decide(BOTH, "unknown")
    assert (verdict.by, verdict.reason, len(model.asked)) == ("person", "the model could not tell", 1)


async def test_no_model_may_see_it() -> None:
    verdict, _ = await decide(BOTH, ModelUnavailable("all pools are down"))
    assert verdict.by == "person"
    assert "ModelUnavailable: all pools are down" in verdict.reason


async def test_equal_choices_are_equal_types_whatever_their_order() -> None:
    """A type's JSON Schema is part of the request's hash, and a replay may meet the choices in another order."""
    _, one = await decide(BOTH, "unknown")
    _, other = await decide(f"{MIT}\n\n{APACHE}\n", "unknown")
    assert get_args(one.asked[0][1]) == get_args(other.asked[0][1])


def test_the_types_have_a_wire_form() -> None:
    schemas = AgentSchemas("licences", LicenceText, Verdict)
    assert schemas.task_schema
    assert licences.name == "licences"
