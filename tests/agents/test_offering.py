"""Functions and agents as a model is offered them: schema, checks of arguments, what a person is shown."""

from __future__ import annotations

import functools
import json
from typing import Annotated, Any, Literal, Required, Unpack

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from aiosv3.agents import AgentDefinitionError, Context, Denied, agent
from aiosv3.agents.offering import ANSWER, BadCall, Offer, answer_offer, approval_text, find_offer, offers_of, roles_of
from aiosv3.agents.tools import Secret, Tool, tool


class Refund(BaseModel):
    """A refund."""

    order: str
    usd: float = Field(ge=0)


@agent
async def research(_ctx: Context, question: str) -> str:
    """Looks it up."""
    return question


@agent
async def pays(_ctx: Context, refund: Refund) -> bool:
    return bool(refund)


async def weather(city: str, days: int = 1, unit: Literal["C", "F"] = "C") -> str:
    """The weather of a city."""
    return f"{city} {days} {unit}"


def search(words: Annotated[list[str], Field(description="what to look for", max_length=3)]) -> list[str]:
    return words


async def inside(ctx: Context, refund: Refund, *, copy: bool = False) -> str:
    return f"{ctx.task_id} {refund.order} {copy}"


async def stateful(ctx: Context[Refund], order: str) -> str:
    return f"{ctx.task_id} {order}"


async def pay(order: str, step_key: str) -> str:
    return f"{order} {step_key}"


def one(tool: Any) -> Offer:
    (offer,) = offers_of([tool])
    return offer


def test_a_function_is_described_by_its_signature_and_docstring() -> None:
    declared = one(weather).declared()
    assert declared["type"] == "function"
    function = declared["function"]
    assert (function["name"], function["description"]) == ("weather", "The weather of a city.")
    schema = function["parameters"]
    assert (schema["type"], schema["required"], schema["additionalProperties"]) == ("object", ["city"], False)
    assert schema["properties"]["days"] == {"default": 1, "title": "Days", "type": "integer"}
    assert schema["properties"]["unit"]["enum"] == ["C", "F"]
    assert "description" not in schema


def test_annotations_say_more() -> None:
    words = one(search).parameters["properties"]["words"]
    assert (words["description"], words["maxItems"]) == ("what to look for", 3)


def test_the_context_is_not_a_parameter_of_the_model_and_no_name_is_taken() -> None:
    schema = one(inside).parameters
    assert set(schema["properties"]) == {"refund", "copy"}
    value = one(inside).read('{"refund": {"order": "o1", "usd": 3}, "copy": true}')
    assert (value.refund, value.copy) == (Refund(order="o1", usd=3), True)


@pytest.mark.parametrize("tool", [stateful, pay])
def test_what_the_task_gives_is_not_asked_of_the_model(tool: Any) -> None:
    assert one(tool).parameters["properties"].keys() == {"order"}
    with pytest.raises(BadCall):
        one(tool).read('{"order": "o1", "step_key": "mine"}')


def test_an_agent_takes_its_input() -> None:
    offer = one(pays)
    assert offer.parameters["properties"].keys() == {"order", "usd"}
    assert offer.read('{"order": "o1", "usd": 3}') == Refund(order="o1", usd=3)


def test_what_is_no_object_is_put_into_one() -> None:
    offer = one(research)
    assert (offer.name, offer.description) == ("research", "Looks it up.")
    assert offer.parameters["properties"] == {"value": {"type": "string"}}
    assert offer.read('{"value": "why?"}') == "why?"
    answer = answer_offer(list[Refund])
    assert answer.parameters["$defs"].keys() == {"Refund"}
    refunds = [{"order": "o1", "usd": 3}]
    assert (
        answer.read(json.dumps({"value": refunds})) == answer.read(json.dumps(refunds)) == [Refund(order="o1", usd=3)]
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("{", "arguments: not JSON (JSONDecodeError)"),
        ("", "arguments: not JSON (JSONDecodeError)"),
        ("[" * 100_000, "arguments: not JSON (RecursionError)"),
        ("[]", "arguments: value: Input should be a"),
        ("{}", "arguments: city: Field required"),
        ('{"city": "Paris", "days": "many"}', "arguments: days: Input should be a valid integer"),
        ('{"city": "Paris", "unit": "K", "x": 1}', "arguments: unit: Input should be 'C' or 'F'; x: Unexpected"),
    ],
)
def test_arguments_that_do_not_fit_are_told_in_words(arguments: str, words: str) -> None:
    with pytest.raises(BadCall) as caught:
        one(weather).read(arguments)
    assert str(caught.value).startswith(words)


def test_the_words_quote_nothing_of_the_arguments() -> None:
    with pytest.raises(BadCall) as caught:
        one(weather).read('{"city": {"secret": "4711"}, "days": "secret-4711"}')
    assert "4711" not in str(caught.value)


def test_defaults_are_the_functions_own_object() -> None:
    def listing(tags: list[str] = []) -> str:  # noqa: B006 -- what is tested
        return ",".join(tags)

    assert one(listing).read("{}").tags == []


def no_type(city) -> str:  # type: ignore[no-untyped-def]
    return str(city)


def positional(city: str, /) -> str:
    return city


def many(*cities: str) -> str:
    return ",".join(cities)


def plain_with_context(ctx: Context, city: str) -> str:
    return f"{ctx.task_id} {city}"


def unresolved(city: Missing) -> str:  # type: ignore[name-defined] # noqa: F821
    return str(city)


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        (no_type, "parameter 'city' must have a type"),
        (positional, "be given by name"),
        (many, "parameter 'cities'"),
        (plain_with_context, "write 'async def plain_with_context'"),
        (unresolved, "define them at the top of the module"),
        (lambda: 1, "'<lambda>' is no name for a tool"),
        (functools.partial(weather, "Paris"), "is no tool"),
        (3, "3 is no tool"),
    ],
)
def test_what_is_no_tool(tool: Any, words: str) -> None:
    with pytest.raises(AgentDefinitionError, match=words):
        offers_of([tool])


def final_answer() -> str:
    return ""


@pytest.mark.parametrize("tools", [[weather, weather], [final_answer]])
def test_names_are_given_once(tools: list[Any]) -> None:
    with pytest.raises(AgentDefinitionError, match="two tools of this loop are named"):
        offers_of(tools)
    assert final_answer.__name__ == ANSWER


def test_a_tool_that_is_not_there() -> None:
    offers = {offer.name: offer for offer in offers_of([weather, search])}
    assert find_offer(offers, "search").name == "search"
    with pytest.raises(BadCall, match="there is no tool 'sing', only: weather, search"):
        find_offer(offers, "sing")
    with pytest.raises(BadCall, match="only: none"):
        find_offer({}, "sing")


class Bound:
    """Each access to a method makes a new object."""

    async def pay(self, usd: float) -> str:
        return f"{usd} paid"


def test_who_approves_is_named_by_tool_or_by_name() -> None:
    bound = Bound()
    tools = [weather, pays, bound.pay]
    approve = {weather: "ops", "pays": "finance", bound.pay: "boss"}
    assert roles_of(approve, tools, offers_of(tools)) == {"weather": "ops", "pays": "finance", "pay": "boss"}


@pytest.mark.parametrize("approve", [{"wether": "ops"}, {search: "ops"}, {weather: "ops", "weather": "ops"}])
def test_an_approval_that_would_never_be_asked_is_an_error(approve: dict[Any, str]) -> None:
    with pytest.raises(AgentDefinitionError, match="approve names a tool that is not offered, or one twice"):
        roles_of(approve, [weather], offers_of([weather]))


def test_a_person_sees_the_whole_call_or_is_not_asked() -> None:
    offer = one(weather)
    assert approval_text(offer, offer.read('{"city":"Paris"}')) == 'weather {"city":"Paris","days":1,"unit":"C"}'
    with pytest.raises(Denied, match="over 4000 characters"):
        approval_text(offer, offer.read(json.dumps({"city": "x" * 4000})))


@tool("crm", "crm", "contacts/update")
def update(contact: str, tags: list[str] | None = None) -> bool:
    """Updates a contact."""
    raise NotImplementedError


class Query(TypedDict, total=False):
    """What a generated stub takes."""

    words: Required[str]
    limit: int


@tool("web", "search")
def search_web(**arguments: Unpack[Query]) -> list[str]:
    raise NotImplementedError


@tool("crm", "crm")
def login(token: Secret) -> bool:
    raise NotImplementedError


def test_a_tool_of_a_zone_is_offered_by_its_signature() -> None:
    offer = one(update)
    assert (offer.name, offer.description) == ("contacts_update", "Updates a contact.")
    assert offer.parameters["required"] == ["contact"]
    with pytest.raises(BadCall, match="contact: Field required"):
        offer.read('{"tags": []}')


def test_a_tool_with_named_keywords() -> None:
    offer = one(search_web)
    assert offer.read('{"words": "a", "limit": 3}') == {"words": "a", "limit": 3}
    with pytest.raises(BadCall, match=r"words: Field required"):
        offer.read('{"limit": 3}')


def test_a_tool_that_only_its_server_knows() -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    offer = one(Tool("web", "search", "find", schema=schema))
    assert offer.parameters == schema
    assert offer.read('{"x": "?"}') == {"x": "?"}
    with pytest.raises(BadCall, match=r"arguments: value: Input should be a"):
        offer.read("[]")


def test_no_model_is_asked_for_a_secret() -> None:
    with pytest.raises(AgentDefinitionError, match="offer a function that calls it"):
        offers_of([login])
