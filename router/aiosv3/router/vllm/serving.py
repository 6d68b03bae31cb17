"""``vllm serve`` as a child: started, waited for, started again when it ends, drained at the end."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import httpx

from aiosv3.router.vllm.errors import ServerFailed
from aiosv3.router.vllm.server import server_root
from aiosv3.router.vllm.tether import GRACE

_LOG: Final = logging.getLogger(__name__)
_TAIL: Final = 20
_LONGEST_GAP_S: Final = 60.0
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_ENDS: Final = re.compile(rb"[\r\n]+")
_CHUNK: Final = 1 << 16
_STAMP: Final = re.compile(r"\d\d[-/]\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?|\bpid=\d+")
"""What differs between two lines that say the same."""
_MOST_NEWS: Final = 100_000
_TROUBLE: Final = re.compile(r"\b(?:ERROR|CRITICAL|Error|Exception)\b")


@dataclass(frozen=True, slots=True)
class ServingPolicy:
    """Seconds. ``start``: without a sign of progress, until it must be well; weights take as long as they take, and it
    says how far they are. ``drain``: to end by itself.

    It is started again after ``again``, doubled up to ``longest`` while it does not stay well for ``settled``.
    ``progress``: until it says how far it is, doubled up to a minute.
    ``sick``: answers in a row that its engine is dead, after which it is started again though it runs.
    """

    start: float = 1_800.0
    drain: float = 20.0
    again: float = 1.0
    longest: float = 60.0
    settled: float = 60.0
    check: float = 5.0
    poll: float = 0.25
    progress: float = 5.0
    sick: int = 3


class Serving:
    """Keeps one server running. ``command`` starts it in the foreground; ``base_url`` is where it will answer."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        base_url: str,
        policy: ServingPolicy | None = None,
    ) -> None:
        self.policy = policy or ServingPolicy()
        self.base_url = base_url
        self.starts = 0
        self._command = list(command)
        self._environment = dict(environment)
        self._root = server_root(base_url)
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Future[None] | None = None
        self._said: deque[str] = deque(maxlen=_TAIL)
        self._news: set[int] = set()
        self._heard = 0.0
        self._well = False
        self._why = "is being started"

    def gate(self) -> str | None:
        """Why it cannot be asked now, for the pool's status; None where it can."""
        return None if self._well else f"its vLLM {self._why}"

    async def start(self) -> None:
        """Starts it and returns when it is well. Raises ``ServerFailed`` where it ends before, or takes too long."""
        began = self._heard = time.monotonic()
        await self._launch()
        spoke, gap = began, self.policy.progress
        async with httpx.AsyncClient(base_url=self._root, trust_env=False, timeout=2.0) as client:
            while await _health(client) != 200:
                if self._process is None or self._process.returncode is not None:
                    raise self._failed(f"ended with code {await self._ended()} before it was well")
                now = time.monotonic()
                if now - self._heard > self.policy.start:
                    await self.stop()
                    raise self._failed(
                        f"was not well {now - began:.0f} s after its start, and said nothing new for "
                        f"{self.policy.start:g} s"
                    )
                if now - spoke >= gap:
                    spoke, gap = now, min(_LONGEST_GAP_S, gap * 2)
                    _LOG.info("vLLM is not well yet after %d s: %s", now - began, self._last())
                await asyncio.sleep(self.policy.poll)
        self._well = True
        _LOG.info("vLLM is well at %s after %.0f s", self._root, time.monotonic() - began)

    async def keep(self) -> None:
        """Starts it again whenever it ends, until cancelled; :meth:`start` came before. Never raises."""
        wait = self.policy.again
        well_since = time.monotonic()
        while True:
            why = await self._until_down()
            self._well, self._why = False, f"{why} and is started again"
            if time.monotonic() - well_since >= self.policy.settled:
                wait = self.policy.again
            _LOG.error("vLLM %s, started again in %g s; it said: %s", why, wait, self._last())
            await self.stop()
            await asyncio.sleep(wait)
            wait = min(self.policy.longest, wait * 2)
            try:
                await self.start()
            except ServerFailed as error:
                _LOG.error("%s", error)
            well_since = time.monotonic()

    async def stop(self) -> None:
        """Ends it: SIGTERM first, then by force. Calls that it still works on fail."""
        self._well = False
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self.policy.drain + 10.0)
        except TimeoutError:
            process.kill()
            await process.wait()
        if self._reading is not None:
            await self._reading

    async def _launch(self) -> None:
        self.starts += 1
        self._said.clear()
        self._news.clear()
        tether = [sys.executable, "-m", "aiosv3.router.vllm.tether"]
        environment = {**self._environment, GRACE: f"{self.policy.drain:g}"}
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *tether,
            *self._command,
            stdin=pipe,
            stdout=pipe,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the worker, which drains first
        )
        self._reading = asyncio.ensure_future(self._read(self._process))
        _LOG.info("started: %s", " ".join(self._command))

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Keeps its last lines, and passes on those that tell of trouble. A progress bar ends its lines with CR."""
        assert process.stdout is not None
        rest = b""
        while raw := await process.stdout.read(_CHUNK):
            *lines, rest = _ENDS.split(rest + raw)
            for line in lines:
                self._hear(line)
            rest = rest[-_CHUNK:]
        self._hear(rest)

    def _hear(self, raw: bytes) -> None:
        line = _COLOURS.sub("", raw.decode("utf-8", "replace")).strip()[-300:]
        if not line:
            return
        if not self._well and len(self._news) < _MOST_NEWS and (said := hash(_STAMP.sub("", line))) not in self._news:
            # What it repeats, as one does who waits for something, is no progress.
            self._news.add(said)
            self._heard = time.monotonic()
        self._said.append(line)
        _LOG.log(logging.WARNING if _TROUBLE.search(line) else logging.DEBUG, "vllm: %s", line)

    async def _until_down(self) -> str:
        """Why it has to be started again."""
        sick = 0
        async with httpx.AsyncClient(base_url=self._root, trust_env=False, timeout=2.0) as client:
            while True:
                process = self._process
                if process is None:
                    return "did not come up"
                with suppress(TimeoutError):
                    code = await asyncio.wait_for(process.wait(), self.policy.check)
                    return f"ended with code {code}"
                status = await _health(client)
                # A server under load may answer late; one that says itself that its engine is dead will not mend.
                sick = sick + 1 if status >= 500 else 0
                if sick >= self.policy.sick:
                    return f"says HTTP {status} of its health"

    async def _ended(self) -> int | None:
        process, self._process = self._process, None
        if self._reading is not None:
            await self._reading
        return None if process is None else await process.wait()

    def _failed(self, words: str) -> ServerFailed:
        said = "\n  ".join(self._said) or "nothing"
        return ServerFailed(f"vLLM {words}. The command: {' '.join(self._command)}\nIt said:\n  {said}")

    def _last(self) -> str:
        return self._said[-1] if self._said else "it has said nothing yet"


async def _health(client: httpx.AsyncClient) -> int:
    """The status of ``/health``; 0 without an answer."""
    try:
        return (await client.get("/health")).status_code
    except httpx.HTTPError:
        return 0
