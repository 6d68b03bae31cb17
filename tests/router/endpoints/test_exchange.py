"""HTTP itself: refusals, silence, floods, resets; time and size are bounded and connections are let go."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pydantic import SecretStr

from aiosv3.router.endpoints import errors
from aiosv3.router.endpoints.clients import ClientLimits
from aiosv3.router.endpoints.endpoint import Call
from aiosv3.router.endpoints.errors import EndpointError
from aiosv3.router.endpoints.exchange import ReplyLimits
from aiosv3.router.endpoints.openai import OpenAIChat

Calls = Callable[..., Call]
_HALF = b'data: {"choices":[{"index":0,"delta":{"content":"half of"}}]}\n\n'
_END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


@pytest.fixture
async def chat(misbehaving: Any) -> AsyncIterator[OpenAIChat]:
    limits = ClientLimits(in_flight=2, read=5.0)
    endpoint = OpenAIChat(misbehaving.url, SecretStr("sk-secret"), clients=limits, reply=ReplyLimits(100_000, 0.3))
    yield endpoint
    await endpoint.aclose()


async def _failure(chat: OpenAIChat, call: Call) -> EndpointError:
    with pytest.raises(EndpointError) as caught:
        await chat.complete(call)
    return caught.value


@pytest.mark.parametrize(
    ("status", "headers", "expected", "wait"),
    [
        (429, {}, errors.RateLimited, None),
        (429, {"retry-after": "12"}, errors.RateLimited, 12.0),
        (429, {"Retry-After": "Sun, 01 Mar 2026 12:01:00 GMT", "Date": "Sun, 01 Mar 2026 12:00:00 GMT"},
         errors.RateLimited, 60.0),
        (500, {}, errors.ServerFault, None),
        (503, {}, errors.Overloaded, None),
        (529, {}, errors.Overloaded, None),
        (401, {}, errors.CredentialsRefused, None),
        (404, {}, errors.ModelMissing, None),
    ],
)  # fmt: skip
async def test_refusals(
    misbehaving: Any, chat: OpenAIChat, call: Calls, status: int, headers: Any, expected: Any, wait: float | None
) -> None:
    misbehaving.reply(status, {"error": {"message": "no"}}, {"x-request-id": "r-1", **headers})
    error = await _failure(chat, call())
    assert type(error) is expected
    assert (error.retry_after_s, error.provider_request_id, error.billed) == (wait, "r-1", False)
    assert len(misbehaving.requests) == 1


async def test_a_context_that_is_too_long(misbehaving: Any, chat: OpenAIChat, call: Calls) -> None:
    misbehaving.reply(400, {"error": {"code": "context_length_exceeded", "message": "too long"}})
    assert (await _failure(chat, call())).reroute


async def test_the_key_is_masked_where_the_endpoint_echoes_it(misbehaving: Any, chat: OpenAIChat, call: Calls) -> None:
    misbehaving.reply(401, {"error": {"message": "bad key sk-secret"}})
    assert "sk-secret" not in str(await _failure(chat, call()))
    misbehaving.scripts.clear()
    misbehaving.stream(b'data: {"error": {"message": "bad key sk-secret"}}\n\n')
    assert "sk-secret" not in str(await _failure(chat, call()))


async def test_a_redirect_is_not_followed(misbehaving: Any, chat: OpenAIChat, call: Calls) -> None:
    misbehaving.reply(307, b"", {"location": "http://127.0.0.1:1/"})
    assert type(await _failure(chat, call())) is errors.MalformedReply
    assert len(misbehaving.requests) == 1


@pytest.mark.parametrize("body", [b"<html>", b"[" * 100_000, b'{"choices": []}'])
async def test_a_reply_that_is_no_stream(misbehaving: Any, chat: OpenAIChat, call: Calls, body: bytes) -> None:
    misbehaving.reply(200, body)
    error = await _failure(chat, call())
    assert type(error) is errors.MalformedReply
    assert error.billed


async def test_an_error_with_status_200(misbehaving: Any, chat: OpenAIChat, call: Calls) -> None:
    misbehaving.reply(200, {"error": {"message": "busy", "code": 429}})
    assert type(await _failure(chat, call())) is errors.RateLimited


async def test_a_stalled_stream_ends_in_time_and_is_dropped(misbehaving: Any, chat: OpenAIChat, call: Calls) -> None:
    misbehaving.stream(_HALF, end="stall")
    error = await _failure(chat, call(timeout_s=1.0))
    assert type(error) is errors.CallTimeout
    assert (error.output_tokens, error.usage_estimated, error.retry) == (2, True, False)
    await asyncio.wait_for(misbehaving.gone.wait(), 5)


async def test_silence_within_a_stream_ends_before_the_call_s_own_time(misbehaving: Any, call: Calls) -> None:
    endpoint = OpenAIChat(misbehaving.url, clients=ClientLimits(read=0.2))
    misbehaving.stream(_HALF, end="stall")
    error = await _failure(endpoint, call(timeout_s=60))
    assert type(error) is errors.CallTimeout
    await endpoint.aclose()


async def test_a_server_that_says_nothing(misbehaving: Any, chat: OpenAIChat, call: Calls) -> None:
    misbehaving.raw(end="stall")
    error = await _failure(chat, call(timeout_s=0.3))
    assert type(error) is errors.CallTimeout
    assert error.billed
    with pytest.raises(errors.CallTimeout):
        await chat.probe()


@pytest.mark.parametrize("piece", [_HALF, b": comment\n\n", b"x" * 1000, b"data: a\n"])
async def test_an_endless_stream_is_dropped_at_its_limit(
    misbehaving: Any, chat: OpenAIChat, call: Calls, piece: bytes
) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    misbehaving.raw(head, piece * 100, end="endless")
    error = await _failure(chat, call(timeout_s=30))
    assert type(error) is errors.MalformedReply
    assert "larger than" in error.message
    await asyncio.wait_for(misbehaving.gone.wait(), 5)


async def test_an_endless_error_page(misbehaving: Any, chat: OpenAIChat, call: Calls) -> None:
    misbehaving.raw(b"HTTP/1.1 500 X\r\ncontent-type: text/html\r\n\r\n", b"x" * 65536, end="endless")
    assert type(await _failure(chat, call(timeout_s=30))) is errors.ServerFault


async def test_talk_after_the_end_does_not_hold_up_the_answer(misbehaving: Any, chat: OpenAIChat, call: Calls) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    misbehaving.raw(head, _HALF + _END, b": more\n\n" * 100, end="endless")
    assert (await chat.complete(call())).text == "half of"
    await asyncio.wait_for(misbehaving.gone.wait(), 5)


async def test_a_stall_after_the_end_does_not_hold_up_the_answer(
    misbehaving: Any, chat: OpenAIChat, call: Calls
) -> None:
    misbehaving.stream(_HALF, _END, end="stall")
    began = time.monotonic()
    assert (await chat.complete(call())).text == "half of"
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "wire", [b"", b"HTTP/1.1 200", b"SSH-2.0\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"]
)
@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_lost_connection(misbehaving: Any, chat: OpenAIChat, call: Calls, wire: bytes, end: Any) -> None:
    misbehaving.raw(wire, end=end)
    error = await _failure(chat, call())
    assert isinstance(error, errors.StreamCut | errors.MalformedReply)
    assert error.billed


async def test_a_bomb_in_gzip(misbehaving: Any, chat: OpenAIChat, call: Calls) -> None:
    body = gzip.compress(b"data: a\n" * 3_000_000)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\n"
    misbehaving.raw(head + b"content-length: %d\r\n\r\n" % len(body), body)
    assert type(await _failure(chat, call())) is errors.MalformedReply
    assert misbehaving.requests[0].headers["accept-encoding"] == "identity"


async def test_nobody_listens(misbehaving: Any, call: Calls, unused_tcp_port: int) -> None:
    endpoint = OpenAIChat(f"http://127.0.0.1:{unused_tcp_port}")
    error = await _failure(endpoint, call())
    assert type(error) is errors.Unreachable
    assert not error.billed
    with pytest.raises(errors.Unreachable):
        await endpoint.probe()
    await endpoint.aclose()


async def test_a_cancelled_call_frees_its_connection(misbehaving: Any, chat: OpenAIChat, call: Calls) -> None:
    misbehaving.stream(_HALF, end="stall")
    task = asyncio.create_task(chat.complete(call()))
    await asyncio.wait_for(misbehaving.asked.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(misbehaving.gone.wait(), 5)


async def test_waiting_for_a_connection_counts_and_is_not_billed(
    misbehaving: Any, chat: OpenAIChat, call: Calls
) -> None:
    misbehaving.stream(_HALF, end="stall")
    busy = [asyncio.create_task(chat.complete(call(timeout_s=30))) for _ in range(2)]
    await asyncio.wait_for(misbehaving.asked.wait(), 5)
    error = await _failure(chat, call(timeout_s=0.2))
    assert type(error) is errors.CallTimeout
    assert not error.billed
    for task in busy:
        task.cancel()
    await asyncio.gather(*busy, return_exceptions=True)
    misbehaving.scripts.clear()
    misbehaving.stream(_HALF, _END)
    assert (await chat.complete(call())).text == "half of"


async def test_a_closed_endpoint(chat: OpenAIChat, call: Calls) -> None:
    await chat.aclose()
    assert type(await _failure(chat, call())) is errors.Unreachable


@pytest.mark.parametrize("url", ["", "host", "ftp://host/v1", "http://", "http://user:pass@host/v1", "http://[::"])
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        OpenAIChat(url)


@pytest.mark.parametrize("key", ["sk\r\nx: y", "schlüssel", "sk "])
def test_keys_that_http_cannot_carry(key: str) -> None:
    with pytest.raises(ValueError, match="authorization") as caught:
        OpenAIChat("http://127.0.0.1:1", SecretStr(key))
    assert key not in str(caught.value)


async def test_odd_prompts_are_sent_as_utf_8(misbehaving: Any, chat: OpenAIChat, call: Calls) -> None:
    misbehaving.stream(_HALF, _END)
    await chat.complete(call(text="Grüße 🙂 \ud800"))
    assert json.loads(misbehaving.requests[0].body)["messages"][1]["content"] == "Grüße 🙂 ?"
