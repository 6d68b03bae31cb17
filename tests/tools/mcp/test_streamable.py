"""Streamable HTTP: the official server in this process, in both eras, and one that does what no server should."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import util
from typing import Any

import pytest
import uvicorn
from toolstage import SERVERS

from aiosv3.tools import (
    AnswerTooLarge,
    Secrets,
    ServedTools,
    ServerPolicy,
    ServerUnavailable,
    ToolCall,
    ToolError,
    ToolTimeout,
)
from aiosv3.tools.mcp.session import Era, McpServer
from aiosv3.tools.mcp.streamable import HttpLink

LIMIT = 1 << 20


def honest() -> Any:
    spec = util.spec_from_file_location("honest", SERVERS / "honest.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.server


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    app = honest().streamable_http_app(**options)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="on", ws="none"))
    running = asyncio.ensure_future(server._serve([listener]))
    try:
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        server.should_exit = True
        await running


def over_http(url: str, era: Era = "auto", headers: dict[str, str] | None = None) -> McpServer:
    return McpServer(lambda: HttpLink(url, headers or {}, LIMIT, 10.0), era)


@pytest.mark.parametrize(
    ("era", "version", "options"),
    [
        ("auto", "2026-07-28", {}),
        ("handshake", "2025-11-25", {}),
        ("handshake", "2025-11-25", {"json_response": True, "stateless_http": True}),
    ],
)
async def test_both_eras_with_the_key_as_a_header(era: Era, version: str, options: dict[str, Any]) -> None:
    async with serving(**options) as url:
        server = over_http(url, era)
        try:
            keys = [{"meta": f"t/{n}", "header": f"t/{n}"} for n in range(5)]
            calls = [server.call(ToolCall("key", {}, f"t/{n}", 10.0)) for n in range(5)]
            assert await asyncio.gather(*calls) == keys
            assert server.protocol_version == version
        finally:
            await server.aclose()


async def test_a_server_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = over_http(f"http://127.0.0.1:{port}/mcp")
    with pytest.raises(ServerUnavailable, match="ConnectError"):
        await server.tools()
    await server.aclose()


# -- one that does what no server should ------------------------------------------------------------------------------

Answer = Callable[[asyncio.StreamWriter, int, dict[str, Any]], Awaitable[None]]


def body(kind: str, raw: bytes, *more: str, status: str = "200 OK") -> bytes:
    head = [f"HTTP/1.1 {status}", f"content-type: {kind}", f"content-length: {len(raw)}", *more, "", ""]
    return "\r\n".join(head).encode() + raw


def said(number: int, result: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "result": result}).encode()


async def huge(writer: asyncio.StreamWriter, number: int, _params: Any) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
    writer.write(b'{"jsonrpc":"2.0","id":%d,"result":"' % number)
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


async def endless(writer: asyncio.StreamWriter, _number: int, _params: Any) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
    while True:
        writer.write(b": nothing\n\n")
        await writer.drain()
        await asyncio.sleep(0.01)


async def event(writer: asyncio.StreamWriter, _number: int, _params: Any) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: ")
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


async def broken(writer: asyncio.StreamWriter, number: int, _params: Any) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n")
    writer.write(said(number, {}))


async def reset(writer: asyncio.StreamWriter, _number: int, _params: Any) -> None:
    writer.transport.abort()


async def packed(writer: asyncio.StreamWriter, number: int, _params: Any) -> None:
    writer.write(body("application/json", said(number, {}), "content-encoding: gzip"))


async def elsewhere(writer: asyncio.StreamWriter, _number: int, _params: Any) -> None:
    writer.write(body("text/plain", b"", "location: http://169.254.169.254/mcp", status="307 Temporary Redirect"))


async def sick(writer: asyncio.StreamWriter, _number: int, _params: Any) -> None:
    writer.write(body("text/html", b"<h1>no</h1>", status="500 No"))


async def garbage(writer: asyncio.StreamWriter, _number: int, _params: Any) -> None:
    writer.write(body("application/json", b"]]"))


async def fine(writer: asyncio.StreamWriter, number: int, params: Any) -> None:
    content = [{"type": "text", "text": params["headers"].get("authorization", "fine")}]
    writer.write(body("application/json", said(number, {"content": content})))


TOOLS: dict[str, Answer] = {
    answer.__name__: answer for answer in (huge, endless, event, broken, reset, packed, elsewhere, sick, garbage, fine)
}


async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
        message = json.loads(await reader.readexactly(int(headers.get("content-length", "0"))) or b"{}")
        number, method, params = message.get("id"), message.get("method"), message.get("params", {})
        if method == "initialize":
            about = {"name": "evil", "version": "1"}
            opened = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": about}
            writer.write(body("application/json", said(number, opened)))
        elif method == "tools/list":
            tools = [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]
            writer.write(body("application/json", said(number, {"tools": tools})))
        elif method == "tools/call":
            await TOOLS[params["name"]](writer, number, {**params, "headers": headers})
        elif number is not None:
            writer.write(body("text/plain", b"", status="404 Not Found"))
        else:
            writer.write(body("text/plain", b"", status="202 Accepted"))
        await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


@pytest.fixture
async def evil() -> AsyncIterator[ServedTools]:
    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    server = over_http(f"http://127.0.0.1:{port}/mcp", headers={"Authorization": "Bearer a-secret-token"})
    one = ServedTools("crm", server, ServerPolicy(timeout=1.0), Secrets({"crm-token": "a-secret-token"}))
    yield one
    await one.aclose()
    listening.close()


@pytest.mark.parametrize(
    ("tool", "kind", "words"),
    [
        ("huge", AnswerTooLarge, "cut off"),
        ("endless", ToolTimeout, "no answer"),
        ("event", ToolError, "SSE|cut off"),
        ("broken", ToolError, "broke off"),
        ("reset", ServerUnavailable, "RemoteProtocolError|ReadError"),
        ("packed", ServerUnavailable, "answers packed"),
        ("elsewhere", ToolError, "not followed"),
        ("sick", ServerUnavailable, "error response"),
        ("garbage", ToolError, "Failed to parse"),
    ],
)
async def test_what_a_server_does_wrong_ends_its_own_step(
    evil: ServedTools, tool: str, kind: type[ToolError], words: str
) -> None:
    beside = asyncio.ensure_future(evil.call("fine", {}, "t/1"))
    with pytest.raises(kind, match=words):
        await evil.call(tool, {}, "t/2")
    assert (await beside).value == "bearer [secret crm-token]"
    assert (await evil.call("fine", {}, "t/3")).value == "bearer [secret crm-token]"
