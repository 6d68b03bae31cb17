"""The stdio transport of MCP, for servers that nobody trusts: whatever the child writes, only so much of it is kept.

The SDK's own reads lines of any length. This one cuts them while they are read, ends a child that floods, and keeps of
its stderr only the end.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp_types import CONNECTION_CLOSED, PARSE_ERROR, ErrorData, JSONRPCError, JSONRPCRequest
from mcp_types import JSONRPCNotification as Notification
from mcp_types import jsonrpc_message_adapter as messages

from aiosv3.tools.mcp.lines import Line, LineCutter

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

_CHUNK: Final = 65_536
_FLOOD: Final = 4
"""So many times the limit may come without an answer in it."""
_CHATTER: Final = 2_000
"""So many messages may come without an answer between them."""
_STDERR: Final = 4_000
_LAST_WORDS: Final = 300


@dataclass(frozen=True, slots=True)
class Child:
    """How a server is started. ``limit``: bytes of one message. Of our environment it gets ``PATH`` and little more."""

    command: str
    args: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    limit: int = 16 * 1024 * 1024
    patience: float = 10.0
    """Seconds after which a child that does not read what it is sent is killed."""
    grace: float = 2.0
    """Seconds to end by itself, and again after SIGTERM."""


class StdioLink:
    """One run of a child: ``async with link.open() as (read, write)``. ``gone`` is set once its messages end."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self.gone = anyio.Event()
        self.noise = 0
        """Lines that were no messages: a server that logs to stdout, or worse."""
        self.why = ""
        self._stderr = b""

    def last_words(self) -> str:
        """Why it ended, and the end of what it wrote to stderr."""
        said = " ".join(self._stderr.decode("utf-8", "replace").split())[-_LAST_WORDS:]
        noise = f"{self.noise} lines of its output were no messages" if self.noise else ""
        return "; ".join(filter(None, (self.why, noise, f"its stderr ends: {said}" if said else "")))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[Any, Any]]:
        """The streams of the SDK's transport contract. Raises OSError where the child cannot be started."""
        child = self._child
        process = await asyncio.create_subprocess_exec(
            child.command,
            *child.args,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**get_default_environment(), **child.env},
            cwd=child.cwd,
            start_new_session=True,
        )
        into, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        write, outof = anyio.create_memory_object_stream[SessionMessage](0)
        try:
            async with AsyncExitStack() as stack:
                for stream in (into, read, write, outof):
                    stack.push_async_callback(stream.aclose)
                group = await stack.enter_async_context(anyio.create_task_group())
                group.start_soon(self._listen, process, into)
                group.start_soon(self._overhear, process)
                group.start_soon(self._speak, process, outof, into)
                yield read, write
                group.cancel_scope.cancel()
        finally:
            self.gone.set()
            with anyio.CancelScope(shield=True):
                await _end(process, child.grace)

    async def _listen(
        self, process: asyncio.subprocess.Process, into: MemoryObjectSendStream[SessionMessage | Exception]
    ) -> None:
        assert process.stdout is not None
        cutter, quiet, chatter = LineCutter(self._child.limit), 0, 0
        try:
            while chunk := await process.stdout.read(_CHUNK):
                quiet += len(chunk)
                for line in cutter.feed(chunk):
                    message = self._message(line)
                    answered = message is not None and not isinstance(message.message, (JSONRPCRequest, Notification))
                    quiet, chatter = (0, 0) if answered else (quiet, chatter + 1)
                    if message is not None:
                        await into.send(message)
                if quiet > _FLOOD * self._child.limit or chatter > _CHATTER:
                    self.why = "it wrote without end and answered nothing: it was killed"
                    _kill(process, signal.SIGKILL)
                    return
            self.why = self.why or "it closed its output"
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # the session is over
        finally:
            into.close()
            self.gone.set()

    def _message(self, line: Line) -> SessionMessage | None:
        if line.cut:
            return _error(line, CONNECTION_CLOSED, f"its answer is over {self._child.limit} bytes: cut off")
        try:
            return SessionMessage(messages.validate_json(line.raw, by_name=False))
        except ValueError:
            self.noise += 1
            return _error(line, PARSE_ERROR, "its answer is no JSON-RPC")

    async def _overhear(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while chunk := await process.stderr.read(_CHUNK):
            self._stderr = (self._stderr + chunk)[-_STDERR:]

    async def _speak(
        self,
        process: asyncio.subprocess.Process,
        outof: MemoryObjectReceiveStream[SessionMessage],
        into: MemoryObjectSendStream[SessionMessage | Exception],
    ) -> None:
        assert process.stdin is not None
        try:
            async for message in outof:
                text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                process.stdin.write(text.encode() + b"\n")
                async with asyncio.timeout(self._child.patience):
                    await process.stdin.drain()
        except TimeoutError:
            self.why = "it does not read its input: it was killed"
            _kill(process, signal.SIGKILL)
        except OSError:
            into.close()  # whoever waits for an answer must hear that there will be none


def _error(line: Line, code: int, words: str) -> SessionMessage | None:
    """The failed answer of the request that a spoilt line was for; None where its beginning does not say which."""
    number = line.answers
    if number is None:
        return None
    return SessionMessage(JSONRPCError(jsonrpc="2.0", id=number, error=ErrorData(code=code, message=words)))


async def _end(process: asyncio.subprocess.Process, grace: float) -> None:
    """Closes its input, waits, then ends it and all that it started: first kindly, then not."""
    if process.stdin is not None:
        process.stdin.close()
    for number in (None, signal.SIGTERM, signal.SIGKILL):
        if number is not None:
            _kill(process, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await process.wait()
                break
    _kill(process, signal.SIGKILL)  # its own children may still be there
    transport = getattr(process, "_transport", None)
    if transport is not None:
        transport.close()  # a grandchild that holds a pipe would keep it open for ever


def _kill(process: asyncio.subprocess.Process, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
