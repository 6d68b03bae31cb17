"""Provider refusals become the right error, with the right advice."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiosv3.router.endpoints import errors
from aiosv3.router.endpoints.errors import EndpointError, Spent
from aiosv3.router.endpoints.faults import failed_midway, refused, retry_after

_NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
_LLAMA = {"error": {"code": 400, "message": "too long", "type": "exceed_context_size_error"}}
_VLLM = {"object": "error", "message": "This model's maximum context length is 2048 tokens.", "code": 400}
_ANTHROPIC = {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"}}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"error": {"code": "context_length_exceeded", "message": "x"}}, errors.ContextTooLong),
        (400, _LLAMA, errors.ContextTooLong),
        (400, _VLLM, errors.ContextTooLong),
        (400, _ANTHROPIC, errors.ContextTooLong),
        (413, {}, errors.ContextTooLong),
        (500, {"error": "the request exceeds the available context size"}, errors.ContextTooLong),
        (400, {"error": {"code": "content_filter"}}, errors.ContentRefused),
        (400, {"error": {"message": "no such field"}}, errors.BadRequest),
        (422, {"detail": [{"loc": ["body"]}]}, errors.BadRequest),
        (418, b"teapot", errors.BadRequest),
        (401, {"error": {"message": "no"}}, errors.CredentialsRefused),
        (402, {}, errors.CredentialsRefused),
        (403, {}, errors.CredentialsRefused),
        (404, {"error": "model 'x' not found"}, errors.ModelMissing),
        (408, {}, errors.CallTimeout),
        (429, {}, errors.RateLimited),
        (500, b"<html>", errors.ServerFault),
        (502, b"", errors.ServerFault),
        (504, b"[" * 100_000, errors.ServerFault),
        (503, {"object": "error", "type": "Service Unavailable"}, errors.Overloaded),
        (529, {"error": {"type": "overloaded_error"}}, errors.Overloaded),
        (302, b"", errors.MalformedReply),
    ],
)
def test_status_and_body(status: int, body: Any, expected: type[EndpointError]) -> None:
    error = refused(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode())
    assert type(error) is expected
    assert error.status == status
    assert not error.billed


def _advice(error: EndpointError) -> tuple[bool, bool, bool]:
    return error.reroute, error.retry, error.trips_breaker


def test_a_refused_admission_is_routed_elsewhere_and_keeps_the_breaker_closed() -> None:
    assert _advice(refused(503, {}, b"")) == (True, False, False)


def test_a_busy_server_that_names_a_time_may_be_asked_again() -> None:
    error = refused(503, {"retry-after": "7"}, b"")
    assert _advice(error) == (True, True, False)
    assert error.retry_after_s == 7
    assert _advice(refused(529, {}, b"")) == (True, True, False)


def test_a_used_up_quota_is_not_asked_again() -> None:
    body = json.dumps({"error": {"code": "insufficient_quota"}}).encode()
    assert _advice(refused(429, {}, body)) == (True, False, True)
    assert _advice(refused(429, {}, b"")) == (True, True, False)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "1e999"}, 86_400.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "9", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0.0),
        # The server's clock is an hour ahead of ours.
        ({"retry-after": "Sun, 01 Mar 2026 13:00:20 GMT", "date": "Sun, 01 Mar 2026 13:00:00 GMT"}, 20.0),
        ({"retry-after": "Sun, 01 Mar 99999 11:00:00 GMT"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, _NOW) == seconds


@settings(deadline=None)
@given(text=st.text(max_size=40))
def test_retry_after_takes_any_text(text: str) -> None:
    wait = retry_after({"retry-after": text}, _NOW)
    assert wait is None or 0 <= wait <= 86_400


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, errors.Overloaded),
        ({"error": {"type": "rate_limit_error"}}, errors.RateLimited),
        ({"error": {"type": "authentication_error"}}, errors.CredentialsRefused),
        ({"error": {"type": "invalid_request_error", "message": "prompt is too long"}}, errors.ContextTooLong),
        ({"error": {"code": 502, "message": "upstream"}}, errors.ServerFault),
        ({"error": {"code": 429}}, errors.RateLimited),
        ({"error": "out of memory"}, errors.ServerFault),
        ({"error": ["odd"]}, errors.ServerFault),
    ],
)
def test_an_error_within_a_stream_is_billed(error: object, expected: type[EndpointError]) -> None:
    fault = failed_midway(error, Spent(10, 5), "id-1")
    assert type(fault) is expected
    assert (fault.billed, fault.input_tokens, fault.output_tokens, fault.provider_request_id) == (True, 10, 5, "id-1")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["error", "code", "type", "message"]), inner)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(status=st.integers(300, 599), body=_JSON | st.binary(max_size=60))
def test_no_body_is_too_odd(status: int, body: Any) -> None:
    error = refused(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode())
    assert len(error.message) < 500
    error.message.encode()


def test_the_label_tells_nothing_of_the_provider_s_words() -> None:
    error = refused(400, {}, b'{"error": {"message": "your prompt SECRET is bad"}}')
    assert "SECRET" in str(error)
    assert error.label == "BadRequest 400"
