"""Avro schemas from Python types, with names that are pinned: namespace ``aiosv3.types.<agent>``, record = class name.

What stands for what: int → long, float → double, str, bool, bytes; datetime → timestamp-micros, date, time;
UUID → string (uuid); Decimal → string, or bytes (decimal) when digits and places are given; Enum and Literal
of legal names → enum, else their values' type; list, tuple of one type, set → array; ``dict[str, T]`` → map;
models and dataclasses → record; unions; Any and dict → JSON text. Anything else raises
:class:`UnsupportedType`. Serializers of pydantic are not asked: the fields are what travels.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, JsonValue, RootModel, SecretBytes, SecretStr, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from aiosv3.schemas import shapes
from aiosv3.schemas.errors import AiosError, MalformedValue
from aiosv3.schemas.fields import LEGAL, avro_field, documentation, expected_name, fields_of
from aiosv3.schemas.fingerprints import Schema
from aiosv3.schemas.shapes import PLAIN, Convert, Shape

_ARRAYS: Final = {list: list, set: set, frozenset: frozenset, Sequence: list}
_ADVICE: Final[dict[Any, str]] = {
    timedelta: "int (seconds or milliseconds, said in the name)",
    complex: "two floats",
    SecretStr: "the name of the secret: its value would stand on the log",
    SecretBytes: "the name of the secret: its value would stand on the log",
}


class UnsupportedType(AiosError, TypeError):
    """A type has no form on the wire.

    ``model`` and ``field`` say where; the message says what to use instead.
    """

    def __init__(self, model: str, field: str, problem: str, instead: str) -> None:
        super().__init__(
            f"{model}.{field}: {problem}: use {instead}" if field else f"{model}: {problem}: use {instead}"
        )
        self.model = model
        self.field = field


class _Where(NamedTuple):
    model: str
    field: str

    def error(self, problem: str, instead: str) -> UnsupportedType:
        return UnsupportedType(self.model, self.field, problem, instead)


@dataclass(frozen=True, slots=True)
class Derived:
    """The Avro record of a Python type.

    ``to_datum`` raises ValueError (TypeError, …) on values of another type.
    """

    schema: Schema
    name: str
    nullable: bool
    to_datum: Convert
    adapter: TypeAdapter[Any]
    _load: Convert

    def from_datum(self, datum: Any) -> Any:
        """The validated value.

        Uses ``datum`` up. Raises :class:`MalformedValue` without the value's content.
        """
        try:
            return self.adapter.validator.validate_python(self._load(datum))
        except ValidationError as error:
            # pydantic's own text quotes the input, which may be private and would end in a log with the traceback.
            raise MalformedValue(f"{self.name} does not fit: {validation_words(error)}") from None
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise MalformedValue(f"{self.name} does not fit: {error}") from error


def validation_words(error: ValidationError) -> str:
    """What pydantic found, in one line, without the input: that may be private."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(str(part) for part in item['loc']) or 'value'}: {item['msg']}" for item in found)


def namespace(agent: str) -> str:
    """The Avro namespace of an agent's types."""
    part = agent.replace("-", "_")
    return f"aiosv3.types.{part if not part[:1].isdigit() else '_' + part}"


def derive(
    python: Any, agent: str, name: str, reserved: frozenset[str] = frozenset(), *, space: str | None = None
) -> Derived:
    """The record of ``python``: a model or dataclass is one; any other type becomes field ``value`` of record
    ``name``.

    ``reserved`` names are taken by somebody else in the same schema. ``space``: a namespace other than that of the
    agent's types. Raises :class:`UnsupportedType`.
    """
    space = space or namespace(agent)
    shape = _Deriver(space, reserved).shape(python, _Where(name, ""), ())
    adapter: TypeAdapter[Any] = TypeAdapter(python)
    if shape.raw is dict and isinstance(shape.schema, dict) and shape.schema["type"] == "record":
        dump, load = shape.dump or _identity, shape.load or _identity
        return Derived(shape.schema, shape.tag, False, dump, adapter, load)
    wrapped, unwrap = shape.dump, shape.load
    schema = _record(space, name, None, [{"name": "value", "type": shape.schema, "doc": "The value."}])
    return Derived(
        schema,
        f"{space}.{name}",
        shape.nullable,
        lambda value: {"value": value if wrapped is None else wrapped(value)},
        adapter,
        lambda datum: datum["value"] if unwrap is None else unwrap(datum["value"]),
    )


def _identity(value: Any) -> Any:
    return value


def _record(space: str, name: str, doc: str | None, fields: list[dict[str, Any]]) -> Schema:
    head = {"type": "record", "name": name, "namespace": space}
    return {**head, **({"doc": doc} if doc else {}), "fields": fields}


class _Deriver:
    """One schema in the making.

    Each named type is defined where it is met first, and referred to afterwards.
    """

    def __init__(self, space: str, reserved: frozenset[str]) -> None:
        self._space = space
        self._reserved = reserved
        self._named: dict[str, tuple[Any, Shape]] = {}

    def shape(self, python: Any, where: _Where, inside: tuple[type, ...], metadata: Sequence[Any] = ()) -> Shape:
        """The shape of any annotation. ``inside``: the models around it."""
        python, metadata = _unwrapped(python, metadata)
        if python in (Any, object, JsonValue):
            return shapes.json_shape()
        if python is None:
            return PLAIN[type(None)]
        if python is Decimal:
            return _decimal(metadata)
        origin = typing.get_origin(python)
        if origin is typing.Literal:
            return self._literal(typing.get_args(python), where)
        if origin in (typing.Union, types.UnionType):
            return self._union(typing.get_args(python), where, inside)
        if python in PLAIN:
            return PLAIN[python]
        return self._container(python, origin or python, where, inside) or self._class(python, where, inside)

    def _container(self, python: Any, origin: Any, where: _Where, inside: tuple[type, ...]) -> Shape | None:
        arguments = typing.get_args(python)
        if origin in (dict, Mapping):
            key, value = arguments or (str, Any)
            if value in (Any, object, JsonValue):
                return replace(shapes.json_shape(), types=(dict,), nullable=False)
            if key is not str:
                raise where.error(f"a map has keys of type str, not {_label(key)}", "dict[str, …], or a list of models")
            return shapes.map_shape(self.shape(value, where, inside))
        if origin is tuple:
            if len(arguments) != 2 or arguments[1] is not Ellipsis:
                raise where.error("a tuple of fixed length has no Avro form", "a model with named fields")
            return shapes.list_shape(self.shape(arguments[0], where, inside), tuple)
        if origin in _ARRAYS:
            return shapes.list_shape(self.shape((arguments or (Any,))[0], where, inside), _ARRAYS[origin])
        return None

    def _class(self, python: Any, where: _Where, inside: tuple[type, ...]) -> Shape:
        if not isinstance(python, type):
            raise where.error(f"{_label(python)} has no Avro form", "a concrete type")
        if issubclass(python, Enum):
            return self._enum(python, where)
        if issubclass(python, RootModel):
            return self._root(python, where, inside)
        if issubclass(python, BaseModel) or dataclasses.is_dataclass(python):
            return self._model(python, where, inside)
        textual = shapes.textual_shape(python)
        if textual is not None:
            return textual
        if python.__module__.startswith("pydantic") and python.__name__ in ("EmailStr", "NameEmail"):
            return PLAIN[str]
        advice = next((text for known, text in _ADVICE.items() if issubclass(python, known)), None)
        raise where.error(
            f"{_label(python)} has no Avro form", advice or "a pydantic model, str, or Any (kept as JSON)"
        )

    def _root(self, python: type[RootModel[Any]], where: _Where, inside: tuple[type, ...]) -> Shape:
        field = python.model_fields["root"]
        inner = self.shape(field.annotation, where, inside, field.metadata)
        if isinstance(inner.schema, list):
            raise where.error(f"the root of {python.__name__} is a union", "a model with a field of that type")
        dump = inner.dump
        return replace(
            inner,
            types=(python,),
            dump=lambda value: value.root if dump is None else dump(value.root),
            nullable=False,
        )

    def _model(self, python: type, where: _Where, inside: tuple[type, ...]) -> Shape:
        name = re.sub(r"\W+", "_", python.__name__, flags=re.ASCII).strip("_")
        if python in inside:
            raise where.error(f"{name} contains itself", "Any for that field (kept as JSON), or a list of ids")
        known = self._known(name, python, where)
        if known is not None:
            return known
        if issubclass(python, BaseModel):
            python.model_rebuild(raise_errors=False)
        full = f"{self._space}.{name}"
        avro, parts = [], []
        for field, info in fields_of(python).items():
            here = _Where(python.__name__, field)
            shape = self.shape(info.annotation, here, (*inside, python), info.metadata)
            avro.append(avro_field(field, info, shape))
            parts.append((field, _expected(python, field, info, here), shape))
        schema = _record(self._space, name, documentation(python), avro)
        slots = not issubclass(python, BaseModel)
        shape = shapes.fields_shape(full, schema, python, parts, slots)
        self._named[name] = python, replace(shape, schema=full)
        return shape

    def _enum(self, python: type[Enum], where: _Where) -> Shape:
        values = [member.value for member in python]
        loads = dict(zip(values, python, strict=True)).__getitem__
        plain = self._values(values, python.__name__, python, where, documentation(python))
        return replace(plain, types=(python,), dump=shapes.enum_values, load=loads)

    def _literal(self, values: tuple[Any, ...], where: _Where) -> Shape:
        if None in values:
            return shapes.optional_shape(self._literal(tuple(v for v in values if v is not None), where))
        pascal = "".join(part[:1].upper() + part[1:] for part in where.field.split("_")) or "Value"
        return self._values(list(values), where.model + pascal, (typing.Literal, *values), where, None)

    def _values(self, values: list[Any], name: str, owner: Any, where: _Where, doc: str | None) -> Shape:
        """Symbols where the values are legal names; the type of the values otherwise."""
        kinds = {_value_kind(value) for value in values}
        kind = kinds.pop() if len(kinds) == 1 else None
        if kind is None:
            raise where.error(f"the values of {name} are not all str or all int", "one kind of value")
        if kind is not str or not all(LEGAL.fullmatch(value) for value in values):
            return PLAIN[kind]
        known = self._known(name, owner, where)
        if known is not None:
            return known
        full = f"{self._space}.{name}"
        head = {"type": "enum", "name": name, "namespace": self._space}
        schema = {**head, **({"doc": doc} if doc else {}), "symbols": [str(value) for value in values]}
        shape = Shape(schema, full, (str,), str)
        self._named[name] = owner, replace(shape, schema=full)
        return shape

    def _known(self, name: str, owner: Any, where: _Where) -> Shape | None:
        if name in self._reserved:
            raise where.error(f"the name {name} is taken by the envelope", "another class name")
        if name not in self._named:
            return None
        first, shape = self._named[name]
        if first != owner:
            raise where.error(f"two different types are named {name}", "another name for one of them")
        return shape

    def _union(self, arguments: tuple[Any, ...], where: _Where, inside: tuple[type, ...]) -> Shape:
        members = list(_members(arguments))
        some = [member for member in members if member is not type(None)]
        found = [self.shape(member, where, inside) for member in some]
        null = len(some) < len(members)
        if len(found) == 1:
            return shapes.optional_shape(found[0])
        for index, shape in enumerate(found):
            for other, label in zip(found[:index], some, strict=False):
                if _clash(shape, other):
                    problem = f"{_label(label)} and {_label(some[index])} look alike on the wire"
                    raise where.error(problem, "a model for each, or two fields")
        return shapes.union_shape(found, null=null)


def _unwrapped(python: Any, metadata: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
    """Without ``Annotated``, ``NewType`` and ``type`` aliases, whose metadata is collected."""
    while python is not JsonValue:
        if typing.get_origin(python) is typing.Annotated:
            python, *more = typing.get_args(python)
            inner = [item for info in more for item in (info.metadata if isinstance(info, FieldInfo) else [info])]
            metadata = [*metadata, *inner]
        elif type(python).__name__ == "TypeAliasType":
            python = python.__value__
        elif isinstance(python, typing.NewType):
            python = python.__supertype__
        else:
            break
    return python, metadata


def _members(arguments: Sequence[Any]) -> Iterator[Any]:
    """The members of a union, those of unions behind aliases included."""
    for argument in arguments:
        plain, metadata = _unwrapped(argument, ())
        if typing.get_origin(plain) in (typing.Union, types.UnionType):
            yield from _members(typing.get_args(plain))
        else:
            yield argument if metadata else plain


def _decimal(metadata: Sequence[Any]) -> Shape:
    digits = next((item.max_digits for item in metadata if getattr(item, "max_digits", None) is not None), None)
    places = next((item.decimal_places for item in metadata if getattr(item, "decimal_places", None) is not None), None)
    if digits is None or places is None:
        return PLAIN[Decimal]
    return shapes.decimal_shape(digits, places)


def _value_kind(value: Any) -> type | None:
    return next((kind for kind in (bool, int, str) if isinstance(value, kind)), None)


def _clash(one: Shape, other: Shape) -> bool:
    """Whether a value or a datum does not say which of the two it is."""
    if isinstance(one.schema, list) or isinstance(other.schema, list) or set(one.types) & set(other.types):
        return True
    if object in (*one.types, *other.types):
        return True
    records = one.raw is dict and other.raw is dict and "map" not in (one.tag, other.tag)
    return one.raw is other.raw and not records


def _expected(python: type, name: str, info: FieldInfo, where: _Where) -> str:
    if not LEGAL.fullmatch(name):
        raise where.error("the name is not legal in Avro", "ASCII letters, digits and underscores")
    expected = expected_name(python, name, info)
    if expected is None:
        raise where.error("an alias path is no field name", "a plain alias")
    return expected


def _label(python: Any) -> str:
    return python.__name__ if isinstance(python, type) and not typing.get_args(python) else str(python)
