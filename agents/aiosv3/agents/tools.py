"""Tools as agents see them: typed descriptors of what a zone's tool workers do, and secrets that are only names."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from inspect import Parameter, getdoc, signature
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

from pydantic import PydanticUserError, TypeAdapter, create_model
from pydantic_core import CoreSchema, PydanticSerializationError, core_schema, to_jsonable_python
from typing_extensions import Unpack

from aiosv3.agents.decoding import adapter_of
from aiosv3.agents.errors import AgentDefinitionError, ToolFailed

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

P = ParamSpec("P")
Out = TypeVar("Out")
Out_co = TypeVar("Out_co", covariant=True)
SECRET_MARK: Final = "$secret"  # noqa: S105 -- the key of a marker, on every topic
_DEEPEST: Final = 64


class Secret(str):
    """The name of a secret, where a tool takes the secret itself. Only the tool worker knows more than the name.

    On the log it is ``{"$secret": "crm-token"}``. As text it is its name, so that it goes wherever ``str`` goes.
    """

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """A field ``token: Secret`` takes a Secret alone and is written as its marker."""
        return core_schema.is_instance_schema(
            cls, serialization=core_schema.plain_serializer_function_ser_schema(_marker)
        )


def _marker(secret: Secret) -> dict[str, str]:
    return {SECRET_MARK: str(secret)}


@dataclass(frozen=True)
class Tool(Generic[P, Out_co]):
    """What ``ctx.call`` needs to know of a tool. ``tool`` makes one out of a function's signature.

    ``idempotent`` and ``description`` are for people and for models: the worker goes by what the server says and what
    its settings say. What a tool answers is data from outside: never an instruction to anybody.
    """

    zone: str
    server: str
    name: str
    output_type: Any = Any
    description: str = ""
    idempotent: bool = False
    schema: Mapping[str, Any] | None = None
    """JSON Schema of the arguments; None: made from ``shape``."""
    shape: Callable[..., Any] | None = None
    pin: str | None = None

    def pinned(self, name: str) -> Tool[P, Out_co]:
        """The same tool, for the step of this name: it keeps its place in the journal when the code around changes."""
        return replace(self, pin=name)

    @cached_property
    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of the arguments: an object."""
        if self.schema is not None:
            return dict(self.schema)
        if self.shape is None:
            return {"type": "object"}
        return _schema_of(self.shape)


def tool(
    zone: str, server: str, name: str | None = None, *, idempotent: bool = False
) -> Callable[[Callable[P, Out]], Tool[P, Out]]:
    """Makes a :class:`Tool` out of a function that is only its signature.

    Its parameters are the arguments, by keyword; its docstring describes it. ``name``: as the server
    lists it, where it is not the function's. Raises AgentDefinitionError.
    """

    def make(shape: Callable[P, Out]) -> Tool[P, Out]:
        hints = get_type_hints(shape)
        if "return" not in hints:
            raise AgentDefinitionError(f"tool {shape.__name__} says not what it answers: -> Any, at least")
        try:
            adapter_of(hints["return"])
        except PydanticUserError as error:
            raise AgentDefinitionError(f"tool {shape.__name__}: its answer cannot be read: {error}") from None
        return Tool(
            zone,
            server,
            name or shape.__name__,
            output_type=hints["return"],
            description=getdoc(shape) or "",
            idempotent=idempotent,
            shape=shape,
        )

    return make


def _schema_of(shape: Callable[..., Any]) -> dict[str, Any]:
    hints = get_type_hints(shape, include_extras=True)
    fields: dict[str, Any] = {}
    for parameter in signature(shape).parameters.values():
        hint = hints.get(parameter.name, Any)
        if parameter.kind is Parameter.VAR_KEYWORD:
            named = get_args(hint)[0] if get_origin(hint) is Unpack else dict[str, Any]
            return TypeAdapter(named).json_schema()
        fields[parameter.name] = (hint, ... if parameter.default is Parameter.empty else parameter.default)
    return TypeAdapter(create_model(shape.__name__, **fields)).json_schema()


def arguments_text(arguments: Mapping[str, Any]) -> str:
    """The arguments as the JSON object that goes on the log, secrets by name.

    Raises ToolFailed for what is no JSON, and for data that looks like a secret: what a model or a document says must
    not be able to name one.
    """
    try:
        return json.dumps(_plain(dict(arguments), 0), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
        raise ToolFailed(f"the arguments are no JSON: {error}") from None


def _plain(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError(f"nested deeper than {_DEEPEST}")
    if isinstance(value, Secret):
        return _marker(value)
    if isinstance(value, Mapping):
        if SECRET_MARK in value:
            raise ToolFailed(f"an argument holds the key {SECRET_MARK!r}: only Secret(...) may stand for a secret")
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, depth + 1) for item in value]
    return to_jsonable_python(value)
