"""Between record classes and Avro data: converters that are built once for a class from its schema.

To write, a union's value becomes ``(branch, value)``, so that fastavro looks the branch up instead of trying
each one.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final, Generic, TypeAlias, TypeVar

from aiosv3.schemas.classes import class_named
from aiosv3.schemas.fingerprints import Schema
from aiosv3.schemas.released import NAMESPACE

T = TypeVar("T")
Convert: TypeAlias = Callable[[Any], Any]
"""One value in the other form. None stands for "is the same in both"."""

_symbol: Final = attrgetter("_value_")


class Twin(Generic[T]):
    """The pair of converters of one record class."""

    __slots__ = ("_cls", "_decoders", "_encoders", "_names", "_values")

    def __init__(self, cls: type[T], schema: Schema, named: dict[str, Any]) -> None:
        self._cls = cls
        self._names = tuple(field["name"] for field in schema["fields"])
        self._values: Convert = attrgetter(*self._names)
        encoders = [(field["name"], _encoder(field["type"], named)) for field in schema["fields"]]
        decoders = [(field["name"], _decoder(field["type"], named)) for field in schema["fields"]]
        self._encoders = [(name, convert) for name, convert in encoders if convert is not None]
        self._decoders = [(name, convert) for name, convert in decoders if convert is not None]

    def to_datum(self, record: T) -> dict[str, Any]:
        """Avro data as fastavro writes it."""
        datum = dict(zip(self._names, self._values(record), strict=True))
        for name, convert in self._encoders:
            value = datum[name]
            if value is not None:
                datum[name] = convert(value)
        return datum

    def from_datum(self, datum: dict[str, Any]) -> T:
        """The record; ``datum`` was read with this record's own schema and is used up."""
        for name, convert in self._decoders:
            value = datum[name]
            if value is not None:
                datum[name] = convert(value)
        return self._cls(**datum)


def twin(cls: type[T], schema: Schema) -> Twin[T]:
    """The converters of ``cls``, whose complete schema is ``schema``."""
    return Twin(cls, schema, named_types(schema))


def named_types(schema: Schema) -> dict[str, Any]:
    """Every named type in a complete schema of this package, by full name."""
    named: dict[str, Any] = {}
    _collect(schema, named)
    return named


def _collect(node: Any, named: dict[str, Any]) -> None:
    if isinstance(node, list):
        for branch in node:
            _collect(branch, named)
    elif isinstance(node, dict):
        if "name" in node:
            named[f"{node.get('namespace', NAMESPACE)}.{node['name']}"] = node
        for field in node.get("fields", ()):
            _collect(field["type"], named)
        _collect(node.get("items"), named)


def _class(schema: Schema) -> Any:
    return class_named(schema["name"])


def _encoder(node: Any, named: dict[str, Any]) -> Convert | None:
    if isinstance(node, list):
        return _union_encoder([branch for branch in node if branch != "null"], named)
    node = named.get(node, node) if isinstance(node, str) else node
    if isinstance(node, str):
        return None
    if node["type"] == "enum":
        return _symbol
    if node["type"] == "record":
        return Twin(_class(node), node, named).to_datum
    if node["type"] == "array":
        item = _encoder(node["items"], named)
        return None if item is None else _each(item, list)
    return None


def _union_encoder(branches: list[Any], named: dict[str, Any]) -> Convert:
    """One branch beside null, or content: something plain, and bytes where it is sealed."""
    plain = branches[0]
    convert = _encoder(plain, named)
    name = _branch_name(plain)
    tagged: Convert = (lambda value: (name, value)) if convert is None else (lambda value: (name, convert(value)))
    if branches[1:] != ["bytes"]:
        return tagged
    return lambda value: ("bytes", value) if isinstance(value, bytes) else tagged(value)


def _branch_name(node: Any) -> str:
    if isinstance(node, str):
        return node
    return f"{node['namespace']}.{node['name']}" if "name" in node else str(node["type"])


def _decoder(node: Any, named: dict[str, Any]) -> Convert | None:
    if isinstance(node, list):
        return _union_decoder([branch for branch in node if branch != "null"], named)
    node = named.get(node, node) if isinstance(node, str) else node
    if isinstance(node, str):
        return None
    if node["type"] == "enum":
        return {member.value: member for member in _class(node)}.__getitem__
    if node["type"] == "record":
        return Twin(_class(node), node, named).from_datum
    if node["type"] == "array":
        item = _decoder(node["items"], named)
        return tuple if item is None else _each(item, tuple)
    return None


def _union_decoder(branches: list[Any], named: dict[str, Any]) -> Convert | None:
    plain = _decoder(branches[0], named)
    if plain is None or branches[1:] != ["bytes"]:
        return plain
    return lambda value: value if type(value) is bytes else plain(value)


def _each(item: Convert, into: Convert) -> Convert:
    return lambda values: into([item(value) for value in values])
