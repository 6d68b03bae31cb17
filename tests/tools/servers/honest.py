"""An honest MCP server on the official SDK: speaks both eras, over stdio or (with a port) streamable HTTP."""

from __future__ import annotations

from typing import Any, TypedDict

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ToolAnnotations

server = MCPServer("honest")


class Sum(TypedDict):
    """What add answers."""

    sum: int


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def add(left: int, right: int) -> Sum:
    """Adds two numbers."""
    return {"sum": left + right}


@server.tool()
def echo(text: str) -> str:
    """Says it again."""
    return text


@server.tool()
def fail(words: str) -> str:
    """Fails."""
    raise ValueError(words)


@server.tool()
def key(ctx: Context) -> dict[str, Any]:
    """The metadata of the request, and the HTTP header of it."""
    meta: Any = ctx.request_context.meta or {}
    request: Any = ctx.request_context.request
    header = request.headers.get("idempotency-key") if request is not None else None
    return {"meta": meta.get("aiosv3/idempotency-key"), "header": header}


if __name__ == "__main__":
    server.run()
