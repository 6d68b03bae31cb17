"""OpenAI's Responses API: what is sent, and that every end of a stream is told apart and billed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from aiosv3.router.endpoints import Place, errors, open_endpoint
from aiosv3.router.endpoints.endpoint import Call
from aiosv3.router.endpoints.errors import EndpointError, Spent
from aiosv3.router.endpoints.responses import OpenAIResponses, ResponseReading
from aiosv3.router.endpoints.sse import EventParser
from aiosv3.schemas.records import Message, Prompt, Role

Calls = Callable[..., Call]
_TOOLS = '[{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]'
_CAPITAL = json.dumps({"type": "object", "properties": {"capital": {"type": "string"}}, "required": ["capital"]})
_USAGE = {"input_tokens": 30, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 16}}


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def _text(delta: str) -> bytes:
    return _event("response.output_text.delta", output_index=0, content_index=0, delta=delta)


def _end(how: str = "completed", usage: object = _USAGE, **fields: Any) -> bytes:
    return _event(f"response.{how}", response={"id": "resp-1", "status": how, "usage": usage, **fields})


_BEGUN = _event("response.created", response={"id": "resp-1", "status": "in_progress", "usage": None})
_PARIS = (_BEGUN, _text("Par"), _text("is"), _event("response.output_text.done", text="Paris"), _end())


@pytest.fixture
async def responses(misbehaving: Any) -> AsyncIterator[OpenAIResponses]:
    endpoint = OpenAIResponses(f"{misbehaving.url}/v1", SecretStr("sk-secret"))
    yield endpoint
    await endpoint.aclose()


async def _failure(endpoint: OpenAIResponses, call: Call) -> EndpointError:
    with pytest.raises(EndpointError) as caught:
        await endpoint.complete(call)
    return caught.value


async def test_an_answer(misbehaving: Any, responses: OpenAIResponses, call: Calls) -> None:
    heard: list[str] = []
    misbehaving.stream(*_PARIS)
    done = await responses.complete(call(on_text=heard.append))
    assert (done.text, done.finish_reason, done.tool_calls) == ("Paris", "stop", None)
    assert (done.input_tokens, done.output_tokens, done.cached_tokens, done.usage_estimated) == (30, 4, 16, False)
    assert (done.provider_request_id, heard) == ("resp-1", ["Par", "is"])


@pytest.mark.parametrize(("served", "standard"), [("flex", False), ("default", True)])
async def test_a_call_that_may_wait_says_so_and_hears_whether_it_did(
    misbehaving: Any, call: Calls, served: str, standard: bool
) -> None:
    endpoint = OpenAIResponses(f"{misbehaving.url}/v1", flex=True)
    begun = _event("response.created", response={"id": "r", "status": "in_progress", "service_tier": "auto"})
    wrote = {**_USAGE, "input_tokens_details": {"cached_tokens": 16, "cache_write_tokens": 9}}
    misbehaving.stream(begun, _text("Paris"), _end(usage=wrote, service_tier=served))
    done = await endpoint.complete(call())
    await endpoint.aclose()
    assert misbehaving.requests[0].json()["service_tier"] == "flex"
    assert done.spent == Spent(30, 4, 16, 9, standard=standard)


async def test_what_is_sent(misbehaving: Any, responses: OpenAIResponses, call: Calls) -> None:
    misbehaving.stream(*_PARIS)
    await responses.complete(call(model="big", temperature=0.0, max_tokens=5, tools=_TOOLS, output_schema=None))
    (request,) = misbehaving.requests
    assert (request.method, request.path) == ("POST", "/v1/responses")
    assert request.headers["authorization"] == "Bearer sk-secret"
    assert request.headers["idempotency-key"] == "request-1"
    assert request.json() == {
        "model": "big",
        "input": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is the capital of France?"},
        ],
        "stream": True,
        "store": False,
        "max_output_tokens": 16,
        "temperature": 0.0,
        "tools": [{"type": "function", "strict": False, "name": "weather", "parameters": {"type": "object"}}],
    }


def test_a_pool_says_which_api() -> None:
    assert isinstance(open_endpoint("openai", Place("http://127.0.0.1:1/v1", api="responses")), OpenAIResponses)
    assert not isinstance(open_endpoint("openai", Place("http://127.0.0.1:1/v1")), OpenAIResponses)


@pytest.mark.parametrize("seen", range(len(_PARIS)))
@pytest.mark.parametrize("end", ["keep", "close", "reset"])
async def test_a_stream_cut_at_any_event(
    misbehaving: Any, responses: OpenAIResponses, call: Calls, seen: int, end: Any
) -> None:
    misbehaving.stream(*_PARIS[:seen], end=end)
    error = await _failure(responses, call())
    assert type(error) is errors.StreamCut
    assert (error.input_tokens, error.output_tokens) == (10, [0, 0, 1, 2, 2][seen])
    assert error.usage_estimated


async def test_done_is_no_end_of_a_response(misbehaving: Any, responses: OpenAIResponses, call: Calls) -> None:
    misbehaving.stream(_BEGUN, _text("Paris"), b"data: [DONE]\n\n")
    assert type(await _failure(responses, call())) is errors.StreamCut


async def test_an_answer_that_reached_its_limit(misbehaving: Any, responses: OpenAIResponses, call: Calls) -> None:
    details = {"incomplete_details": {"reason": "max_output_tokens"}}
    misbehaving.stream(_BEGUN, _text("Par"), _end("incomplete", **details))
    done = await responses.complete(call())
    assert (done.text, done.finish_reason, done.output_tokens, done.usage_estimated) == ("Par", "length", 4, False)


async def test_an_answer_that_a_filter_stopped(misbehaving: Any, responses: OpenAIResponses, call: Calls) -> None:
    misbehaving.stream(_BEGUN, _text("P"), _end("incomplete", incomplete_details={"reason": "content_filter"}))
    error = await _failure(responses, call())
    assert (type(error), error.output_tokens) == (errors.ContentRefused, 4)


async def test_a_refusal(misbehaving: Any, responses: OpenAIResponses, call: Calls) -> None:
    misbehaving.stream(_BEGUN, _event("response.refusal.delta", output_index=0, delta="I will not."), _end())
    error = await _failure(responses, call())
    assert (type(error), error.message, error.output_tokens) == (errors.ContentRefused, "I will not.", 4)


@pytest.mark.parametrize(
    ("code", "expected"),
    [("server_error", errors.ServerFault), ("rate_limit_exceeded", errors.RateLimited), ("", errors.ServerFault)],
)
@pytest.mark.parametrize("how", ["failed", "completed"])
async def test_a_response_that_failed(
    misbehaving: Any, responses: OpenAIResponses, call: Calls, code: str, expected: type[EndpointError], how: str
) -> None:
    ended = {"id": "resp-1", "status": "failed", "usage": None, "error": {"code": code, "message": "boom"}}
    misbehaving.stream(_BEGUN, _text("Paris"), _event(f"response.{how}", response=ended))
    error = await _failure(responses, call())
    assert (type(error), error.input_tokens, error.output_tokens) == (expected, 10, 2)
    assert error.usage_estimated


async def test_what_a_failed_response_says_that_it_used_is_its_bill(
    misbehaving: Any, responses: OpenAIResponses, call: Calls
) -> None:
    misbehaving.stream(_BEGUN, _end("failed", error={"code": "server_error", "message": "boom"}))
    error = await _failure(responses, call())
    assert (error.input_tokens, error.output_tokens, error.cached_tokens, error.usage_estimated) == (30, 4, 16, False)


async def test_a_response_that_its_server_cancelled(misbehaving: Any, responses: OpenAIResponses, call: Calls) -> None:
    misbehaving.stream(_BEGUN, _text("Paris"), _end("cancelled", usage=None))
    error = await _failure(responses, call())
    assert (type(error), error.output_tokens, error.retry) == (errors.StreamCut, 2, True)


async def test_an_error_event(misbehaving: Any, responses: OpenAIResponses, call: Calls) -> None:
    misbehaving.stream(_BEGUN, _text("Pa"), _event("error", code="rate_limit_exceeded", message="slow down"))
    error = await _failure(responses, call())
    assert (type(error), error.output_tokens) == (errors.RateLimited, 1)


async def test_a_call_that_we_drop_tells_what_it_has_cost(
    misbehaving: Any, responses: OpenAIResponses, call: Calls
) -> None:
    spent: list[Spent] = []
    heard = asyncio.Event()
    misbehaving.stream(_BEGUN, _text("Paris is"), end="stall")
    calling = asyncio.ensure_future(
        responses.complete(call(on_text=lambda _: heard.set(), on_dropped=spent.append, timeout_s=60.0))
    )
    await asyncio.wait_for(heard.wait(), 30)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert spent == [Spent(10, 2, 0, estimated=True)]
    await asyncio.wait_for(misbehaving.gone.wait(), 30)


async def test_a_missing_usage_is_estimated(misbehaving: Any, responses: OpenAIResponses, call: Calls) -> None:
    thought = _event("response.reasoning_summary_text.delta", output_index=0, delta="hm" * 20)
    misbehaving.stream(_BEGUN, thought, _text("x" * 8), _end(usage=None))
    done = await responses.complete(call())
    assert (done.text, done.output_tokens, done.usage_estimated) == ("x" * 8, 12, True)


async def test_tool_calls(misbehaving: Any, responses: OpenAIResponses, call: Calls) -> None:
    def item(index: int, name: str, arguments: str = "", done: str = "added") -> bytes:
        called = {"type": "function_call", "id": f"fc{index}", "call_id": f"c{index}", "name": name}
        return _event(f"response.output_item.{done}", output_index=index, item={**called, "arguments": arguments})

    def piece(index: int, text: str) -> bytes:
        return _event("response.function_call_arguments.delta", output_index=index, item_id=f"fc{index}", delta=text)

    misbehaving.stream(
        _BEGUN,
        item(1, "weather"),
        piece(1, '{"city":'),
        piece(1, '"Paris"}'),
        item(1, "weather", '{"city":"Paris"}', done="done"),
        item(2, "clock", '{"zone":"CET"}', done="done"),
        _end(),
    )
    done = await responses.complete(call(tools=_TOOLS))
    calls = json.loads(done.tool_calls or "")
    assert [(each["id"], each["function"]["name"], each["function"]["arguments"]) for each in calls] == [
        ("c1", "weather", '{"city":"Paris"}'),
        ("c2", "clock", '{"zone":"CET"}'),
    ]
    assert done.finish_reason == "tool_calls"


async def test_a_conversation_with_tools(misbehaving: Any, responses: OpenAIResponses, call: Calls) -> None:
    calls = [{"id": "a", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]
    messages = (
        Message(Role.USER, "Weather?"),
        Message(Role.ASSISTANT, "", tool_calls=json.dumps(calls)),
        Message(Role.TOOL, '{"degrees": 7}', tool_call_id="a"),
    )
    misbehaving.stream(*_PARIS)
    await responses.complete(call(messages=messages, tools=_TOOLS))
    assert misbehaving.requests[0].json()["input"][1:] == [
        {"type": "function_call", "call_id": "a", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": '{"degrees": 7}'},
    ]


async def test_structured_output(misbehaving: Any, responses: OpenAIResponses, call: Calls) -> None:
    misbehaving.stream(_BEGUN, _text('{"capital":'), _text('"Paris"}'), _end())
    done = await responses.complete(call(output_schema=_CAPITAL))
    assert json.loads(done.text) == {"capital": "Paris"}
    wanted = misbehaving.requests[0].json()["text"]["format"]
    assert (wanted["type"], wanted["name"], wanted["schema"]) == ("json_schema", "answer", json.loads(_CAPITAL))


async def test_a_schema_without_an_object_at_its_root(
    misbehaving: Any, responses: OpenAIResponses, call: Calls
) -> None:
    misbehaving.stream(_BEGUN, _text('{"value": "MIT"}'), _end())
    done = await responses.complete(call(output_schema=json.dumps({"enum": ["MIT", "BSD"], "type": "string"})))
    assert json.loads(done.text) == "MIT"


@pytest.mark.parametrize(("how", "retry"), [("completed", True), ("incomplete", False)])
async def test_structured_output_that_does_not_fit(
    misbehaving: Any, responses: OpenAIResponses, call: Calls, how: str, retry: bool
) -> None:
    misbehaving.stream(_BEGUN, _text('{"capital": 3'), _end(how))
    error = await _failure(responses, call(output_schema=_CAPITAL))
    assert (type(error), error.retry, error.output_tokens) == (errors.SchemaViolated, retry, 4)


async def test_stop_sequences_are_kept_though_the_api_has_none(
    misbehaving: Any, responses: OpenAIResponses, call: Calls
) -> None:
    misbehaving.stream(_BEGUN, _text("Paris EN"), _text("D and more"), _end("incomplete"))
    done = await responses.complete(call(stop=("STOP", "END")))
    assert (done.text, done.finish_reason, done.output_tokens) == ("Paris ", "stop", 4)
    assert "stop" not in misbehaving.requests[0].json()


async def test_a_server_that_writes_nothing_in_pieces(
    misbehaving: Any, responses: OpenAIResponses, call: Calls
) -> None:
    said = {"type": "message", "content": [{"type": "output_text", "text": "Paris"}]}
    misbehaving.stream(_BEGUN, _end(output=[{"type": "reasoning"}, said]))
    assert (await responses.complete(call())).text == "Paris"


@pytest.mark.parametrize(
    "chunk",
    [b"{", b"[]", b'{"type": 3}', b'{"type": "response.output_text.delta", "delta": 3}',
     b'{"type": "response.completed", "response": []}', b'{"type": "response.completed", "response": {"usage": 3}}',
     b'{"type": "response.output_item.added", "item": {"type": "function_call"}}',
     b'{"type": "response.output_item.added", "output_index": 99999, "item": {"type": "function_call"}}',
     b'{"type": "response.function_call_arguments.delta", "output_index": 7, "delta": "{"}'],
)  # fmt: skip
async def test_malformed_events(misbehaving: Any, responses: OpenAIResponses, call: Calls, chunk: bytes) -> None:
    misbehaving.stream(_BEGUN, _text("Pa"), b"data: " + chunk + b"\n\n", _end())
    error = await _failure(responses, call())
    assert type(error) is errors.MalformedReply
    assert (error.input_tokens, error.output_tokens) == (10, 1)


_KINDS = ["response.created", "response.output_item.added", "response.output_item.done", "response.output_text.delta",
          "response.refusal.delta", "response.function_call_arguments.delta", "response.completed",
          "response.incomplete", "response.failed", "response.cancelled", "error", "response.new"]  # fmt: skip


@settings(deadline=None, max_examples=80)
@given(events=st.lists(st.dictionaries(
    st.sampled_from(["type", "delta", "output_index", "item", "response", "message", "code"]),
    st.sampled_from(_KINDS) | st.recursive(
        st.none() | st.booleans() | st.integers(-1, 3) | st.text(max_size=8),
        lambda v: st.lists(v, max_size=3) | st.dictionaries(
            st.sampled_from(["type", "status", "usage", "error", "id", "call_id", "name", "arguments", "output",
                             "content", "text", "input_tokens", "output_tokens", "incomplete_details", "reason"]),
            v | st.sampled_from(["function_call", "message", "output_text", "failed", "incomplete"])),
        max_leaves=12)), max_size=8))  # fmt: skip
def test_any_json_is_an_answer_or_an_endpoint_error(events: list[Any]) -> None:
    reading = ResponseReading(Prompt((Message(Role.USER, "x"),), None, 5))
    stream = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    try:
        for event in EventParser().feed(stream):
            reading.take(event)
        reading.completed().text.encode()
    except EndpointError as error:
        assert error.message  # noqa: PT017 - either outcome is right
    assert reading.spent().output_tokens >= 0
