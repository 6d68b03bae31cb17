"""One client session with an MCP server, kept open by a task of its own."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager, suppress
from importlib.metadata import version
from typing import Any, Final, Literal, Protocol, TypeAlias

import anyio
from mcp import Client
from mcp_types import CallToolRequest, CallToolRequestParams, CallToolResult, Implementation, InputRequiredResult, Tool
from pydantic import TypeAdapter

from aiosv3.tools.errors import ServerUnavailable, ToolError
from aiosv3.tools.mcp.keys import KEY_META, step_key
from aiosv3.tools.server import ToolCall, ToolSpec

Era: TypeAlias = Literal["auto", "handshake", "stateless"]
"""Of the protocol: sessions that begin with ``initialize`` (2025-11-25 and before), or requests that each say all."""
Said: TypeAlias = CallToolResult | InputRequiredResult

_MODES: Final[dict[Era, Any]] = {"auto": "auto", "handshake": "legacy", "stateless": "2026-07-28"}
_OPEN_S: Final = 30.0
_PAGES: Final = 100
_TOOLS: Final = 2_000
_SAID: Final[TypeAdapter[Said]] = TypeAdapter(Said)
_LOG: Final = logging.getLogger(__name__)


class Link(Protocol):
    """One connection: the streams of the SDK's transport contract, and whether they have ended."""

    gone: anyio.Event

    def open(self) -> AbstractAsyncContextManager[tuple[Any, Any]]:
        """Connects; used once."""
        ...

    def last_words(self) -> str:
        """What is known about its end."""
        ...


class Session:
    """Opens at once. The SDK's scopes belong to the task that enters them, so one task opens it, waits, closes it.

    :meth:`retire`: no new call takes it; it closes when the calls in flight have ended, so that they are not harmed.
    """

    def __init__(self, link: Link, era: Era) -> None:
        _quiet()
        self.link = link
        self.client = Client(link.open(), mode=_MODES[era], cache=None, client_info=_us())
        self.specs: tuple[ToolSpec, ...] = ()
        self._calls = 0
        self._retired = False
        self._changed = asyncio.Event()
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ready.add_done_callback(_retrieve)
        self._keeper = asyncio.get_running_loop().create_task(self._keep())

    @property
    def alive(self) -> bool:
        """Not closed yet."""
        return not self._keeper.done()

    @property
    def usable(self) -> bool:
        """Open or opening."""
        return not self._retired and self.alive and not self.link.gone.is_set()

    async def opened(self) -> Session:
        """Itself, once it is open. Raises ToolError in words where it cannot be opened."""
        await asyncio.shield(self._ready)
        return self

    async def send(self, call: ToolCall) -> Said:
        """One ``tools/call``. Raises what the SDK raises."""
        asked = {"name": call.tool, "arguments": call.arguments, "_meta": {KEY_META: call.key}}
        request = CallToolRequest(params=CallToolRequestParams.model_validate(asked))
        token = step_key.set(call.key)
        self._calls += 1
        try:
            # Not client.call_tool: that runs the server's own schemas, regular expressions and all, in this process.
            return await self.client.session.send_request(request, _SAID, call.timeout)
        finally:
            self._calls -= 1
            self._changed.set()
            step_key.reset(token)

    def retire(self) -> None:
        """See the class."""
        self._retired = True
        self._changed.set()

    async def close(self) -> None:
        """Ends it now, with the calls in flight."""
        self._calls = 0
        self.retire()
        with suppress(asyncio.CancelledError):
            await self._keeper

    async def _keep(self) -> None:
        try:
            async with _Entered(self.client) as entered:
                async with asyncio.timeout(_OPEN_S):
                    await entered.enter()
                    self.specs = await _list(self.client)
                self._ready.set_result(None)
                await self._until_over()
        except asyncio.CancelledError:
            self._fail(self.unavailable("its session was ended"))
            raise
        except ToolError as error:
            self._fail(error)
        except TimeoutError:
            self._fail(self.unavailable(f"it did not open within {_OPEN_S:g} s"))
        except Exception as error:  # noqa: BLE001 -- the boundary of the SDK: whatever ends it, the next call opens another
            self._fail(self.unavailable(f"it cannot be used: {_said(error)}"))
            _LOG.info("a session with an MCP server ended: %s", type(error).__name__)

    async def _until_over(self) -> None:
        gone = asyncio.ensure_future(self.link.gone.wait())
        gone.add_done_callback(lambda _: self._changed.set())
        try:
            while not (self.link.gone.is_set() or (self._retired and self._calls <= 0)):
                self._changed.clear()
                await self._changed.wait()
        finally:
            gone.cancel()

    def _fail(self, error: ToolError) -> None:
        if not self._ready.done():
            self._ready.set_exception(error)

    def unavailable(self, words: str) -> ServerUnavailable:
        """``words`` and what is known about the end of its connection."""
        return ServerUnavailable("; ".join(filter(None, (words, self.link.last_words()))))


class _Entered:
    """A client that is entered inside the block, so that the time for it can be limited, and left at its end."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._entered = False

    async def enter(self) -> None:
        await self._client.__aenter__()
        self._entered = True

    async def __aenter__(self) -> _Entered:
        return self

    async def __aexit__(self, *raised: Any) -> None:
        if self._entered:
            await self._client.__aexit__(*raised)


async def _list(client: Client) -> tuple[ToolSpec, ...]:
    specs: dict[str, ToolSpec] = {}
    cursor: str | None = None
    for _ in range(_PAGES):
        page = await client.list_tools(cursor=cursor)
        specs.update((tool.name, _spec(tool)) for tool in page.tools)
        cursor = page.next_cursor
        if cursor is None:
            return tuple(specs[name] for name in sorted(specs))
        if len(specs) > _TOOLS:
            break
    raise ServerUnavailable(f"it lists more than {_TOOLS} tools or {_PAGES} pages of them")


def _spec(tool: Tool) -> ToolSpec:
    hints = tool.annotations
    return ToolSpec(
        name=tool.name,
        description=tool.description or "",
        input_schema=tool.input_schema,
        output_schema=tool.output_schema,
        idempotent=bool(hints and hints.idempotent_hint),
        read_only=bool(hints and hints.read_only_hint),
    )


def _quiet() -> None:
    """The SDK logs what servers say, whole: secrets that they echo would be in our logs. Its sessions say "client"."""
    for name in ("mcp", "client", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _us() -> Implementation:
    return Implementation(name="aiosv3", version=version("aiosv3"))


def _said(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def _retrieve(future: asyncio.Future[None]) -> None:
    if not future.cancelled():
        future.exception()
