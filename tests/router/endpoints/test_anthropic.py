"""Anthropic's Messages: what is sent, what is read, and every way in which an answer can be no answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from aiosv3.router.endpoints import errors
from aiosv3.router.endpoints.anthropic import AnthropicMessages, MessageReading
from aiosv3.router.endpoints.endpoint import Call
from aiosv3.router.endpoints.errors import EndpointError, Spent
from aiosv3.router.endpoints.sse import EventParser
from aiosv3.schemas.records import Message, Prompt, Role

Calls = Callable[..., Call]


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def _start(index: int = 0, **block: Any) -> bytes:
    return _event("content_block_start", index=index, content_block=block)


def _delta(index: int = 0, **delta: Any) -> bytes:
    return _event("content_block_delta", index=index, delta=delta)


def _stop(reason: str, tokens: int = 6) -> bytes:
    return _event("message_delta", delta={"stop_reason": reason}, usage={"output_tokens": tokens})


_BEGIN = _event(
    "message_start",
    message={"id": "msg_1", "usage": {"input_tokens": 20, "cache_read_input_tokens": 10, "output_tokens": 1}},
)
_END = _event("message_stop")
_PARIS = (
    _BEGIN,
    _start(type="text", text=""),
    b'event: ping\r\ndata: {"type": "ping"}\r\n\r\n',
    _delta(type="text_delta", text="Paris is"),
    _delta(type="text_delta", text=" it."),
    _event("content_block_stop", index=0),
    _stop("end_turn"),
    _END,
)  # fmt: skip
_CAPITAL = json.dumps({"type": "object", "properties": {"capital": {"type": "string"}}, "required": ["capital"]})


@pytest.fixture
async def claude(misbehaving: Any) -> AsyncIterator[AnthropicMessages]:
    endpoint = AnthropicMessages(misbehaving.url, SecretStr("sk-ant"))
    yield endpoint
    await endpoint.aclose()


async def _failure(endpoint: AnthropicMessages, call: Call) -> EndpointError:
    with pytest.raises(EndpointError) as caught:
        await endpoint.complete(call)
    return caught.value


async def test_the_text_is_heard_as_it_is_written(misbehaving: Any, claude: AnthropicMessages, call: Calls) -> None:
    heard: list[str] = []
    misbehaving.stream(*_PARIS)
    done = await claude.complete(call(on_text=heard.append))
    assert heard == ["Paris is", " it."]
    assert done.text == "Paris is it."


async def test_an_answer(misbehaving: Any, claude: AnthropicMessages, call: Calls) -> None:
    misbehaving.stream(*_PARIS)
    done = await claude.complete(call())
    assert (done.text, done.finish_reason) == ("Paris is it.", "stop")
    assert (done.input_tokens, done.output_tokens, done.cached_tokens, done.usage_estimated) == (30, 6, 10, False)
    assert done.provider_request_id == "msg_1"


async def test_what_was_written_to_the_cache_is_counted_by_how_long_it_is_kept(
    misbehaving: Any, claude: AnthropicMessages, call: Calls
) -> None:
    tiers = {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 3}
    usage = {"input_tokens": 20, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 7, "output_tokens": 1}
    begin = _event("message_start", message={"id": "msg_1", "usage": {**usage, "cache_creation": tiers}})
    end = _event("message_delta", delta={"stop_reason": "end_turn"}, usage={"input_tokens": 20, "output_tokens": 6})
    misbehaving.stream(begin, *_PARIS[1:-2], end, _END)
    assert (await claude.complete(call())).spent == Spent(37, 6, 10, 4, 3)


async def test_what_is_sent(misbehaving: Any, claude: AnthropicMessages, call: Calls) -> None:
    misbehaving.stream(*_PARIS)
    await claude.complete(call(temperature=0.5, stop=("END",)))
    (request,) = misbehaving.requests
    assert request.path == "/v1/messages"
    assert request.headers["x-api-key"] == "sk-ant"
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert request.headers["idempotency-key"] == "request-1"
    assert request.json() == {
        "model": "m",
        "max_tokens": 64,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "stream": True,
        "temperature": 0.5,
        "stop_sequences": ["END"],
    }


async def test_a_prompt_of_system_words_alone(misbehaving: Any, claude: AnthropicMessages, call: Calls) -> None:
    misbehaving.stream(*_PARIS)
    await claude.complete(call(messages=(Message(Role.SYSTEM, "Say hello."),)))
    body = misbehaving.requests[0].json()
    assert body["messages"] == [{"role": "user", "content": "Say hello."}]
    assert "system" not in body


@pytest.mark.parametrize("seen", range(len(_PARIS)))
@pytest.mark.parametrize("end", ["keep", "reset"])
async def test_a_stream_cut_at_any_event(
    misbehaving: Any, claude: AnthropicMessages, call: Calls, seen: int, end: Any
) -> None:
    misbehaving.stream(*_PARIS[:seen], end=end)
    error = await _failure(claude, call())
    assert type(error) is errors.StreamCut
    assert error.input_tokens == (30 if seen else 10)
    assert error.output_tokens == [0, 1, 1, 1, 2, 3, 3, 6][seen]
    assert error.usage_estimated is (seen < 7)


async def test_stop_without_a_reason_is_a_cut(misbehaving: Any, claude: AnthropicMessages, call: Calls) -> None:
    misbehaving.stream(*_PARIS[:-2], _END)
    assert type(await _failure(claude, call())) is errors.StreamCut


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("overloaded_error", errors.Overloaded),
        ("rate_limit_error", errors.RateLimited),
        ("api_error", errors.ServerFault),
        ("not_found_error", errors.ModelMissing),
    ],
)
async def test_an_error_within_the_stream(
    misbehaving: Any, claude: AnthropicMessages, call: Calls, kind: str, expected: type[EndpointError]
) -> None:
    misbehaving.stream(*_PARIS[:4], _event("error", error={"type": kind, "message": "sorry"}))
    error = await _failure(claude, call())
    assert type(error) is expected
    assert (error.input_tokens, error.output_tokens) == (30, 2)


async def test_structured_output_is_a_forced_tool(misbehaving: Any, claude: AnthropicMessages, call: Calls) -> None:
    misbehaving.stream(
        _BEGIN,
        _start(type="text", text=""),
        _delta(type="text_delta", text="Here it is:"),
        _start(1, type="tool_use", id="t", name="structured_answer", input={}),
        _delta(1, type="input_json_delta", partial_json='{"capital":'),
        _delta(1, type="input_json_delta", partial_json='"Paris"}'),
        _stop("tool_use"),
        _END,
    )
    done = await claude.complete(call(output_schema=_CAPITAL))
    assert (done.text, done.tool_calls, done.finish_reason) == ('{"capital":"Paris"}', None, "stop")
    body = misbehaving.requests[0].json()
    assert body["tool_choice"] == {"type": "tool", "name": "structured_answer"}
    assert body["tools"][0]["input_schema"] == json.loads(_CAPITAL)


async def test_a_structured_answer_that_is_no_object(misbehaving: Any, claude: AnthropicMessages, call: Calls) -> None:
    misbehaving.stream(
        _BEGIN,
        _start(type="tool_use", id="t", name="structured_answer", input={}),
        _delta(type="input_json_delta", partial_json='{"answer": ["a"]}'),
        _stop("tool_use"),
        _END,
    )
    done = await claude.complete(call(output_schema='{"type": "array", "items": {"type": "string"}}'))
    assert json.loads(done.text) == ["a"]
    assert misbehaving.requests[0].json()["tools"][0]["input_schema"]["required"] == ["answer"]


async def test_words_instead_of_the_structured_answer(misbehaving: Any, claude: AnthropicMessages, call: Calls) -> None:
    misbehaving.stream(*_PARIS)
    error = await _failure(claude, call(output_schema=_CAPITAL))
    assert type(error) is errors.SchemaViolated
    assert error.output_tokens == 6


async def test_tool_calls_and_their_results(misbehaving: Any, claude: AnthropicMessages, call: Calls) -> None:
    tools = '[{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]'
    misbehaving.stream(
        _BEGIN,
        _start(type="thinking", thinking=""),
        _delta(type="thinking_delta", thinking="hm"),
        _start(1, type="tool_use", id="t1", name="weather", input={}),
        _delta(1, type="input_json_delta", partial_json='{"city": "Paris"}'),
        _start(2, type="tool_use", id="t2", name="weather", input={}),
        _stop("tool_use"),
        _END,
    )
    done = await claude.complete(call(tools=tools))
    assert done.finish_reason == "tool_calls"
    calls = json.loads(done.tool_calls or "")
    assert [each["function"]["arguments"] for each in calls] == ['{"city": "Paris"}', "{}"]
    messages = (
        Message(Role.USER, "Weather?"),
        Message(Role.ASSISTANT, "I look.", tool_calls=done.tool_calls),
        Message(Role.TOOL, "7 degrees", tool_call_id="t1"),
        Message(Role.TOOL, "no such city", tool_call_id="t2"),
        Message(Role.USER, "And?"),
    )
    await claude.complete(call(tools=tools, messages=messages))
    _, said, result, _ = misbehaving.requests[1].json()["messages"]
    assert said["content"][1] == {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Paris"}}
    assert said["content"][2]["input"] == {}
    assert result["role"] == "user"
    assert result["content"] == [
        {"type": "tool_result", "tool_use_id": "t1", "content": "7 degrees"},
        {"type": "tool_result", "tool_use_id": "t2", "content": "no such city"},
    ]


async def test_malformed_arguments_are_passed_on_and_sent_back_as_an_object(
    misbehaving: Any, claude: AnthropicMessages, call: Calls
) -> None:
    use = _start(1, type="tool_use", id="t1", name="weather", input={})
    misbehaving.stream(_BEGIN, use, _delta(1, type="input_json_delta", partial_json='{"ci'), _stop("tool_use"), _END)
    done = await claude.complete(call(tools="[]"))
    assert json.loads(done.tool_calls or "")[0]["function"]["arguments"] == '{"ci'
    await claude.complete(call(tools="[]", messages=(Message(Role.ASSISTANT, "", tool_calls=done.tool_calls),)))
    said = misbehaving.requests[1].json()["messages"][0]
    assert said["content"] == [{"type": "tool_use", "id": "t1", "name": "weather", "input": {"arguments": '{"ci'}}]


@pytest.mark.parametrize(("reason", "finish"), [("max_tokens", "length"), ("pause_turn", "pause_turn")])
async def test_stop_reasons(misbehaving: Any, claude: AnthropicMessages, call: Calls, reason: str, finish: str) -> None:
    misbehaving.stream(*_PARIS[:-2], _stop(reason), _END)
    assert (await claude.complete(call())).finish_reason == finish


async def test_a_refusal_is_final(misbehaving: Any, claude: AnthropicMessages, call: Calls) -> None:
    misbehaving.stream(*_PARIS[:-2], _stop("refusal"), _END)
    assert type(await _failure(claude, call())) is errors.ContentRefused


@pytest.mark.parametrize(
    "event",
    [b"data: {\n\n", b"data: []\n\n", _delta(7, text="x"), _event("content_block_start", index="0"),
     _event("content_block_delta", index=0, delta={"partial_json": "{}"}), _event("message_delta", delta=3)],
)  # fmt: skip
async def test_malformed_events(misbehaving: Any, claude: AnthropicMessages, call: Calls, event: bytes) -> None:
    misbehaving.stream(*_PARIS[:2], event, *_PARIS[3:])
    error = await _failure(claude, call())
    assert type(error) is errors.MalformedReply
    assert error.billed


async def test_the_probe(misbehaving: Any, claude: AnthropicMessages) -> None:
    misbehaving.reply(200, {"data": [{"type": "model", "id": "claude"}]})
    assert (await claude.probe()).models == ("claude",)
    assert misbehaving.requests[0].path == "/v1/models"


_KINDS = ["message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop", "error", "?"]
_VALUES = st.recursive(
    st.none() | st.integers(-1, 3) | st.text(max_size=5) | st.sampled_from(["tool_use", "text"]),
    lambda v: st.dictionaries(st.sampled_from(["type", "text", "partial_json", "usage", "stop_reason", "name"]), v),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60)
@given(
    events=st.lists(st.tuples(st.sampled_from(_KINDS), _VALUES, st.none() | st.integers(-1, 2))),
    schema=st.sampled_from([None, "{}", _CAPITAL]),
)
def test_any_json_is_an_answer_or_an_endpoint_error(events: list[tuple[str, Any, Any]], schema: str | None) -> None:
    reading = MessageReading(Prompt((Message(Role.USER, "x"),), schema, 5))
    parts = ("message", "content_block", "delta", "error", "usage")
    stream = b"".join(_event(kind, index=index, **dict.fromkeys(parts, value)) for kind, value, index in events)
    try:
        for event in EventParser().feed(stream):
            reading.take(event)
        reading.completed().text.encode()
    except EndpointError as error:
        assert error.message  # noqa: PT017 - either outcome is right
