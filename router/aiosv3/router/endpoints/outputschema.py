"""Whether an answer is JSON for its output schema.

A check of what models get wrong, not a full validator: ``type``, ``enum``, ``const``, ``properties``, ``required``,
``additionalProperties``, ``items``, ``prefixItems``, ``minItems``, ``maxItems``, ``minLength``, ``maxLength``,
``minimum``, ``maximum``, ``exclusiveMinimum``, ``exclusiveMaximum``, ``anyOf``, ``oneOf``, ``allOf`` and
``$ref`` within the schema (JSON Schema 2020-12). Other keywords count as fulfilled, ``pattern`` too (a slow
one would hold up the event loop), and so does what lies too deep: the asker validates once more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from aiosv3.router.endpoints.errors import BadRequest

_DEEPEST: Final = 64
_MOST_STEPS: Final = 100_000


def read_schema(text: str) -> dict[str, Any]:
    """The schema as an object. Raises ``BadRequest``."""
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"output_schema is not JSON ({error})") from None
    if not isinstance(schema, dict):
        raise BadRequest("output_schema is no JSON object")
    return schema


def is_closed(schema: object, depth: int = 0) -> bool:
    """Whether every object in it names all its properties as required and allows no others.

    That is what OpenAI's ``strict`` mode demands; other schemas are sent without it.
    """
    if depth > _DEEPEST:
        return False
    if isinstance(schema, list):
        return all(is_closed(item, depth + 1) for item in schema)
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        names = set(schema.get("properties") or ())
        if schema.get("additionalProperties") is not False or set(schema.get("required") or ()) != names:
            return False
    return all(is_closed(value, depth + 1) for value in schema.values())


def rooted(schema_text: str) -> str | None:
    """The schema as property ``value`` of an object, for APIs that want an object at the root; None if it has one."""
    schema = read_schema(schema_text)
    if schema.get("type") == "object" or "properties" in schema:
        return None
    inner = {name: part for name, part in schema.items() if name != "$defs"}
    whole: dict[str, Any] = {
        "type": "object",
        "properties": {"value": inner},
        "required": ["value"],
        "additionalProperties": False,
    }
    if "$defs" in schema:
        whole["$defs"] = schema["$defs"]
    return json.dumps(whole, separators=(",", ":"))


def unrooted(text: str) -> str:
    """The answer to a schema that :func:`rooted` wrapped, as an answer to the schema itself."""
    return json.dumps(json.loads(text)["value"], ensure_ascii=False)


def violation(text: str, schema_text: str) -> str | None:
    """What is wrong with an answer, in words with its place, or None. Quotes nothing of the answer."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        place = f" ({error.msg}, character {error.pos})" if isinstance(error, json.JSONDecodeError) else ""
        return f"the answer is not JSON{place}" if text else "the answer is empty"
    schema = read_schema(schema_text)
    try:
        return next(_Check(schema).errors(value, schema, "$", 0), None)
    except (TypeError, AttributeError) as error:
        raise BadRequest(f"output_schema is no JSON Schema ({error})") from None


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


class _Check:
    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._steps = 0

    def errors(self, value: Any, schema: Any, at: str, depth: int) -> Iterator[str]:
        self._steps += 1
        if schema is False:
            yield f"{at} is not allowed"
        if not isinstance(schema, dict) or depth > _DEEPEST or self._steps > _MOST_STEPS:
            return
        if isinstance(schema.get("$ref"), str):
            yield from self.errors(value, self._target(schema["$ref"]), at, depth + 1)
        yield from _kind_errors(value, schema, at)
        yield from self._choice_errors(value, schema, at, depth)
        if isinstance(value, dict):
            yield from self._object_errors(value, schema, at, depth)
        elif isinstance(value, list):
            yield from self._array_errors(value, schema, at, depth)
        elif isinstance(value, str):
            yield from _limit_errors(len(value), schema, at, ("minLength", "maxLength"))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield from _number_errors(value, schema, at)

    def _target(self, reference: str) -> Any:
        node: Any = self._root
        for part in reference.removeprefix("#").split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            node = node.get(name) if isinstance(node, dict) else None
        if node is None:
            raise BadRequest(f"output_schema refers to {reference!r}, which it does not hold")
        return node

    def _fits(self, value: Any, schema: Any, at: str, depth: int) -> bool:
        return next(self.errors(value, schema, at, depth + 1), None) is None

    def _choice_errors(self, value: Any, schema: Mapping[str, Any], at: str, depth: int) -> Iterator[str]:
        for part in schema.get("allOf", ()):
            yield from self.errors(value, part, at, depth + 1)
        if "anyOf" in schema and not any(self._fits(value, part, at, depth) for part in schema["anyOf"]):
            yield f"{at} fits none of anyOf"
        if "oneOf" in schema and sum(self._fits(value, part, at, depth) for part in schema["oneOf"]) != 1:
            yield f"{at} does not fit exactly one of oneOf"

    def _object_errors(self, value: dict[str, Any], schema: Mapping[str, Any], at: str, depth: int) -> Iterator[str]:
        properties = schema.get("properties") or {}
        yield from (f"{at} lacks {name!r}" for name in schema.get("required", ()) if name not in value)
        others = schema.get("additionalProperties", True)
        for name, item in value.items():
            if name in properties:
                yield from self.errors(item, properties[name], f"{at}.{name}", depth + 1)
            elif others is False:
                yield f"{at} has a property that the schema does not know"
            else:
                yield from self.errors(item, others, f"{at}.*", depth + 1)

    def _array_errors(self, value: list[Any], schema: Mapping[str, Any], at: str, depth: int) -> Iterator[str]:
        yield from _limit_errors(len(value), schema, at, ("minItems", "maxItems"))
        first = schema.get("prefixItems") or ()
        for index, item in enumerate(value):
            expected = first[index] if index < len(first) else schema.get("items", True)
            yield from self.errors(item, expected, f"{at}[{index}]", depth + 1)


_KINDS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: (
        not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
    ),
}


def _kind_errors(value: Any, schema: Mapping[str, Any], at: str) -> Iterator[str]:
    kinds = schema.get("type")
    names = [kinds] if isinstance(kinds, str) else kinds or []
    if names and not any(_KINDS[name](value) for name in names if name in _KINDS):
        yield f"{at} is not of type {' or '.join(map(str, names))}"
    if "enum" in schema and not any(_equal(value, allowed) for allowed in schema["enum"]):
        yield f"{at} is none of the allowed values"
    if "const" in schema and not _equal(value, schema["const"]):
        yield f"{at} is not the constant"


def _equal(one: Any, other: Any) -> bool:
    # In Python True == 1, in JSON it is not.
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _number_errors(value: float, schema: Mapping[str, Any], at: str) -> Iterator[str]:
    yield from _limit_errors(value, schema, at, ("minimum", "maximum"))
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if (above is not None and value <= above) or (below is not None and value >= below):
        yield f"{at} is out of range"


def _limit_errors(value: float, schema: Mapping[str, Any], at: str, names: tuple[str, str]) -> Iterator[str]:
    least, most = schema.get(names[0]), schema.get(names[1])
    if (least is not None and value < least) or (most is not None and value > most):
        yield f"{at} is outside of {names[0]}/{names[1]}"
