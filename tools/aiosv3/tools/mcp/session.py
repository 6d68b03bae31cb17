"""An MCP server: one long-lived session, opened when first used, another after it died, closed at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import anyio
from mcp import MCPError
from mcp_types import (
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    REQUEST_TIMEOUT,
    InputRequiredResult,
)
from pydantic import ValidationError

from aiosv3.tools.errors import AnswerMalformed, AnswerTooLarge, ToolError, ToolRefused, ToolTimeout
from aiosv3.tools.mcp.answers import value_of
from aiosv3.tools.mcp.keeping import Era, Link, Session
from aiosv3.tools.server import ToolCall, ToolSpec

__all__ = ["Era", "Link", "McpServer"]

_CODES: Final = {METHOD_NOT_FOUND: "no such method", INVALID_PARAMS: "invalid arguments"}
_CUT_OFF: Final = ": cut off"


class McpServer:
    """Implements :class:`~aiosv3.tools.server.ToolServer` over ``connect``, which makes a link for each session."""

    def __init__(self, connect: Callable[[], Link], era: Era = "auto") -> None:
        self._connect = connect
        self._era: Era = era
        self._sessions: list[Session] = []
        """The one in use is the last; those before it wait for their last calls."""

    @property
    def protocol_version(self) -> str | None:
        """What was agreed on, while a session is open."""
        last = self._sessions[-1] if self._sessions else None
        return last.client.protocol_version if last is not None and last.usable else None

    async def tools(self) -> Sequence[ToolSpec]:
        return (await self._session()).specs

    async def call(self, call: ToolCall) -> Any:
        session = await self._session()
        try:
            result = await session.send(call)
        except MCPError as error:
            raise _failed(error, session) from None
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            session.retire()
            raise session.unavailable("the connection is closed") from None
        except ValidationError as error:
            raise AnswerMalformed(f"its answer is no tool result: {error.error_count()} faults") from None
        if isinstance(result, InputRequiredResult):
            raise ToolRefused("it asks for input of a person or a model, which a tool worker does not give")
        return value_of(result)

    async def aclose(self) -> None:
        for session in self._sessions:
            await session.close()

    async def _session(self) -> Session:
        self._sessions = [session for session in self._sessions if session.alive]
        if not self._sessions or not self._sessions[-1].usable:
            self._sessions.append(Session(self._connect(), self._era))
        return await self._sessions[-1].opened()


def _failed(error: MCPError, session: Session) -> ToolError:
    """A fault of the connection retires the session; all others are of their own call."""
    code, words = error.error.code, error.error.message
    if words.endswith(_CUT_OFF):
        return AnswerTooLarge(words)
    if code == REQUEST_TIMEOUT:
        return ToolTimeout(f"no answer in time: {words}")
    if code == PARSE_ERROR:
        return AnswerMalformed(words)
    if code == CONNECTION_CLOSED or (code == INVALID_REQUEST and words == "Session terminated"):
        session.retire()
        return session.unavailable(words)
    if code == INTERNAL_ERROR:
        return session.unavailable(words)
    return ToolRefused(f"{_CODES.get(code, f'error {code}')}: {words}")
