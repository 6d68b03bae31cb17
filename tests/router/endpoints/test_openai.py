"""OpenAI-compatible chat: what is sent, what is read, and every way in which an answer can be no answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from aiosv3.router.endpoints import errors
from aiosv3.router.endpoints.endpoint import Call
from aiosv3.router.endpoints.errors import EndpointError, Spent
from aiosv3.router.endpoints.openai import ChatReading, Dialect, OpenAIChat, idempotency_header
from aiosv3.router.endpoints.sse import EventParser
from aiosv3.schemas.records import Message, Prompt, Role

Calls = Callable[..., Call]


def _event(chunk: object) -> bytes:
    return b"data: " + (chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode()) + b"\n\n"


def _delta(finish: str | None = None, **delta: Any) -> bytes:
    return _event({"id": "chat-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


_USAGE = _event(
    {
        "choices": [],
        "usage": {"prompt_tokens": 30, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 16}},
    }
)
_DONE = _event(b"[DONE]")
_PARIS = (
    _delta(role="assistant", content=""),
    _delta(content="Par"),
    _delta(content="is"),
    _delta("stop"),
    _USAGE,
    _DONE,
)
_CAPITAL = json.dumps({"type": "object", "properties": {"capital": {"type": "string"}}, "required": ["capital"]})


@pytest.fixture
async def chat(misbehaving: Any) -> AsyncIterator[OpenAIChat]:
    endpoint = OpenAIChat(f"{misbehaving.url}/v1", SecretStr("sk-secret"))
    yield endpoint
    await endpoint.aclose()


async def _failure(chat: OpenAIChat, call: Call) -> EndpointError:
    with pytest.raises(EndpointError) as caught:
        await chat.complete(call)
    return caught.value


async def test_an_answer(misbehaving: Any, chat: OpenAIChat, call: Calls) -> None:
    misbehaving.stream(*_PARIS)
    done = await chat.complete(call())
    assert (done.text, done.finish_reason, done.tool_calls) == ("Paris", "stop", None)
    assert (done.input_tokens, done.output_tokens, done.cached_tokens, done.usage_estimated) == (30, 4, 16, False)
    assert done.provider_request_id == "chat-1"
    assert done.first_token_ms is not None


async def test_usage_that_comes_with_the_finish_reason_is_whole(
    misbehaving: Any, chat: OpenAIChat, call: Calls
) -> None:
    usage = {"prompt_tokens": 30, "completion_tokens": 1, "total_tokens": 31}
    written = {**usage, "prompt_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 12}}
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": written}
    misbehaving.stream(_delta(content="a text of more than four characters"), _event(last), _DONE)
    done = await chat.complete(call())
    assert done.spent == Spent(30, 1, 8, 12), "by its own count, and no estimate"


@pytest.mark.parametrize(("served", "standard"), [("flex", False), ("default", True)])
async def test_a_call_that_may_wait_says_so_and_hears_whether_it_did(
    misbehaving: Any, call: Calls, served: str, standard: bool
) -> None:
    endpoint = OpenAIChat(f"{misbehaving.url}/v1", dialect=Dialect(flex=True))
    misbehaving.stream(*_PARIS[:-2], _event({"choices": [], "service_tier": served}), *_PARIS[-2:])
    done = await endpoint.complete(call())
    await endpoint.aclose()
    assert misbehaving.requests[0].json()["service_tier"] == "flex"
    assert done.standard is standard


async def test_the_text_is_heard_as_it_is_written_and_nothing_else_is(
    misbehaving: Any, chat: OpenAIChat, call: Calls
) -> None:
    heard: list[str] = []
    thought = _delta(reasoning_content="The capital, hm")
    asks = _delta(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "map", "arguments": "{}"}}])
    misbehaving.stream(_PARIS[0], thought, *_PARIS[1:3], asks, *_PARIS[3:])
    done = await chat.complete(call(on_text=heard.append))
    assert heard == ["Par", "is"]
    assert done.text == "Paris"


async def test_a_refusal_is_no_part_of_the_answer(misbehaving: Any, chat: OpenAIChat, call: Calls) -> None:
    heard: list[str] = []
    misbehaving.stream(_delta(refusal="I will not"), _delta("stop"), _USAGE, _DONE)
    await _failure(chat, call(on_text=heard.append))
    assert heard == []


async def test_what_is_sent(misbehaving: Any, chat: OpenAIChat, call: Calls) -> None:
    misbehaving.stream(*_PARIS)
    await chat.complete(call(model="big", temperature=0.0, stop=("END",), tenant="acme", priority=3))
    (request,) = misbehaving.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.headers["authorization"] == "Bearer sk-secret"
    assert request.headers["idempotency-key"] == "request-1"
    assert request.json() == {
        "model": "big",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is the capital of France?"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 64,
        "temperature": 0.0,
        "stop": ["END"],
    }


async def test_a_scheduling_server_is_told_priority_and_keeps_tenants_apart(misbehaving: Any, call: Calls) -> None:
    misbehaving.stream(*_PARIS)
    endpoint = OpenAIChat(misbehaving.url, dialect=Dialect(salts=True, priorities=True))
    for tenant in ("acme", "globex"):
        await endpoint.complete(call(tenant=tenant, priority=3))
    await endpoint.aclose()
    first, second = (request.json() for request in misbehaving.requests)
    assert first["priority"] == 3
    assert first["cache_salt"] != second["cache_salt"]
    assert "acme" not in json.dumps(first)
    endpoint = OpenAIChat(misbehaving.url, dialect=Dialect(salts=True))
    await endpoint.complete(call(tenant="acme", priority=3))
    await endpoint.aclose()
    unordered = misbehaving.requests[2].json()
    assert "priority" not in unordered, "a scheduler that does not go by it takes it and says nothing"
    assert unordered["cache_salt"] == first["cache_salt"]
    assert "authorization" not in misbehaving.requests[0].headers


async def test_the_other_name_of_the_output_limit_is_learned(misbehaving: Any, chat: OpenAIChat, call: Calls) -> None:
    words = "Unsupported parameter: 'max_tokens' is not supported with this model."
    misbehaving.reply(400, {"error": {"message": words, "code": "unsupported_parameter", "param": "max_tokens"}})
    misbehaving.stream(*_PARIS)
    for _ in range(2):
        assert (await chat.complete(call())).text == "Paris"
    names = [sorted(set(request.json()) & {"max_tokens", "max_completion_tokens"}) for request in misbehaving.requests]
    assert names == [["max_tokens"], ["max_completion_tokens"], ["max_completion_tokens"]]


async def test_one_connection_serves_call_after_call(misbehaving: Any, chat: OpenAIChat, call: Calls) -> None:
    misbehaving.stream(*_PARIS)
    for _ in range(5):
        await chat.complete(call())
    assert misbehaving.connections == 1


@pytest.mark.parametrize("seen", range(len(_PARIS)))
@pytest.mark.parametrize("end", ["keep", "close", "reset"])
async def test_a_stream_cut_at_any_event(misbehaving: Any, chat: OpenAIChat, call: Calls, seen: int, end: Any) -> None:
    misbehaving.stream(*_PARIS[:seen], end=end)
    error = await _failure(chat, call())
    assert type(error) is errors.StreamCut
    assert error.billed
    assert error.usage_estimated is (seen < 5)
    assert error.input_tokens == (30 if seen == 5 else 10)
    # Characters seen, four a token; the provider's own count once it is told.
    assert error.output_tokens == [0, 0, 1, 2, 2, 4][seen]


@pytest.mark.parametrize("cut", list(accumulate(len(event) for event in _PARIS))[:-1])
async def test_a_cut_within_an_event(misbehaving: Any, chat: OpenAIChat, call: Calls, cut: int) -> None:
    misbehaving.stream(b"".join(_PARIS)[: cut + 9])
    assert type(await _failure(chat, call())) is errors.StreamCut


async def test_done_without_a_finish_reason_is_a_cut(misbehaving: Any, chat: OpenAIChat, call: Calls) -> None:
    misbehaving.stream(_delta(content="half"), _DONE)
    assert type(await _failure(chat, call())) is errors.StreamCut


async def test_a_missing_usage_is_estimated(misbehaving: Any, chat: OpenAIChat, call: Calls) -> None:
    misbehaving.stream(_delta(content="x" * 41), _delta("length"), _DONE)
    done = await chat.complete(call())
    assert (done.input_tokens, done.output_tokens, done.usage_estimated) == (10, 11, True)
    assert done.finish_reason == "length"


async def test_counts_that_cannot_be_are_not_believed(misbehaving: Any, chat: OpenAIChat, call: Calls) -> None:
    usage = {"prompt_tokens": -5, "completion_tokens": True, "prompt_tokens_details": None}
    misbehaving.stream(_delta("stop", content="Paris"), _event({"choices": [], "usage": usage}), _DONE)
    done = await chat.complete(call())
    assert (done.input_tokens, done.output_tokens, done.usage_estimated) == (10, 2, True)


async def test_reasoning_is_paid_for_but_is_not_the_answer(misbehaving: Any, chat: OpenAIChat, call: Calls) -> None:
    misbehaving.stream(_delta(reasoning_content="hm" * 20), _delta("stop", content="Paris"), _DONE)
    done = await chat.complete(call())
    assert (done.text, done.output_tokens) == ("Paris", 12)


async def test_structured_output(misbehaving: Any, chat: OpenAIChat, call: Calls) -> None:
    misbehaving.stream(_delta(content='{"capital":'), _delta("stop", content='"Paris"}'), _USAGE, _DONE)
    done = await chat.complete(call(output_schema=_CAPITAL))
    assert json.loads(done.text) == {"capital": "Paris"}
    wanted = misbehaving.requests[0].json()["response_format"]
    assert wanted["json_schema"] == {"name": "answer", "schema": json.loads(_CAPITAL), "strict": False}


async def test_a_schema_without_an_object_at_its_root_travels_inside_one(
    misbehaving: Any, chat: OpenAIChat, call: Calls
) -> None:
    """The API takes objects only; the asker gets what it asked for."""
    misbehaving.stream(_delta("stop", content='{"value": "MIT"}'), _USAGE, _DONE)
    choice = {"$defs": {"L": {"enum": ["MIT", "BSD"], "type": "string"}}, "$ref": "#/$defs/L"}
    done = await chat.complete(call(output_schema=json.dumps(choice)))
    assert json.loads(done.text) == "MIT"
    sent = misbehaving.requests[0].json()["response_format"]["json_schema"]
    assert sent["strict"] is True
    assert sent["schema"]["properties"] == {"value": {"$ref": "#/$defs/L"}}
    assert sent["schema"]["$defs"] == choice["$defs"]


@pytest.mark.parametrize(("finish", "retry"), [("stop", True), ("length", False)])
async def test_structured_output_that_does_not_fit(
    misbehaving: Any, chat: OpenAIChat, call: Calls, finish: str, retry: bool
) -> None:
    misbehaving.stream(_delta(finish, content='{"capital": 3'), _USAGE, _DONE)
    error = await _failure(chat, call(output_schema=_CAPITAL))
    assert type(error) is errors.SchemaViolated
    assert (error.retry, error.reroute, error.trips_breaker) == (retry, True, False)
    assert (error.input_tokens, error.output_tokens, error.usage_estimated) == (30, 4, False)


async def test_tool_calls_come_in_pieces(misbehaving: Any, chat: OpenAIChat, call: Calls) -> None:
    tools = '[{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]'
    misbehaving.stream(
        _delta(tool_calls=[{"index": 1, "id": "b", "function": {"name": "weather", "arguments": ""}}]),
        _delta(tool_calls=[{"index": 0, "id": "a", "function": {"name": "weather", "arguments": '{"city":'}}]),
        _delta("tool_calls", tool_calls=[{"index": 0, "function": {"arguments": '"Paris"}'}}]),
        _USAGE,
        _DONE,
    )
    done = await chat.complete(call(tools=tools))
    calls = json.loads(done.tool_calls or "")
    assert [(each["id"], each["function"]["arguments"]) for each in calls] == [("a", '{"city":"Paris"}'), ("b", "{}")]
    assert done.finish_reason == "tool_calls"
    assert misbehaving.requests[0].json()["tools"] == json.loads(tools)


async def test_tool_arguments_that_are_not_json_are_for_the_asker(
    misbehaving: Any, chat: OpenAIChat, call: Calls
) -> None:
    piece = {"index": 0, "id": "a", "function": {"name": "weather", "arguments": '{"city'}}
    misbehaving.stream(_delta("tool_calls", tool_calls=[piece]), _DONE)
    done = await chat.complete(call(tools="[]"))
    assert json.loads(done.tool_calls or "")[0]["function"]["arguments"] == '{"city'


async def test_tool_arguments_that_were_cut_are_another_pools_chance(
    misbehaving: Any, chat: OpenAIChat, call: Calls
) -> None:
    piece = {"index": 0, "id": "a", "function": {"name": "weather", "arguments": '{"city'}}
    misbehaving.stream(_delta("length", tool_calls=[piece]), _DONE)
    error = await _failure(chat, call(tools="[]"))
    assert type(error) is errors.SchemaViolated
    assert (error.retry, error.reroute) == (False, True)


@pytest.mark.parametrize("index", [{}, {"index": 0}])
async def test_parallel_calls_of_servers_that_do_not_count(
    misbehaving: Any, chat: OpenAIChat, call: Calls, index: dict[str, int]
) -> None:
    pieces = [{"id": name, "function": {"name": name, "arguments": "{}"}} | index for name in ("a", "b", "c")]
    misbehaving.stream(*(_delta("tool_calls", tool_calls=[piece]) for piece in pieces), _DONE)
    calls = json.loads((await chat.complete(call(tools="[]"))).tool_calls or "")
    assert [(each["id"], each["function"]["arguments"]) for each in calls] == [("a", "{}"), ("b", "{}"), ("c", "{}")]


async def test_pieces_without_a_count_go_on_with_the_last_call(misbehaving: Any, chat: OpenAIChat, call: Calls) -> None:
    pieces = [
        {"id": "a", "function": {"name": "weather", "arguments": "{}"}},
        {"id": "b", "function": {"name": "weather", "arguments": '{"x":'}},
        {"function": {"arguments": "1}"}},
    ]
    misbehaving.stream(*(_delta("tool_calls", tool_calls=[piece]) for piece in pieces), _DONE)
    calls = json.loads((await chat.complete(call(tools="[]"))).tool_calls or "")
    assert [each["function"]["arguments"] for each in calls] == ["{}", '{"x":1}']


@pytest.mark.parametrize("events", [(_delta(refusal="I will not."), _delta("stop")), (_delta("content_filter"),)])
async def test_a_refusal_is_final(misbehaving: Any, chat: OpenAIChat, call: Calls, events: tuple[bytes, ...]) -> None:
    misbehaving.stream(*events, _USAGE, _DONE)
    error = await _failure(chat, call())
    assert type(error) is errors.ContentRefused
    assert (error.reroute, error.retry, error.output_tokens) == (False, False, 4)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"message": "boom", "type": "server_error"}, errors.ServerFault),
        ({"message": "slow down", "code": "rate_limit_exceeded"}, errors.RateLimited),
        ({"message": "busy", "code": 503}, errors.Overloaded),
    ],
)
async def test_an_error_within_the_stream(
    misbehaving: Any, chat: OpenAIChat, call: Calls, error: object, expected: type[EndpointError]
) -> None:
    misbehaving.stream(_delta(content="Pa"), _event({"error": error}), _DONE)
    fault = await _failure(chat, call())
    assert type(fault) is expected
    assert (fault.output_tokens, fault.usage_estimated) == (1, True)


@pytest.mark.parametrize(
    "chunk",
    [b"{", b"[]", b'"text"', b"[" * 100_000, b'{"choices": 3}', b'{"choices": [3]}', b'{"choices": [{"delta": []}]}',
     b'{"choices": [{"delta": {"content": 3}}]}', b'{"usage": [1]}',
     b'{"choices": [{"delta": {"tool_calls": {"a": 1}}}]}',
     b'{"choices": [{"delta": {"tool_calls": [{"index": 9999999}]}}]}'],
)  # fmt: skip
async def test_malformed_chunks(misbehaving: Any, chat: OpenAIChat, call: Calls, chunk: bytes) -> None:
    misbehaving.stream(_delta(content="Pa"), _event(chunk), _delta("stop"), _DONE)
    error = await _failure(chat, call())
    assert type(error) is errors.MalformedReply
    assert error.billed


@pytest.mark.parametrize(
    ("text", "pieces"), [("🙂", ("\ud83d", "\ude42")), ("a\ufffdb", ("a\ud83d", "b")), ("Grüße", ("Grü", "ße"))]
)
async def test_halves_of_a_character(
    misbehaving: Any, chat: OpenAIChat, call: Calls, text: str, pieces: tuple[str, str]
) -> None:
    misbehaving.stream(_delta(content=pieces[0]), _delta("stop", content=pieces[1]), _DONE)
    assert (await chat.complete(call())).text == text


async def test_a_conversation_with_tools(misbehaving: Any, chat: OpenAIChat, call: Calls) -> None:
    calls = [{"id": "a", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]
    looks_like_it = json.dumps({"text": "", "tool_calls": json.dumps(calls)})
    messages = (
        Message(Role.USER, "Weather?"),
        Message(Role.ASSISTANT, "", tool_calls=json.dumps(calls)),
        Message(Role.TOOL, '{"degrees": 7}', tool_call_id="a"),
        Message(Role.TOOL, "no id"),
        Message(Role.ASSISTANT, looks_like_it),
    )
    misbehaving.stream(*_PARIS)
    await chat.complete(call(messages=messages, tools="[]"))
    _, said, result, plain, last = misbehaving.requests[0].json()["messages"]
    assert said == {"role": "assistant", "content": "", "tool_calls": calls}
    assert result == {"role": "tool", "content": '{"degrees": 7}', "tool_call_id": "a"}
    assert plain == {"role": "user", "content": "Result of a tool:\nno id"}
    assert last == {"role": "assistant", "content": looks_like_it}


_BAD_CALLS = [(Message(Role.ASSISTANT, "", tool_calls=calls),) for calls in ("{", "{}", "[3]", '[{"id": "a"}]')]


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": "{"},
        {"tools": "[3]"},
        {"output_schema": "[]"},
        *({"messages": messages, "tools": "[]"} for messages in _BAD_CALLS),
    ],
)
async def test_a_prompt_that_cannot_be_sent(misbehaving: Any, chat: OpenAIChat, call: Calls, fields: Any) -> None:
    assert type(await _failure(chat, call(**fields))) is errors.BadRequest
    assert not misbehaving.requests


async def test_the_probe_lists_models_and_fails_in_words(misbehaving: Any, chat: OpenAIChat) -> None:
    misbehaving.reply(200, {"data": [{"id": "a"}, {"id": "b"}]})
    assert (await chat.probe()).models == ("a", "b")
    misbehaving.scripts.clear()
    misbehaving.reply(200, {"models": []})
    with pytest.raises(errors.MalformedReply):
        await chat.probe()
    misbehaving.scripts.clear()
    misbehaving.reply(401, {"error": {"message": "key sk-secret is wrong"}})
    with pytest.raises(errors.CredentialsRefused, match=r"key \*\*\* is wrong"):
        await chat.probe()


def test_idempotency_keys_fit_into_a_header() -> None:
    assert idempotency_header("task:1~2") == "task:1~2"
    for odd in ("", "ü", "a\r\nb: c", "x" * 300, "\ud800", " a"):
        assert len(idempotency_header(odd)) == 64


@settings(deadline=None, max_examples=60)
@given(chunks=st.lists(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(
        st.sampled_from(["choices", "delta", "content", "usage", "error", "tool_calls", "index", "finish_reason",
                         "function", "id", "prompt_tokens"]), v),
    max_leaves=20)))  # fmt: skip
def test_any_json_is_an_answer_or_an_endpoint_error(chunks: list[Any]) -> None:
    reading = ChatReading(Prompt((Message(Role.USER, "x"),), None, 5))
    try:
        for event in EventParser().feed(b"".join(_event(chunk) for chunk in chunks) + _DONE):
            reading.take(event)
        reading.completed().text.encode()
    except EndpointError as error:
        assert error.message  # noqa: PT017 - either outcome is right
