from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from aiosv3.tools import AnswerMalformed, AnswerTooLarge, ServerUnavailable, ToolError, ToolRefused, ToolTimeout
from aiosv3.tools.exchange import Ask, Exchange, safe_path

Answer = Callable[[httpx.Request], httpx.Response]


def exchange(answer: Answer, **more: Any) -> Exchange:
    return Exchange("http://api.example/v1/", transport=httpx.MockTransport(answer), **more)


def ask(method: str = "GET", path: str = "/x", **more: Any) -> Ask:
    return Ask(method, path, "t/1", 5.0, **more)


async def test_a_request_has_its_key_its_headers_and_its_query() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == "http://api.example/v1/x?a=1&b=text&c=true&d=1&d=2"
        assert request.headers["idempotency-key"] == "t/1"
        assert request.headers["authorization"] == "Bearer t"
        assert request.headers["accept-encoding"] == "identity"
        return httpx.Response(200, json={"ok": True})

    query = {"a": 1, "b": "text", "c": True, "d": [1, 2], "e": None}
    made = exchange(answer, headers={"Authorization": "Bearer t"})
    assert await made.send(ask(query=query)) == {"ok": True}
    await made.aclose()


@pytest.mark.parametrize(
    ("response", "kind", "words"),
    [
        (httpx.Response(404, text="no such thing"), ToolRefused, "it answers 404: no such thing"),
        (httpx.Response(429, text="slow down"), ServerUnavailable, "429"),
        (httpx.Response(503, text="x" * 9_000), ServerUnavailable, "503"),
        (httpx.Response(200, text="]", headers={"content-type": "application/json"}), AnswerMalformed, "no JSON"),
        (httpx.Response(302, headers={"location": "http://169.254.169.254/"}), ToolRefused, "not followed"),
        (httpx.Response(302, headers={"location": "https://api.example/v1/y"}), ToolRefused, "not followed"),
        (httpx.Response(302, headers={"location": "/v1/x"}), ToolRefused, "more than 3 times"),
        (httpx.Response(200, headers={"content-encoding": "gzip"}, content=b""), AnswerMalformed, "packed"),
    ],
)
async def test_what_is_no_answer(response: httpx.Response, kind: type[ToolError], words: str) -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(response.status_code, headers=response.headers, stream=_Bytes(response.content))

    with pytest.raises(kind, match=words) as caught:
        await exchange(answer).send(ask())
    assert len(caught.value.message) < 700


class _Bytes(httpx.AsyncByteStream):
    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk


async def test_a_redirect_inside_its_origin_is_followed() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/x":
            return httpx.Response(307, headers={"location": "/v1/y"})
        return httpx.Response(200, text=request.url.path)

    assert await exchange(answer).send(ask()) == "/v1/y"
    with pytest.raises(ToolRefused, match="not followed"):
        await exchange(answer).send(ask("POST", body={}, has_body=True))


async def test_a_long_answer_is_cut_off_while_it_is_read() -> None:
    given = 0

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            nonlocal given
            while True:
                given += 1_000
                yield b"x" * 1_000

    with pytest.raises(AnswerTooLarge, match="over 5000 bytes: cut off"):
        await exchange(lambda _: httpx.Response(200, stream=Endless()), limit=5_000).send(ask())
    assert given <= 7_000


async def test_faults_of_the_connection() -> None:
    def breaks(error: Exception) -> Answer:
        def answer(_request: httpx.Request) -> httpx.Response:
            raise error

        return answer

    with pytest.raises(ServerUnavailable, match="ConnectError: refused"):
        await exchange(breaks(httpx.ConnectError("refused"))).send(ask())
    with pytest.raises(ToolTimeout):
        await exchange(breaks(httpx.ReadTimeout("slow"))).send(ask())


@pytest.mark.parametrize(
    "path",
    [
        *("x", "", "/../x", "/a/../../x", "/./x", "//other.example/x", "/a//b", "/a?b=c", "/a#b", "/a b", "/a\\b"),
        *("/%2e%2e/x", "/%252e%252e/x", "/a%2f..%2fb", "/a%00", "/a\n", "/%5c"),
    ],
)
def test_a_path_cannot_leave(path: str) -> None:
    with pytest.raises(ToolRefused, match="is no path"):
        safe_path(path)


def test_a_path_that_stays() -> None:
    for path in ("/", "/a/b.c/d-e_f", "/a/", "/%C3%A4", "/tickets/7", "/a%20b%3fc", "/a%2fb"):
        assert safe_path(path) == path


@pytest.mark.parametrize("url", ["", "ftp://x", "http://", "http://user:pass@host/"])
def test_a_base_url_is_http_without_credentials(url: str) -> None:
    with pytest.raises(ValueError, match="no http"):
        Exchange(url)
