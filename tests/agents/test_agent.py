"""``@agent``: what it makes of a function, what it refuses and in which words, and the types that it keeps."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from aiosv3.agents import Agent, AgentDefinitionError, Context, Limits, Order, agent
from aiosv3.agents.agent import parse_usd
from aiosv3.schemas.headers import Clearance


@dataclass
class Ticket:
    """An input."""

    text: str


@agent
async def plain_triage(_ctx: Context, ticket: Ticket) -> int:
    """Says how long a ticket is."""
    return len(ticket.text)


def test_the_decorator_alone_takes_all_defaults() -> None:
    assert isinstance(plain_triage, Agent)
    assert (plain_triage.name, plain_triage.input_type, plain_triage.output_type) == ("plain-triage", Ticket, int)
    assert plain_triage.limits == Limits(1_000_000, 50, 8, timedelta(hours=1))
    assert (plain_triage.clearance, plain_triage.order) == (Clearance.PUBLIC, Order.START)
    assert (plain_triage.model, plain_triage.pool) == (None, None)
    assert plain_triage.description == "Says how long a ticket is."
    assert plain_triage.input_adapter.validate_json(b'{"text":"x"}') == Ticket("x")
    assert plain_triage.output_adapter.dump_json(3) == b"3"


def test_the_decorator_takes_settings_as_text_or_typed() -> None:
    @agent(
        name="other",
        clearance="confidential",
        budget="0.05",
        deadline=timedelta(days=1),
        order="serial",
        model="m",
        pool="p",
    )
    async def by_text(_ctx: Context, value: str) -> str:
        return value

    @agent(clearance=Clearance.RESTRICTED, budget=0.5, order=Order.NONE)
    async def typed(_ctx: Context, value: str) -> str:
        return value

    assert (by_text.name, by_text.clearance, by_text.order) == ("other", Clearance.CONFIDENTIAL, Order.SERIAL)
    assert (by_text.limits.usd_micros, by_text.limits.deadline) == (50_000, timedelta(days=1))
    assert (by_text.model, by_text.pool) == ("m", "p")
    assert (typed.clearance, typed.order, typed.limits.usd_micros) == (Clearance.RESTRICTED, Order.NONE, 500_000)


async def test_calling_an_agent_runs_its_function() -> None:
    nowhere: Any = None
    assert await plain_triage(nowhere, Ticket("four")) == 4


# -- misuse -----------------------------------------------------------------------------------------------------------


def not_async(_ctx: Context, value: str) -> str:
    return value


async def generates(_ctx: Context, value: str) -> Any:
    yield value


async def no_value(_ctx: Context) -> str:
    return ""


async def too_many(_ctx: Context, value: str, _more: int) -> str:
    return value


async def no_input_type(_ctx: Context, value) -> str:  # type: ignore[no-untyped-def]
    return str(value)


async def no_output_type(_ctx: Context, value: str):  # type: ignore[no-untyped-def]
    return value


async def unresolvable(_ctx: Context, value: Nowhere) -> str:  # type: ignore[name-defined] # noqa: F821
    return str(value)


async def _private(_ctx: Context, value: str) -> str:
    return value


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (not_async, r"not_async is not a coroutine function: write 'async def not_async\(ctx, value\)'"),
        (generates, "generates is not a coroutine function"),
        (no_value, "no_value takes 1 parameters: an agent takes the context and one value"),
        (too_many, "too_many takes 3 parameters"),
        (no_input_type, "no_input_type lacks types: annotate 'value' and the return value"),
        (no_output_type, "no_output_type lacks types: annotate 'value' and the return value"),
        (
            unresolvable,
            r"the types of unresolvable cannot be resolved \(name 'Nowhere' is not defined\): define them at",
        ),
        (_private, "'-private' is no name for an agent: use a-z, 0-9 and hyphens"),
    ],
)
def test_a_function_that_is_no_agent_is_refused_in_words(function: Any, words: str) -> None:
    with pytest.raises(AgentDefinitionError, match=words):
        agent(function)


@pytest.mark.parametrize("name", ["Triage", "tri age", "-triage", "triage_2", "tri/age", "triage\n", "ä"])
def test_a_bad_name_is_refused_in_words(name: str) -> None:
    with pytest.raises(AgentDefinitionError, match="is no name for an agent"):
        agent(name=name)(_private)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"budget": -1}, "-1 is not an amount of money that can be spent: it must be 0 or more"),
        ({"budget": "five"}, "'five' is not an amount of money: write dollars, such as 0.05"),
        ({"clearance": "secret"}, "'secret' is no clearance: use one of public, internal, confidential, restricted"),
        ({"order": "random"}, "'random' is not a valid Order"),
        ({"guarantee": "always"}, "'always' is not a valid Guarantee"),
    ],
)
def test_a_bad_setting_is_refused_in_words(settings: dict[str, Any], words: str) -> None:
    with pytest.raises((AgentDefinitionError, ValueError), match=words):
        agent(name="x", **settings)(_private)


@pytest.mark.parametrize("settings", [{"budget": -1}, {"clearance": "secret"}, {"order": "random"}])
def test_a_bad_setting_is_a_definition_error(settings: dict[str, Any]) -> None:
    with pytest.raises(AgentDefinitionError):
        agent(name="x", **settings)(_private)


@pytest.mark.parametrize(
    ("text", "micros"),
    [("0", 0), ("0.05", 50_000), (0.05, 50_000), ("1e-6", 1), ("1e-7", 0), (3, 3_000_000), ("-0", 0)],
)
def test_money_is_counted_in_millionths(text: Any, micros: int) -> None:
    assert parse_usd(text) == micros


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "-0.01", "", "1,5", "$5"])
def test_what_is_no_money_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount of money"):
        parse_usd(text)


@pytest.mark.parametrize("text", ["1e999999", "1e15", "1e5000"])
def test_money_that_no_header_can_carry_is_refused(text: str) -> None:
    """Headers hold 63 bits; a huge exponent must not cost a minute of arithmetic either."""
    with pytest.raises(ValueError, match="is not an amount of money"):
        parse_usd(text)


# -- versions ---------------------------------------------------------------------------------------------------------

_SOURCE = """
from aiosv3.agents import Context, agent

@agent
async def a(ctx: Context, value: str) -> str:
    return value{edit}
"""


def _load(path: Path, edit: str) -> Agent[Any, Any]:
    path.write_text(_SOURCE.format(edit=edit), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[path.stem]
    made: Agent[Any, Any] = module.a
    return made


def test_the_version_changes_with_the_source_and_only_with_it(tmp_path: Path) -> None:
    versions = [_load(tmp_path / name, edit).version for name, edit in [("a.py", ""), ("b.py", ""), ("c.py", " + '!'")]]
    assert versions[0] == versions[1] != versions[2]
    assert len(versions[0]) == 12


def test_a_function_without_source_has_a_version_too() -> None:
    scope: dict[str, Any] = {"Context": Context}
    exec("async def typed(ctx: Context, value: str) -> str:\n    return value", scope)
    function: Callable[..., Any] = scope["typed"]
    assert len(agent(function).version) == 12
