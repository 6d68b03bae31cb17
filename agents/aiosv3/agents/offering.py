"""What ``ctx.loop`` offers a model: functions, agents and tools as a name, a JSON Schema and a way to run it."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from functools import partial
from typing import Any, Final, Unpack, get_args, get_origin, get_type_hints

from pydantic import PydanticInvalidForJsonSchema, TypeAdapter, ValidationError

from aiosv3.agents.agent import Agent
from aiosv3.agents.context import Context
from aiosv3.agents.decoding import adapter_of
from aiosv3.agents.errors import AgentDefinitionError, Denied
from aiosv3.agents.tools import Tool
from aiosv3.schemas.errors import AiosError

ANSWER: Final = "final_answer"
"""The tool with which a model gives an answer that is not plain text."""
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")
_NOT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST_APPROVAL: Final = 4_000
_WRAPPED: Final = "value"
_BY_NAME: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class BadCall(AiosError):
    """A model calls a tool that is not there, or with arguments that do not fit. The model is told."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One tool as the model sees it. ``parameters``: the JSON Schema of an object; it holds the value if ``wrapped``.

    ``execute`` runs it, as steps, and returns the text that the model is told.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    arguments: TypeAdapter[Any]
    execute: Callable[[Context, Any], Awaitable[str]]
    wrapped: bool = False

    def declared(self) -> dict[str, Any]:
        """The tool in OpenAI's form."""
        described = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": described}

    def read(self, arguments: str) -> Any:
        """The arguments as a value of their type. Raises ``BadCall``, which quotes nothing of them."""
        try:
            given = json.loads(arguments)
            if self.wrapped and isinstance(given, dict) and set(given) == {_WRAPPED}:
                given = given[_WRAPPED]
            return self.arguments.validate_json(json.dumps(given))
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            wrong = [f"{'.'.join(map(str, each['loc'])) or 'value'}: {each['msg']}" for each in found]
            raise BadCall(f"arguments: {'; '.join(wrong)}") from None
        except (ValueError, RecursionError) as error:
            raise BadCall(f"arguments: not JSON ({type(error).__name__})") from None


def find_offer(offers: Mapping[str, Offer], name: str) -> Offer:
    """The tool that a model names. Raises ``BadCall``."""
    if name not in offers:
        raise BadCall(f"there is no tool {name!r}, only: {', '.join(offers) or 'none'}")
    return offers[name]


def approval_text(offer: Offer, value: Any) -> str:
    """What a person is asked: the call, whole. Raises ``Denied`` where it is too long to be read by one."""
    arguments = offer.arguments.dump_json(value).decode()
    if len(arguments) > _LONGEST_APPROVAL:
        raise Denied(f"arguments over {_LONGEST_APPROVAL} characters cannot be shown to a person: make them shorter")
    return f"{offer.name} {arguments}"


def offers_of(tools: Sequence[Any]) -> list[Offer]:
    """The tools for a model, in order. Raises ``AgentDefinitionError``."""
    offers = [_offer(tool) for tool in tools]
    names = [offer.name for offer in offers]
    for name in names:
        if not _NAME.match(name):
            raise AgentDefinitionError(f"{name!r} is no name for a tool: use a-z, A-Z, 0-9, '_' and '-', at most 64")
        if name == ANSWER or names.count(name) > 1:
            raise AgentDefinitionError(f"two tools of this loop are named {name!r}")
    return offers


def roles_of(approve: Mapping[Any, str | None], tools: Sequence[Any], offers: Sequence[Offer]) -> dict[str, str | None]:
    """The role that approves a call, by the tool's name. Raises ``AgentDefinitionError`` for a tool not offered."""
    named = list(zip(tools, offers, strict=True))
    roles = {offer.name: role for key, role in approve.items() for tool, offer in named if key in (tool, offer.name)}
    if len(roles) < len(approve):
        offered = ", ".join(offer.name for offer in offers)
        raise AgentDefinitionError(f"approve names a tool that is not offered, or one twice; there are: {offered}")
    return roles


def answer_offer(output_type: Any) -> Offer:
    """The tool that takes the final answer."""
    return _typed(ANSWER, "Gives the final answer. Call it alone.", output_type, _never)


async def _never(_ctx: Context, _value: Any) -> str:
    raise AssertionError("a final answer is taken, not executed")


def _typed(name: str, description: str, kind: Any, execute: Callable[[Context, Any], Awaitable[str]]) -> Offer:
    """A tool that takes one value; what is no object is put into one, as models' APIs want it."""
    adapter = adapter_of(kind)
    schema = adapter.json_schema()
    if schema.get("type") == "object":
        return Offer(name, description, schema, adapter, execute)
    inner = {key: value for key, value in schema.items() if key != "$defs"}
    whole = {"type": "object", "properties": {_WRAPPED: inner}, "required": [_WRAPPED], "additionalProperties": False}
    if "$defs" in schema:
        whole["$defs"] = schema["$defs"]
    return Offer(name, description, whole, adapter, execute, wrapped=True)


def _offer(tool: Any) -> Offer:
    if isinstance(tool, Agent):
        return _agent(tool)
    try:
        return _tool(tool) if isinstance(tool, Tool) else _function(tool)
    except PydanticInvalidForJsonSchema as error:
        words = f"{tool} takes what no model can give ({error.message}): offer a function that calls it"
        raise AgentDefinitionError(words) from None


def _tool(tool: Tool[Any, Any]) -> Offer:
    """A tool of a zone. Where only its server knows the arguments, they are checked there."""
    taken: Any = dict[str, Any] if tool.shape is None else _shape(tool.shape)

    async def execute(ctx: Context, value: Any) -> str:
        given = value if isinstance(value, dict) else _members(value)
        return _text(adapter_of(tool.output_type), await ctx.call(tool, **given))

    # Servers may use more characters in a name than models' APIs take.
    name = _NOT_IN_NAMES.sub("_", tool.name)[:64]
    return Offer(name, tool.description, tool.input_schema, TypeAdapter(taken), execute)


def _shape(shape: Callable[..., Any]) -> Any:
    hints, parameters = _hints(shape, shape.__name__), list(inspect.signature(shape).parameters.values())
    if parameters and parameters[-1].kind is inspect.Parameter.VAR_KEYWORD:
        hint = hints.get(parameters[-1].name)
        return get_args(hint)[0] if get_origin(hint) is Unpack else dict[str, Any]
    return _arguments(shape.__name__, parameters, hints)


def _members(value: Any) -> dict[str, Any]:
    return {each.name: getattr(value, each.name) for each in fields(value)}


def _agent(agent: Agent[Any, Any]) -> Offer:
    async def execute(ctx: Context, value: Any) -> str:
        return _text(agent.output_adapter, await ctx.call(agent, value))

    return _typed(agent.name, agent.description, agent.input_type, execute)


def _function(function: Any) -> Offer:
    name = getattr(function, "__name__", "")
    if not callable(function) or not name:
        raise AgentDefinitionError(f"{function!r} is no tool: give a function, a Tool or an agent")
    hints = _hints(function, name)
    parameters = list(inspect.signature(function).parameters.values())
    first = hints.get(parameters[0].name) if parameters else None
    inside = Context in (first, get_origin(first))
    if inside and not inspect.iscoroutinefunction(function):
        raise AgentDefinitionError(f"{name} takes the context, so it runs inside the task: write 'async def {name}'")
    # ``step_key`` is given by ``ctx.run``: an idempotency key that a model chose would be none.
    given_by_model = parameters[1:] if inside else [each for each in parameters if each.name != "step_key"]
    taken = _arguments(name, given_by_model, hints)
    adapter, returned = TypeAdapter(taken), hints.get("return", Any)

    async def execute(ctx: Context, value: Any) -> str:
        given = _members(value)
        if inside:
            return _text(adapter_of(returned), await function(ctx, **given))
        # Once: the model sees the error, and knows better whether and how to try again.
        label = f"{name} {adapter.dump_json(value).decode()}"
        done = await ctx.run(partial(function, **given), output_type=returned, attempts=1, label=label)
        return _text(adapter_of(returned), done)

    return Offer(name, inspect.getdoc(function) or "", adapter.json_schema(), adapter, execute)


def _text(adapter: TypeAdapter[Any], value: Any) -> str:
    return value if isinstance(value, str) else adapter.dump_json(value).decode()


def _hints(function: Any, name: str) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        raise AgentDefinitionError(
            f"the types of {name} cannot be resolved ({error}): define them at the top of the module"
        ) from None


def _arguments(name: str, parameters: Sequence[inspect.Parameter], hints: Mapping[str, Any]) -> type[Any]:
    """A dataclass of the parameters: pydantic makes their schema and checks of it."""
    members: list[tuple[str, Any, Any]] = []
    for parameter in parameters:
        if parameter.kind not in _BY_NAME or parameter.name not in hints:
            raise AgentDefinitionError(f"{name}: parameter {parameter.name!r} must have a type, and be given by name")
        members.append((parameter.name, hints[parameter.name], _member(parameter.default)))
    return make_dataclass(
        name, members, kw_only=True, namespace={"__doc__": "", "__pydantic_config__": {"extra": "forbid"}}
    )


def _member(default: Any) -> Any:
    if default is inspect.Parameter.empty:
        return field()
    # Dataclasses refuse what can change as a default; as in any function, this one is the function's own.
    return field(default=default) if default.__hash__ is not None else field(default_factory=lambda: default)
