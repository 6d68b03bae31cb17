"""One HTTP request of a tool: to one origin, of bounded size, its failures as the errors of tools."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

import httpx

from aiosv3.tools.errors import AnswerMalformed, AnswerTooLarge, ServerUnavailable, ToolRefused, ToolTimeout
from aiosv3.tools.guard import Guard, GuardedTransport

KEY_HEADER: Final = "Idempotency-Key"
_HOPS: Final = 3
_PASSING: Final = frozenset({408, 425, 429})
_QUOTED: Final = 500


class Ask(NamedTuple):
    """What is asked for. ``path`` begins with a slash and is below the base URL. ``key``: the idempotency key."""

    method: str
    path: str
    key: str
    timeout: float
    query: Mapping[str, Any] = {}
    headers: Mapping[str, str] = {}
    body: Any = None
    has_body: bool = False


class Exchange:
    """``headers`` go with every request and nowhere else. ``limit``: bytes of an answer. Raises ValueError."""

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        limit: int = 16 * 1024 * 1024,
        guard: Guard | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        url = urlsplit(base_url)
        if url.scheme not in {"http", "https"} or not url.hostname or url.username is not None:
            raise ValueError(f"{base_url!r} is no http(s) URL without credentials")
        self._base = base_url.rstrip("/")
        self._limit = limit
        # A small body can unpack to a huge one: nothing packed is asked for, and none is read.
        self._client = httpx.AsyncClient(
            transport=transport or GuardedTransport(guard or Guard()),
            headers={**(headers or {}), "Accept-Encoding": "identity"},
            follow_redirects=False,
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Closes its connections."""
        await self._client.aclose()

    async def send(self, ask: Ask) -> Any:
        """The answer: JSON as its value, anything else as text. Raises ToolError."""
        request = self._client.build_request(
            ask.method,
            self._base + safe_path(ask.path),
            params={name: _text(value) for name, value in ask.query.items() if value is not None},
            headers={**ask.headers, KEY_HEADER: ask.key},
            json=ask.body if ask.has_body else None,
            timeout=ask.timeout,
        )
        try:
            return await self._follow(request)
        except httpx.TimeoutException as error:
            raise ToolTimeout(f"no answer in time ({type(error).__name__})") from None
        except httpx.HTTPError as error:
            raise ServerUnavailable(f"{type(error).__name__}: {error}") from None

    async def _follow(self, request: httpx.Request) -> Any:
        for _ in range(_HOPS):
            origin = request.url
            response = await self._client.send(request, stream=True)
            try:
                following = response.next_request
                if following is None:
                    return await self._value(response)
            finally:
                await response.aclose()
            same = (origin.scheme, origin.host, origin.port) == _origin(following.url)
            if not same or following.method != request.method or following.method not in {"GET", "HEAD"}:
                raise ToolRefused(f"it redirects to {str(following.url)[:200]}, which is not followed")
            request = following
        raise ToolRefused(f"it redirects more than {_HOPS} times")

    async def _value(self, response: httpx.Response) -> Any:
        raw = await self._read(response)
        text = raw.decode(response.charset_encoding or "utf-8", "replace")
        status = response.status_code
        if status in _PASSING or status >= 500:
            raise ServerUnavailable(f"it answers {status}: {text[:_QUOTED]}")
        if status >= 300:
            raise ToolRefused(f"it answers {status}: {text[:_QUOTED]}")
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/json" or kind.endswith("+json"):
            try:
                return json.loads(raw) if raw else None
            except (ValueError, RecursionError) as error:
                raise AnswerMalformed(f"its answer is no JSON: {type(error).__name__}") from None
        return text

    async def _read(self, response: httpx.Response) -> bytes:
        packed = response.headers.get("content-encoding", "identity").strip().lower()
        if packed not in {"", "identity"}:
            raise AnswerMalformed(f"it answers packed ({packed[:40]}), which was not asked for")
        raw = bytearray()
        async for chunk in response.aiter_bytes():
            raw += chunk
            if len(raw) > self._limit:
                raise AnswerTooLarge(f"its answer is over {self._limit} bytes: cut off")
        return bytes(raw)


def safe_path(path: str) -> str:
    """``path`` if it stays below where it starts, however often somebody decodes it. Raises ToolRefused."""
    fine = path.startswith("/") and "//" not in path and not any(c in "?# " for c in path)
    seen = path
    for _ in range(3):
        fine = fine and not any(part in {".", ".."} for part in seen.split("/"))
        fine = fine and not any(c == "\\" or ord(c) < 32 or ord(c) == 127 for c in seen)
        seen = unquote(seen)
    if not fine:
        raise ToolRefused(f"{path[:200]!r} is no path: begin with '/', no dots, no query, no spaces")
    return path


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(item) for item in value]
    return value if isinstance(value, str) else json.dumps(value)
