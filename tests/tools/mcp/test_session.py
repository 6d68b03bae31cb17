"""Sessions with real servers of both protocol eras: opened once, opened again, closed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from toolstage import SERVERS

from aiosv3.tools import ServedTools, ServerUnavailable, ToolCall, ToolRefused
from aiosv3.tools.mcp.session import Era, McpServer
from aiosv3.tools.mcp.stdio import Child, StdioLink

Children = Callable[..., AbstractAsyncContextManager[ServedTools]]


def call(tool: str, **arguments: Any) -> ToolCall:
    return ToolCall(tool, arguments, "t/1", 10.0)


class Links:
    """Makes links to one program and keeps them."""

    def __init__(self, program: str, *args: str) -> None:
        self.child = Child(sys.executable, [str(SERVERS / program), *args], grace=0.5)
        self.made: list[StdioLink] = []

    def __call__(self) -> StdioLink:
        self.made.append(StdioLink(self.child))
        return self.made[-1]


@pytest.mark.parametrize(
    ("program", "era", "version"),
    [
        ("honest.py", "auto", "2026-07-28"),
        ("plain.py", "auto", "2025-06-18"),
        ("plain.py", "handshake", "2025-06-18"),
    ],
)
async def test_both_eras(program: str, era: Era, version: str) -> None:
    server = McpServer(Links(program), era)
    try:
        names = [spec.name for spec in await server.tools()]
        assert names == sorted(names)
        assert "echo" in names
        said = await server.call(call("echo", text="hi"))
        assert said in ("hi", {"result": "hi"})
        assert server.protocol_version == version
        if program == "honest.py":
            assert (await server.call(call("key")))["meta"] == "t/1"
            assert await server.call(call("add", left=1, right=2)) == {"sum": 3}
            with pytest.raises(ToolRefused):
                await server.call(call("fail", words="no"))
    finally:
        await server.aclose()


async def test_one_session_for_all_calls_and_another_after_it_died() -> None:
    links = Links("plain.py", "hostile")
    server = McpServer(links)
    answers = await asyncio.gather(*(server.call(call("double", number=n)) for n in range(20)))
    assert answers == [{"number": 2 * n} for n in range(20)]
    assert len(links.made) == 1
    with pytest.raises(ServerUnavailable):
        await server.call(call("half"))
    assert await server.call(call("double", number=4)) == {"number": 8}
    assert len(links.made) == 2
    await server.aclose()
    assert all(link.gone.is_set() for link in links.made)
    assert server.protocol_version is None


async def test_hints_and_schemas_are_read() -> None:
    server = McpServer(Links("plain.py"))
    specs = {spec.name: spec for spec in await server.tools()}
    await server.aclose()
    assert (specs["double"].read_only, specs["double"].repeatable, specs["echo"].repeatable) == (True, True, False)
    assert specs["double"].output_schema is not None
    assert specs["echo"].output_schema is None


async def test_a_list_without_end_is_not_read_to_its_end() -> None:
    server = McpServer(Links("plain.py", "endless-list"))
    with pytest.raises(ServerUnavailable, match="more than 2000 tools or 100 pages"):
        await server.tools()
    await server.aclose()


async def test_whoever_waits_for_a_session_that_does_not_open_hears_why() -> None:
    server = McpServer(lambda: StdioLink(Child(sys.executable, ["-c", "raise SystemExit('no licence')"])))
    heard = await asyncio.gather(*(server.tools() for _ in range(3)), return_exceptions=True)
    assert all("no licence" in str(error) for error in heard)
    assert all(isinstance(error, ServerUnavailable) for error in heard)
    await server.aclose()


async def test_closing_what_was_never_opened() -> None:
    await McpServer(Links("plain.py")).aclose()
