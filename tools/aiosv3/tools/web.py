"""The HTTP tool: one base URL, the methods and paths that its settings allow, one tool for each method."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from aiosv3.tools.errors import ToolRefused
from aiosv3.tools.exchange import Ask, Exchange, safe_path
from aiosv3.tools.server import ToolCall, ToolSpec

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_SAFE: Final = frozenset({"GET", "HEAD"})
_QUERY: Final = {"type": "object", "description": "Query parameters."}


class HttpTools:
    """Implements :class:`~aiosv3.tools.server.ToolServer`. In ``paths``, ``*`` is one segment and ``**`` any rest."""

    def __init__(self, exchange: Exchange, methods: Sequence[str] = ("GET",), paths: Sequence[str] = ("/**",)) -> None:
        unknown = sorted(set(methods) - set(METHODS))
        if unknown or not methods:
            raise ValueError(f"methods: {', '.join(unknown) or 'none'}; there are {', '.join(METHODS)}")
        self._exchange = exchange
        self._methods = tuple(methods)
        self._paths = tuple(re.compile(_pattern(path)) for path in paths)
        self._allowed = ", ".join(paths)

    async def tools(self) -> Sequence[ToolSpec]:
        return [_spec(method, self._allowed) for method in self._methods]

    async def call(self, call: ToolCall) -> Any:
        path = safe_path(str(call.arguments["path"]))
        if not any(pattern.fullmatch(path) for pattern in self._paths):
            raise ToolRefused(f"path {path[:200]} is not allowed; allowed are {self._allowed}")
        has_body = "body" in call.arguments
        body, query = call.arguments.get("body"), call.arguments.get("query", {})
        ask = Ask(call.tool.upper(), path, call.key, call.timeout, query, {}, body, has_body)
        return await self._exchange.send(ask)

    async def aclose(self) -> None:
        await self._exchange.aclose()


def _spec(method: str, allowed: str) -> ToolSpec:
    path = {"type": "string", "description": f"Path below the base URL, one of: {allowed}"}
    properties: dict[str, Any] = {"path": path, "query": _QUERY}
    if method not in _SAFE:
        properties["body"] = {"description": "Sent as JSON."}
    schema = {"type": "object", "properties": properties, "required": ["path"], "additionalProperties": False}
    safe = method in _SAFE
    return ToolSpec(method.lower(), f"An HTTP {method} request.", schema, idempotent=safe, read_only=safe)


def _pattern(path: str) -> str:
    parts = re.split(r"(\*\*|\*)", path)
    return "".join({"**": ".*", "*": "[^/]+"}.get(part, re.escape(part)) for part in parts)
