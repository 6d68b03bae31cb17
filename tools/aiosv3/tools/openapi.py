"""OpenAPI 3 as tools: each operation of a description becomes one, with the types that the description gives it.

Descriptions are JSON. Parameters in path, query and header and a JSON body are arguments; the body is called ``body``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from aiosv3.schemas.errors import AiosError
from aiosv3.tools.exchange import Ask, Exchange
from aiosv3.tools.server import ToolCall, ToolSpec

_METHODS: Final = ("get", "put", "post", "delete", "patch", "head")
_COMPONENTS: Final = "#/components/schemas/"
_NOT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9-]+")
_JSON: Final = re.compile(r"application/(?:.+\+)?json")
_DEEPEST: Final = 64


class BadDescription(AiosError):
    """What is no OpenAPI 3 description, or has two operations of one name."""


@dataclass(frozen=True, slots=True)
class _Operation:
    method: str
    path: str
    places: Mapping[str, str]
    """Argument -> path, query or header."""
    spec: ToolSpec


class OpenApiTools:
    """Implements :class:`~aiosv3.tools.server.ToolServer`. Raises :class:`BadDescription`."""

    def __init__(self, exchange: Exchange, description: Mapping[str, Any]) -> None:
        self._exchange = exchange
        self._operations: dict[str, _Operation] = {}
        for operation in _operations(description):
            if operation.spec.name in self._operations:
                raise BadDescription(f"two operations are named {operation.spec.name}")
            self._operations[operation.spec.name] = operation

    async def tools(self) -> Sequence[ToolSpec]:
        return [self._operations[name].spec for name in sorted(self._operations)]

    async def call(self, call: ToolCall) -> Any:
        operation = self._operations[call.tool]
        path, query, headers = operation.path, dict[str, Any](), dict[str, str]()
        for name, place in operation.places.items():
            value = call.arguments.get(name)
            if place == "path":
                path = path.replace("{" + name + "}", quote(_text(value), safe=""))
            elif value is not None and place == "query":
                query[name] = value
            elif value is not None and place == "header":
                headers[name] = _text(value)
        has_body = "body" in call.arguments and "body" not in operation.places
        body = call.arguments.get("body")
        ask = Ask(operation.method.upper(), path, call.key, call.timeout, query, headers, body, has_body)
        return await self._exchange.send(ask)

    async def aclose(self) -> None:
        await self._exchange.aclose()


def read_description(raw: bytes) -> Mapping[str, Any]:
    """A description out of its file. Raises :class:`BadDescription`."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadDescription(f"the description is no JSON: {error}") from None
    if not isinstance(found, dict) or not str(found.get("openapi", "")).startswith("3."):
        raise BadDescription("the description is not OpenAPI 3: it has no openapi = 3.…")
    return found


def base_url(description: Mapping[str, Any]) -> str | None:
    """The first server that a description names, where it is absolute."""
    servers = description.get("servers") or [{}]
    url = str(servers[0].get("url", "")) if isinstance(servers[0], Mapping) else ""
    return url if url.startswith(("http://", "https://")) else None


def _operations(description: Mapping[str, Any]) -> Iterator[_Operation]:
    for path, item in (description.get("paths") or {}).items():
        for method in _METHODS:
            if isinstance(item, Mapping) and isinstance(item.get(method), Mapping):
                yield _operation(description, str(path), method, item)


def _operation(description: Mapping[str, Any], path: str, method: str, item: Mapping[str, Any]) -> _Operation:
    operation = item[method]
    properties: dict[str, Any] = {}
    required: list[str] = []
    places: dict[str, str] = {}
    for given in [*(item.get("parameters") or []), *(operation.get("parameters") or [])]:
        parameter = _resolved(description, given)
        name, place = str(parameter.get("name")), str(parameter.get("in"))
        if place not in {"path", "query", "header"}:
            continue
        places[name] = place
        properties[name] = {**_schema(parameter.get("schema", {})), **_described(parameter)}
        if (parameter.get("required") or place == "path") and name not in required:
            required.append(name)
    body = _resolved(description, operation.get("requestBody") or {})
    if body and "body" not in properties:
        properties["body"] = _schema(_json_of(body))
        required += ["body"] if body.get("required") else []
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    name = _NOT_IN_NAMES.sub("_", str(operation.get("operationId") or f"{method}_{path}")).strip("_")
    spec = ToolSpec(
        name=name,
        description=str(operation.get("summary") or operation.get("description") or ""),
        input_schema=_complete(description, schema),
        output_schema=_output(description, operation),
        idempotent=method in {"get", "head"},
        read_only=method in {"get", "head"},
    )
    return _Operation(method, path, places, spec)


def _output(description: Mapping[str, Any], operation: Mapping[str, Any]) -> dict[str, Any] | None:
    for status, given in (operation.get("responses") or {}).items():
        if str(status).startswith("2"):
            schema = _json_of(_resolved(description, given))
            return _complete(description, _schema(schema)) if schema else None
    return None


def _json_of(holder: Mapping[str, Any]) -> Any:
    for kind, media in (holder.get("content") or {}).items():
        if _JSON.fullmatch(str(kind)) and isinstance(media, Mapping):
            return media.get("schema", {})
    return {}


def _described(parameter: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": parameter["description"]} if "description" in parameter else {}


def _resolved(description: Mapping[str, Any], given: Any) -> Mapping[str, Any]:
    """A parameter, body or response that may stand elsewhere in the description."""
    reference = given.get("$ref") if isinstance(given, Mapping) else None
    if reference is None:
        return given if isinstance(given, Mapping) else {}
    node: Any = description
    for part in str(reference).removeprefix("#/").split("/"):
        node = node.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(node, Mapping) else None
    if not isinstance(node, Mapping):
        raise BadDescription(f"the description refers to {str(reference)[:200]!r}, which it does not have")
    return node


def _schema(node: Any, depth: int = 0) -> Any:
    """An OpenAPI schema as JSON Schema: references into ``$defs``, ``nullable`` as a type."""
    if depth > _DEEPEST:
        raise BadDescription("a schema of the description is nested too deep")
    if isinstance(node, list):
        return [_schema(item, depth + 1) for item in node]
    if not isinstance(node, Mapping):
        return node
    made = {name: _schema(item, depth + 1) for name, item in node.items() if name != "nullable"}
    if isinstance(reference := made.get("$ref"), str) and reference.startswith(_COMPONENTS):
        made["$ref"] = "#/$defs/" + reference.removeprefix(_COMPONENTS)
    return {"anyOf": [made, {"type": "null"}]} if node.get("nullable") is True else made


def _complete(description: Mapping[str, Any], schema: Any) -> dict[str, Any]:
    """With the components that it refers to, and those that they refer to."""
    components = (description.get("components") or {}).get("schemas") or {}
    found: dict[str, Any] = {}
    waiting = sorted(_referred(schema))
    while waiting:
        name = waiting.pop(0)
        if name not in found and name in components:
            found[name] = _schema(components[name])
            waiting += sorted(_referred(found[name]) - found.keys())
    complete = dict(schema) if isinstance(schema, Mapping) else {}
    return {**complete, "$defs": {name: found[name] for name in sorted(found)}} if found else complete


def _referred(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(_referred, node)) if node else set()
    if not isinstance(node, Mapping):
        return set()
    mine = node.get("$ref")
    own = {mine.removeprefix("#/$defs/")} if isinstance(mine, str) and mine.startswith("#/$defs/") else set()
    return own.union(*(_referred(item) for item in node.values()))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
