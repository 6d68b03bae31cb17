"""The fields of models and dataclasses, and what of them Avro can say: name, documentation, default."""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
import typing
from collections.abc import Mapping
from typing import Any, Final

from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from aiosv3.schemas.shapes import Shape

LEGAL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""Names in Avro."""

_EMPTY_FACTORIES: Final = (list, dict, set, frozenset, tuple)
_ABSENT: Final = object()


def fields_of(python: Any) -> Mapping[str, FieldInfo]:
    """Names and settings, in order."""
    known: Mapping[str, FieldInfo] | None = getattr(python, "__pydantic_fields__", None)
    if known is not None:
        return known
    hints = typing.get_type_hints(python, include_extras=True)
    found = {}
    for field in dataclasses.fields(python):
        default = field.default if field.default is not dataclasses.MISSING else PydanticUndefined
        info = FieldInfo.from_annotated_attribute(hints[field.name], default)
        if field.default_factory is not dataclasses.MISSING:
            info.default_factory = field.default_factory
        found[field.name] = info
    return found


def documentation(python: type) -> str | None:
    """The class's own docstring; None for what ``dataclass`` and ``enum`` write by themselves."""
    text = python.__dict__.get("__doc__")
    if not text or text.startswith(f"{python.__name__}("):
        return None
    return inspect.cleandoc(text)


def expected_name(python: type, name: str, info: FieldInfo) -> str | None:
    """The key under which pydantic expects the field; None for a path, which is no name."""
    config = getattr(python, "model_config", None) or getattr(python, "__pydantic_config__", None) or {}
    alias = info.validation_alias
    if alias is None or config.get("populate_by_name") or config.get("validate_by_name"):
        return name
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    return next((choice for choice in choices if isinstance(choice, str)), None)


def avro_field(name: str, info: FieldInfo, shape: Shape) -> dict[str, Any]:
    """The field as it stands in a record's schema."""
    schema, default = _with_default(info, shape)
    field = {"name": name, "type": schema}
    if info.description:
        field["doc"] = info.description
    if default is not _ABSENT:
        field["default"] = default
    return field


def _with_default(info: FieldInfo, shape: Shape) -> tuple[Any, Any]:
    """The type with the default's branch in front, as Avro asks, and the default.

    None where JSON cannot say it.
    """
    value = info.default
    if value is PydanticUndefined and info.default_factory in _EMPTY_FACTORIES:
        value = info.default_factory()
    if value is PydanticUndefined:
        return shape.schema, _ABSENT
    try:
        datum = value if shape.dump is None else shape.dump(value)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return shape.schema, _ABSENT
    if isinstance(shape.schema, list):
        return _union_default(shape.schema, datum)
    return shape.schema, _json_default(datum, shape.schema)


def _union_default(branches: list[Any], datum: Any) -> tuple[list[Any], Any]:
    tag, inner = datum if isinstance(datum, tuple) else ("null", None)
    chosen = next((branch for branch in branches if _tag(branch) == tag), None)
    default = _json_default(inner, chosen)
    movable = len(branches) == 2 or isinstance(chosen, str) or "logicalType" in (chosen or {})
    if default is _ABSENT or chosen is None or not movable:
        return branches, _ABSENT
    return [chosen, *(branch for branch in branches if branch is not chosen)], default


def _tag(branch: Any) -> str:
    if isinstance(branch, str):
        return branch
    return f"{branch['namespace']}.{branch['name']}" if "name" in branch else str(branch["type"])


_KINDS: Final[dict[str, tuple[type, ...]]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "int": (int,),
    "long": (int,),
    "double": (float, int),
    "string": (str,),
    "bytes": (bytes,),
    "enum": (str,),
}


def _json_default(datum: Any, schema: Any) -> Any:
    """Avro's JSON for a default: plain values and empty or plain collections. Records are not carried."""
    kind = schema["type"] if isinstance(schema, dict) else schema
    if kind == "array" and isinstance(datum, list):
        return _whole([_json_default(item, schema["items"]) for item in datum])
    if kind == "map" and isinstance(datum, dict):
        values = _whole([_json_default(item, schema["values"]) for item in datum.values()])
        return _ABSENT if values is _ABSENT else dict(zip(datum, values, strict=True))
    if kind not in _KINDS and isinstance(datum, str):
        return datum
    if type(datum) not in _KINDS.get(kind, ()) or (isinstance(datum, float) and not math.isfinite(datum)):
        return _ABSENT
    return datum.decode("latin-1") if isinstance(datum, bytes) else datum


def _whole(items: list[Any]) -> Any:
    return _ABSENT if any(item is _ABSENT for item in items) else items
