"""The kinds of tool servers: a name in the settings, what it needs, how it is opened.

Nothing is imported for a kind that is not opened: ``aiosv3[mcp]`` is needed for two of them only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

from aiosv3.schemas.errors import AiosError
from aiosv3.tools.server import ToolServer

Era: TypeAlias = Literal["auto", "handshake", "stateless"]


class UnknownServer(AiosError):
    """A kind that there is not, or settings with which a server of its kind cannot be opened."""


@dataclass(frozen=True, slots=True)
class ServerPlace:
    """Where a server is and what it may do; secrets are filled in. ``limit``: bytes of one answer."""

    command: str = ""
    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    era: Era = "auto"
    methods: Sequence[str] = ("GET",)
    paths: Sequence[str] = ("/**",)
    private: Sequence[str] = ()
    description: bytes = b""
    """Of an OpenAPI server: the JSON text."""
    write: bool = False
    limit: int = 16 * 1024 * 1024
    timeout: float = 60.0


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: how it is opened, what it is, which settings it must have."""

    open: Callable[[ServerPlace], ToolServer]
    summary: str
    needs: tuple[str, ...]


def open_server(kind: str, place: ServerPlace) -> ToolServer:
    """A server, not connected yet. Raises :class:`UnknownServer` in words."""
    if kind not in KINDS:
        raise UnknownServer(f"there is no kind {kind!r}; there is {', '.join(sorted(KINDS))}")
    try:
        return KINDS[kind].open(place)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in {"mcp", "mcp_types", "httpx2", "anyio"}:
            raise
        raise UnknownServer(f"kind {kind!r} needs the MCP client: pip install 'aiosv3[mcp]'") from None
    except ValueError as error:
        raise UnknownServer(str(error)) from None


def _stdio(place: ServerPlace) -> ToolServer:
    from aiosv3.tools.mcp.session import McpServer
    from aiosv3.tools.mcp.stdio import Child, StdioLink

    child = Child(place.command, tuple(place.args), dict(place.env), place.folder, place.limit)
    return McpServer(lambda: StdioLink(child), place.era)


def _http_mcp(place: ServerPlace) -> ToolServer:
    from aiosv3.tools.mcp.session import McpServer
    from aiosv3.tools.mcp.streamable import HttpLink

    return McpServer(lambda: HttpLink(place.url, place.headers, place.limit, place.timeout), place.era)


def _http(place: ServerPlace) -> ToolServer:
    from aiosv3.tools.exchange import Exchange
    from aiosv3.tools.guard import Guard
    from aiosv3.tools.web import HttpTools

    exchange = Exchange(place.url, headers=place.headers, limit=place.limit, guard=Guard(place.private))
    return HttpTools(exchange, place.methods, place.paths)


def _openapi(place: ServerPlace) -> ToolServer:
    from aiosv3.tools.exchange import Exchange
    from aiosv3.tools.guard import Guard
    from aiosv3.tools.openapi import OpenApiTools, base_url, read_description

    description = read_description(place.description)
    url = place.url or base_url(description)
    if not url:
        raise ValueError("the description names no absolute server: set url")
    guard = Guard(place.private)
    return OpenApiTools(Exchange(url, headers=place.headers, limit=place.limit, guard=guard), description)


def _files(place: ServerPlace) -> ToolServer:
    from aiosv3.tools.files import FileTools

    if place.folder is None or not place.folder.is_dir():
        raise ValueError(f"there is no folder {place.folder}")
    return FileTools(place.folder, write=place.write, limit=place.limit)


KINDS: Final[dict[str, Kind]] = {
    "stdio": Kind(_stdio, "An MCP server as a child process.", ("command",)),
    "http-mcp": Kind(_http_mcp, "An MCP server over streamable HTTP.", ("url",)),
    "http": Kind(_http, "HTTP requests below one base URL.", ("url",)),
    "openapi": Kind(_openapi, "The operations of an OpenAPI 3 description.", ("spec",)),
    "files": Kind(_files, "The text files of one folder.", ("root",)),
}
