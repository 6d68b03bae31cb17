"""Schemas made ready for fastavro, once each.

Named types are taken out of the places where they are defined and parsed one by one, so that every use is a reference:
fastavro names the record that a union holds only where both sides of a resolution refer to it alike. Logical types are
dropped: data stay numbers, texts and bytes, and whoever needs a time or a decimal converts what it needs.
"""

from __future__ import annotations

from typing import Any, Final

import fastavro
from fastavro.schema import SchemaParseException, UnknownType

from aiosv3.schemas.errors import MalformedValue

_NAMED: Final = {"record", "error", "enum", "fixed"}


def parse(schema: Any) -> Any:
    """The schema as fastavro wants it; raises :class:`MalformedValue` for one by which nothing can be read.

    That includes a schema that contains itself: fastavro's compiled reader follows it as deep as the bytes ask for, and
    a few hundred kilobytes of them end the process.
    """
    types: dict[str, Any] = {}
    try:
        top = _referring(schema, "", types, ())
        known: dict[str, Any] = {}
        parsed = {name: fastavro.parse_schema(node, known) for name, node in types.items()}
        return parsed[top] if isinstance(top, str) and top in parsed else fastavro.parse_schema(top, known)
    except (
        SchemaParseException,
        UnknownType,
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        raise MalformedValue(f"the schema cannot be used: {type(error).__name__} {error}") from error


def _referring(node: Any, space: str, types: dict[str, Any], inside: tuple[str, ...]) -> Any:
    """``node`` with every definition replaced by its full name and put into ``types``, parts before wholes."""
    if isinstance(node, list):
        return [_referring(branch, space, types, inside) for branch in node]
    if isinstance(node, str):
        return _reference(node, space, types, inside)
    kind = node["type"]
    if kind in ("array", "map"):
        part = "items" if kind == "array" else "values"
        return {"type": kind, part: _referring(node[part], space, types, inside)}
    if kind not in _NAMED:
        return _referring(kind, space, types, inside)
    name = full_name(node, space)
    definition = {key: value for key, value in node.items() if key not in ("logicalType", "namespace", "doc")}
    definition["name"] = name
    if "fields" in node:
        within = name.rpartition(".")[0]
        definition["fields"] = [
            {**field, "type": _referring(field["type"], within, types, (*inside, name))} for field in node["fields"]
        ]
    types[name] = definition
    return name


def _reference(name: str, space: str, types: dict[str, Any], inside: tuple[str, ...]) -> str:
    full = name if "." in name or not space else f"{space}.{name}"
    for candidate in (full, name):
        if candidate in inside:
            raise ValueError(f"{candidate} contains itself")
        if candidate in types:
            return candidate
    return name


def full_name(node: Any, space: str = "") -> str:
    """The name of a definition with its namespace; ``space`` is that of the record around it."""
    name: str = node["name"]
    space = node.get("namespace", space)
    return name if "." in name or not space else f"{space}.{name}"
