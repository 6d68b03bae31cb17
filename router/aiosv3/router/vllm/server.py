"""A vLLM server as the model worker in front of it sees it: looked at once a second, woken where it sleeps."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import httpx

from aiosv3.router.endpoints.clients import checked_url, tls_for
from aiosv3.router.endpoints.errors import Overloaded, Unreachable
from aiosv3.router.guard import ServerLoad
from aiosv3.router.vllm.numbers import Numbers, read_numbers

_LOG: Final = logging.getLogger(__name__)
_LARGEST: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class LookPolicy:
    """``every``: seconds between looks, at least one. ``stale``: seconds after which what was seen counts no more.

    ``wakes``: a server that sleeps is woken by the next call; else its pool is down until somebody else wakes it.
    """

    every: float = 1.0
    stale: float = 5.0
    timeout: float = 2.0
    wakes: bool = False
    wake_s: float = 120.0


class VllmServer:
    """A :class:`~aiosv3.router.guard.Backing`. ``base_url`` is that of the API (``http://host:8000/v1``).

    ``clock`` is milliseconds since the epoch. ``gate``: why the server cannot be asked now (it starts), or None.
    """

    def __init__(
        self,
        base_url: str,
        clock: Callable[[], int],
        policy: LookPolicy | None = None,
        *,
        gate: Callable[[], str | None] = lambda: None,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        self._root = server_root(base_url)
        self._clock = clock
        self._policy = policy or LookPolicy()
        self._gate = gate
        self._verify = verify or tls_for(self._root)
        self._client: httpx.AsyncClient | None = None
        self._numbers: Numbers | None = None
        self._before: Numbers | None = None
        self._seen_at = 0.0
        self._seen = 0
        self._rate: float | None = None
        self._waking: asyncio.Future[None] | None = None

    @property
    def asleep(self) -> bool:
        fresh = self._fresh()
        return fresh is not None and fresh.asleep

    def blocked(self) -> str | None:
        if (gated := self._gate()) is not None:
            return gated
        if self.asleep and not self._policy.wakes:
            return "sleeps, and this pool does not wake it (pools.NAME.wake)"
        return None

    def load(self) -> ServerLoad | None:
        fresh = self._fresh()
        if fresh is None:
            return None
        return ServerLoad(fresh.running, fresh.waiting, fresh.cache_usage, self._rate, self._seen)

    async def wake(self) -> None:
        """Many callers wake it once. Raises ``Overloaded`` where it does not wake."""
        if not self.asleep:
            return
        if self._waking is None:
            self._waking = asyncio.ensure_future(self._wake())
        waking = self._waking
        try:
            await asyncio.shield(waking)
        finally:
            if waking.done():
                self._waking = None

    async def watch(self) -> None:
        """Looks again and again, until cancelled. A failed look is no failure of the pool: its calls tell that."""
        said = False
        while True:
            seen = await self.look()
            if not seen and not said:
                _LOG.warning(
                    "%s/metrics says nothing of vLLM's: load is counted by the calls of this worker", self._root
                )
            said = not seen
            await asyncio.sleep(self._policy.every)

    async def look(self) -> bool:
        """Reads ``/metrics`` once; True where it has vLLM's numbers."""
        began = time.monotonic()
        text = ""
        with suppress(TimeoutError, httpx.HTTPError, UnicodeDecodeError):
            async with asyncio.timeout(self._policy.timeout):
                text = await self._text()
        numbers = await asyncio.to_thread(read_numbers, text) if len(text) > 1 << 18 else read_numbers(text)
        if numbers is None:
            return False
        self._rate = _hit_rate(self._before, numbers, self._rate)
        self._before = self._numbers = numbers
        self._seen_at, self._seen = began, self._clock()
        return True

    async def aclose(self) -> None:
        """Closes its connection."""
        if self._client is not None:
            await self._client.aclose()

    def _fresh(self) -> Numbers | None:
        return self._numbers if time.monotonic() - self._seen_at <= self._policy.stale else None

    async def _text(self) -> str:
        body = bytearray()
        async with self._http().stream("GET", "/metrics") as response:
            if response.status_code != 200:
                return ""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _LARGEST:
                    return ""
        return body.decode()

    async def _wake(self) -> None:
        _LOG.info("%s sleeps: waking it", self._root)
        try:
            async with asyncio.timeout(self._policy.wake_s):
                answer = await self._http().post("/wake_up", timeout=None)
                if answer.status_code == 404:
                    raise Overloaded("the server sleeps and has no /wake_up: start it with VLLM_SERVER_DEV_MODE=1")
                if not answer.is_success:
                    raise Overloaded(f"the server sleeps, and /wake_up says HTTP {answer.status_code}")
                while not await self.look() or self.asleep:
                    await asyncio.sleep(self._policy.every / 4)
        except TimeoutError:
            raise Overloaded(f"the server did not wake within {self._policy.wake_s:g} s") from None
        except httpx.HTTPError as error:
            raise Unreachable(f"the server sleeps and could not be woken: {type(error).__name__}") from None

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            limits = httpx.Limits(max_connections=2, max_keepalive_connections=1)
            self._client = httpx.AsyncClient(
                base_url=self._root, trust_env=False, follow_redirects=False, limits=limits, verify=self._verify
            )
        return self._client


def server_root(base_url: str) -> str:
    """Where ``/metrics`` and ``/health`` are: the URL of the API without its version."""
    return checked_url(base_url).removesuffix("/v1")


def _hit_rate(before: Numbers | None, now: Numbers, last: float | None) -> float | None:
    """Of the tokens since the look before; what it was where none were looked up; since the start at first."""
    if now.queries is None or now.hits is None:
        return now.hit_rate
    since = before if before is not None and before.queries is not None and before.queries <= now.queries else None
    queries = now.queries - (0.0 if since is None else since.queries or 0.0)
    hits = now.hits - (0.0 if since is None else since.hits or 0.0)
    return last if queries <= 0 else min(1.0, max(0.0, hits / queries))
