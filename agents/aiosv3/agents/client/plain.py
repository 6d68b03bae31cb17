"""Avro data as JSON has them, by the schema that they were written with: results of agents whose code is elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LOCAL: Final = _EPOCH.replace(tzinfo=None)
_WRAPPED: Final = "The value."
"""The one field of a record that stands for a type that is no record (``schemas.derive``) is documented so."""


def plain(datum: Any, schema: Any, named: dict[str, Any] | None = None) -> Any:
    """What ``to_json`` of the value would have said. Fields of type Any were written as JSON text, and stay text."""
    named = {} if named is None else named
    if isinstance(schema, list):
        return _of_union(datum, schema, named)
    if isinstance(schema, str):
        return plain(datum, named[schema], named) if schema in named else _simple(datum, {})
    if "name" in schema:
        named[f"{schema['namespace']}.{schema['name']}" if "namespace" in schema else schema["name"]] = schema
    kind = schema["type"]
    if kind == "record":
        found = {field["name"]: plain(datum[field["name"]], field["type"], named) for field in schema["fields"]}
        return found["value"] if _stands_for_its_value(schema) else found
    if kind == "array":
        return [plain(item, schema["items"], named) for item in datum]
    if kind == "map":
        return {key: plain(item, schema["values"], named) for key, item in datum.items()}
    return _simple(datum, schema)


def _stands_for_its_value(schema: Mapping[str, Any]) -> bool:
    fields = schema["fields"]
    return len(fields) == 1 and fields[0]["name"] == "value" and fields[0].get("doc") == _WRAPPED


def _of_union(datum: Any, branches: list[Any], named: dict[str, Any]) -> Any:
    for branch in branches:  # a later branch may refer to a type that an earlier one defines
        _learn(branch, named)
    if datum is None:
        return None
    wanted = None
    if isinstance(datum, tuple):
        wanted, datum = datum
    return next((plain(datum, branch, named) for branch in branches if _fits(datum, branch, wanted, named)), datum)


def _learn(schema: Any, named: dict[str, Any]) -> None:
    if isinstance(schema, dict) and "name" in schema:
        named[f"{schema['namespace']}.{schema['name']}" if "namespace" in schema else schema["name"]] = schema


_RAW: Final[dict[str, tuple[type, ...]]] = {
    "boolean": (bool,),
    "int": (int,),
    "long": (int,),
    "float": (float,),
    "double": (float,),
    "string": (str,),
    "enum": (str,),
    "bytes": (bytes,),
    "array": (list,),
    "map": (dict,),
    "record": (dict,),
}


def _fits(datum: Any, branch: Any, wanted: str | None, named: Mapping[str, Any]) -> bool:
    schema = named.get(branch, branch) if isinstance(branch, str) else branch
    if wanted is not None:
        return isinstance(schema, dict) and wanted == f"{schema.get('namespace')}.{schema.get('name')}"
    kind = schema["type"] if isinstance(schema, dict) else schema
    if isinstance(datum, dict) and kind == "record":
        return datum.keys() == {field["name"] for field in schema["fields"]}
    return type(datum) in _RAW.get(kind, ())


def _simple(datum: Any, schema: Mapping[str, Any]) -> Any:
    logical = schema.get("logicalType")
    if logical == "decimal":
        return str(int.from_bytes(datum, "big", signed=True) * Decimal(1).scaleb(-schema["scale"]))
    if isinstance(datum, bytes):
        return _text(datum)
    if not isinstance(datum, int) or logical is None:
        return datum
    return _moment(datum, logical)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return base64.b64encode(raw).decode()


def _moment(number: int, logical: str) -> Any:
    if logical == "date":
        return date.fromordinal(number + _EPOCH.toordinal()).isoformat()
    what, _, unit = logical.rpartition("-")
    passed = timedelta(milliseconds=number) if unit == "millis" else timedelta(microseconds=number)
    if what == "timestamp":
        return (_EPOCH + passed).isoformat().replace("+00:00", "Z")
    if what == "local-timestamp":
        return (_LOCAL + passed).isoformat()
    return (_LOCAL + passed).time().isoformat() if what == "time" else number
