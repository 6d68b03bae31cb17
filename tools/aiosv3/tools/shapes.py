"""Whether a JSON value has the shape that a JSON Schema asks for, at a cost that whoever wrote the schema cannot raise.

Schemas come from tool servers. A full validator would run their regular expressions (which can take for ever while they
hold the whole process) and follow their references without end, so this one checks structure only and counts its steps:
``type enum const properties required additionalProperties items prefixItems anyOf oneOf allOf $ref`` and the bounds of
numbers and lengths. It says nothing about ``pattern``, ``format``, ``not``, ``if``; ``oneOf`` is taken as ``anyOf``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from aiosv3.schemas.errors import AiosError

_STEPS: Final = 20_000
_STEPS_EACH: Final = 30
_DEEPEST: Final = 100


class Unfit(AiosError):
    """A value that does not fit; says where and why, without quoting it."""


def check(value: Any, schema: Any) -> None:
    """Raises :class:`Unfit` where ``value`` is not of ``schema``, or the schema asks for too much work."""
    _Checker(schema, _STEPS + _STEPS_EACH * _size(value)).check(value, schema, "", 0)


_TYPES: Final[dict[str, Callable[[Any], bool]]] = {
    "null": lambda v: v is None,
    "boolean": lambda v: isinstance(v, bool),
    "integer": lambda v: not isinstance(v, bool) and (isinstance(v, int) or (isinstance(v, float) and v.is_integer())),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "string": lambda v: isinstance(v, str),
    "array": lambda v: isinstance(v, list),
    "object": lambda v: isinstance(v, dict),
}
_BOUNDS: Final[dict[str, tuple[str, Callable[[Any, Any], bool]]]] = {
    "minimum": ("number", lambda v, b: v >= b),
    "maximum": ("number", lambda v, b: v <= b),
    "exclusiveMinimum": ("number", lambda v, b: v > b),
    "exclusiveMaximum": ("number", lambda v, b: v < b),
    "minLength": ("string", lambda v, b: len(v) >= b),
    "maxLength": ("string", lambda v, b: len(v) <= b),
    "minItems": ("array", lambda v, b: len(v) >= b),
    "maxItems": ("array", lambda v, b: len(v) <= b),
    "minProperties": ("object", lambda v, b: len(v) >= b),
    "maxProperties": ("object", lambda v, b: len(v) <= b),
}


class _Checker:
    def __init__(self, root: Any, steps: int) -> None:
        self._root = root
        self._left = steps

    def check(self, value: Any, schema: Any, at: str, depth: int) -> None:
        self._step(1, at)
        if depth > _DEEPEST:
            raise Unfit(f"{at or 'value'}: the schema is nested too deep")
        if schema is False:
            raise Unfit(f"{at or 'value'}: nothing is allowed here")
        if not isinstance(schema, Mapping):
            return
        if isinstance(target := schema.get("$ref"), str):
            self.check(value, self._resolved(target), at, depth + 1)
        self._simple(value, schema, at)
        self._composed(value, schema, at, depth)
        if isinstance(value, dict):
            self._object(value, schema, at, depth)
        elif isinstance(value, list):
            self._array(value, schema, at, depth)

    def _step(self, count: int, at: str) -> None:
        self._left -= count
        if self._left < 0:
            raise Unfit(f"{at or 'value'}: the schema asks for more work than a check may be")

    def _simple(self, value: Any, schema: Mapping[str, Any], at: str) -> None:
        wanted = schema.get("type")
        names = [wanted] if isinstance(wanted, str) else [name for name in _list(wanted) if isinstance(name, str)]
        if names and not any(_TYPES[name](value) for name in names if name in _TYPES):
            raise Unfit(f"{at or 'value'}: not of type {' or '.join(map(str, names))}")
        allowed = schema.get("enum")
        if isinstance(allowed, list):
            self._step(len(allowed), at)
            if not any(_same(value, one) for one in allowed):
                raise Unfit(f"{at or 'value'}: none of the allowed values")
        if "const" in schema and not _same(value, schema["const"]):
            raise Unfit(f"{at or 'value'}: not the one allowed value")
        for word in _BOUNDS.keys() & schema.keys():
            kind, holds = _BOUNDS[word]
            bound = schema[word]
            if _TYPES["number"](bound) and _TYPES[kind](value) and not holds(value, bound):
                raise Unfit(f"{at or 'value'}: {word} is {bound}")

    def _composed(self, value: Any, schema: Mapping[str, Any], at: str, depth: int) -> None:
        for part in _list(schema.get("allOf")):
            self.check(value, part, at, depth + 1)
        for word in ("anyOf", "oneOf"):
            parts = _list(schema.get(word))
            if parts and not any(self._fits(value, part, at, depth) for part in parts):
                raise Unfit(f"{at or 'value'}: fits none of {len(parts)} shapes")

    def _fits(self, value: Any, schema: Any, at: str, depth: int) -> bool:
        try:
            self.check(value, schema, at, depth + 1)
        except Unfit:
            self._step(0, at)  # too much work is no matter of this branch alone
            return False
        return True

    def _object(self, value: dict[str, Any], schema: Mapping[str, Any], at: str, depth: int) -> None:
        known = schema.get("properties")
        properties = known if isinstance(known, Mapping) else {}
        for name in _list(schema.get("required")):
            self._step(1, at)
            if isinstance(name, str) and name not in value:
                raise Unfit(f"{at or 'value'}: {name!r} is missing")
        more = schema.get("additionalProperties", True)
        for name, item in value.items():
            place = f"{at}.{name}"[:200]
            if name in properties:
                self.check(item, properties[name], place, depth + 1)
            elif more is False and "patternProperties" not in schema:
                raise Unfit(f"{place}: there is no such property")
            else:
                self.check(item, more, place, depth + 1)

    def _array(self, value: list[Any], schema: Mapping[str, Any], at: str, depth: int) -> None:
        first = _list(schema.get("prefixItems"))
        rest = schema.get("items", True)
        for index, item in enumerate(value):
            self.check(item, first[index] if index < len(first) else rest, f"{at}[{index}]"[:200], depth + 1)

    def _resolved(self, reference: str) -> Any:
        if not reference.startswith("#"):
            raise Unfit(f"the schema refers to {reference[:80]!r}, outside itself")
        node: Any = self._root
        for part in reference[1:].split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(node, Mapping) or name not in node:
                raise Unfit(f"the schema refers to {reference[:80]!r}, which it does not have")
            node = node[name]
        return node


def _size(value: Any) -> int:
    """How many values there are in a value."""
    count, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        count += 1
        waiting.extend(item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())
    return count


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _same(left: Any, right: Any) -> bool:
    """JSON equality: true is not 1."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)
