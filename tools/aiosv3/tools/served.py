"""One server under its policy: time, room, tries, secrets, shapes. Whatever it does, its step ends here, in words."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from aiosv3.tools.errors import AnswerMalformed, ToolError, ToolRefused, ToolTimeout
from aiosv3.tools.secret import Secrets
from aiosv3.tools.server import ToolCall, ToolServer, ToolSpec
from aiosv3.tools.shapes import Unfit, check
from aiosv3.tools.zones import ServerPolicy

T = TypeVar("T")
_LOG: Final = logging.getLogger(__name__)
_LONGEST_WORDS: Final = 2_000
_RETRY_S: Final = 0.5


class Done(NamedTuple):
    """An answer, scrubbed. ``calls``: how often the server was asked for it."""

    value: Any
    calls: int


class ServedTools:
    """``name``: of the server in its zone. Every error that leaves is a ToolError without a secret in it."""

    def __init__(self, name: str, server: ToolServer, policy: ServerPolicy, secrets: Secrets) -> None:
        self.name = name
        self._server = server
        self._policy = policy
        self._secrets = secrets
        self._room = asyncio.Semaphore(policy.concurrency)
        self.alive: Callable[[], bool] = lambda: True
        """Whether a broker has answered within a session: no call begins before one has (protocol rule 6)."""

    async def tools(self) -> Sequence[ToolSpec]:
        """What the server lists, within the time of a call."""
        return await self._bounded(self._server.tools(), self._policy.timeout)

    async def call(self, tool: str, arguments: dict[str, Any], key: str, left: float | None = None) -> Done:
        """Calls ``tool``; ``left``: seconds that the task has, if fewer than the policy allows."""
        timeout = self._policy.timeouts.get(tool, self._policy.timeout)
        timeout = timeout if left is None else max(0.001, min(timeout, left))
        return await self._bounded(
            self._within(tool, arguments, key, asyncio.get_running_loop().time() + timeout), timeout
        )

    async def aclose(self) -> None:
        """Ends the server's session or process."""
        await self._server.aclose()

    async def _bounded(self, work: Awaitable[T], timeout: float) -> T:
        try:
            async with asyncio.timeout(timeout):
                return await work
        except ToolError as error:
            raise self._clean(error) from None
        except TimeoutError:
            raise ToolTimeout(f"{self.name} had no answer within {timeout:g} s") from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise ToolError(f"{self.name} cancelled its own call") from None
        except Exception as error:  # noqa: BLE001 -- the boundary of a tool server: raised further, it would be called again
            words = self._words(f"unexpected {type(error).__name__}: {error}")
            _LOG.error("%s", words)
            raise ToolError(words) from None

    def _clean(self, error: ToolError) -> ToolError:
        return type(error)(self._words(error.message), calls=error.calls)

    def _words(self, said: str) -> str:
        """Without secrets first, then cut: the half of one must not be left over. Fit for UTF-8."""
        words = self._secrets.scrub_text(f"{self.name}: {said}")[:_LONGEST_WORDS]
        return words.encode("utf-8", "replace").decode()

    async def _within(self, tool: str, arguments: dict[str, Any], key: str, deadline: float) -> Done:
        async with self._room:
            spec = await self._spec(tool)
            revealed = self._secrets.reveal(arguments)
            try:
                check(revealed, spec.input_schema)
            except Unfit as error:
                raise ToolRefused(f"the arguments do not fit {tool}: {error}") from None
            done = await self._tries(spec, ToolCall(tool, revealed, key, 0.0), deadline)
        if spec.output_schema is not None:
            try:
                check(done.value, spec.output_schema)
            except Unfit as error:
                words = f"the answer of {tool} is not of its own output schema: {error}"
                raise AnswerMalformed(words, calls=done.calls) from None
        return Done(self._secrets.scrub(done.value), done.calls)

    async def _spec(self, tool: str) -> ToolSpec:
        specs = await self._server.tools()
        found = next((spec for spec in specs if spec.name == tool), None)
        if found is None:
            known = ", ".join(sorted(spec.name for spec in specs)[:20]) or "none"
            raise ToolRefused(f"there is no tool {tool!r}; there is {known}")
        return found

    async def _tries(self, spec: ToolSpec, call: ToolCall, deadline: float) -> Done:
        """Again only where that does no harm, and always under the same key."""
        again = spec.repeatable if self._policy.retry is None else self._policy.retry
        tries = self._policy.tries if again else 1
        for number in range(1, tries + 1):
            while not self.alive():  # whoever waited, or was stopped, may have lost its partition meanwhile
                await asyncio.sleep(_RETRY_S)
            left = max(0.001, deadline - asyncio.get_running_loop().time())
            try:
                timed = ToolCall(call.tool, call.arguments, call.key, left)
                return Done(await self._server.call(timed), number)
            except ToolError as error:
                error.calls = number
                if number == tries or not error.retryable:
                    raise
                _LOG.warning("%s: %s is tried again: %s", self.name, call.tool, type(error).__name__)
            await asyncio.sleep(self._policy.backoff * 2 ** (number - 1))
        raise AssertionError("unreachable: the last try returns or raises")
