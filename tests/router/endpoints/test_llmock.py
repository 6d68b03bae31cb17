"""Against a mock that is not ours: PyPI ``llmock`` plays the provider, and judges how the client took its faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from aiosv3.router.endpoints import Endpoint, Place, errors, open_endpoint
from aiosv3.router.endpoints.endpoint import Call
from aiosv3.router.endpoints.errors import EndpointError

llmock_testing = pytest.importorskip(
    "llmock.testing", reason="NO LLMOCK, so nothing independent judges the endpoints: pip install llmock==0.2.2"
)
Calls = Callable[..., Call]
_MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-6", "responses": "gpt-4o"}
_TRIES = 4

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def provider() -> Iterator[Any]:
    with llmock_testing.LLMockServer() as server:
        yield server


@pytest.fixture(params=sorted(_MODELS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def _script(provider: Any, *behaviors: dict[str, Any]) -> None:
    async with httpx.AsyncClient(base_url=provider.url, trust_env=False) as admin:
        await admin.post("/_llmock/reset")
        if behaviors:
            (await admin.post("/_llmock/scenario", json={"behaviors": behaviors})).raise_for_status()


async def _verdict(provider: Any) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=provider.url, trust_env=False) as admin:
        return dict((await admin.get("/_llmock/verdict")).json())


@asynccontextmanager
async def _opened(provider: Any, kind: str) -> Any:
    async with AsyncExitStack() as stack:
        api = kind if kind == "responses" else "chat"
        spoken = "openai" if kind == "responses" else kind
        endpoint = open_endpoint(spoken, Place(provider.base_url(spoken), SecretStr("key"), api=api))
        stack.push_async_callback(endpoint.aclose)
        yield endpoint


async def _as_a_worker_would(provider: Any, endpoint: Endpoint, call: Call) -> Any:
    """Tries again as the errors advise. The mock takes a retry for one only once it has noticed the failure itself."""
    pause = 0.06
    for _ in range(_TRIES - 1):
        try:
            return await endpoint.complete(call)
        except EndpointError as error:
            if not error.reroute:
                raise
            await _verdict(provider)
            await _wait(error.retry_after_s or pause)
            pause *= 2
    return await endpoint.complete(call)


def _not_ours(behavior: dict[str, Any]) -> set[str]:
    """Findings that say nothing of an endpoint.

    The pauses are this test's. And a stream that the mock could write to its end before it saw the client leave counts
    as accepted, with the malformed chunk in it.
    """
    return {"no_backoff"} | ({"malformed_chunk_ignored"} if behavior.get("kind") == "malformed" else set())


async def _wait(seconds: float) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), seconds)


async def test_it_answers(provider: Any, kind: str, call: Calls) -> None:
    await _script(provider)
    async with _opened(provider, kind) as endpoint:
        assert (await endpoint.probe()).models
        done = await endpoint.complete(call(model=_MODELS[kind]))
    assert done.text
    assert done.finish_reason == "stop"
    assert not done.usage_estimated


@pytest.mark.parametrize(
    ("behavior", "expected"),
    [
        ({"type": "fail", "status": 429, "retry_after": 0.4}, errors.RateLimited),
        ({"type": "fail", "status": 429}, errors.RateLimited),
        ({"type": "fail", "status": 500}, errors.ServerFault),
        ({"type": "fail", "status": 503}, errors.Overloaded),
        ({"type": "fail", "status": 529}, errors.Overloaded),
        ({"type": "stream_fault", "kind": "truncate", "after_chunks": 2}, errors.StreamCut),
        ({"type": "stream_fault", "kind": "disconnect", "after_chunks": 2}, errors.StreamCut),
        ({"type": "stream_fault", "kind": "malformed", "after_chunks": 2}, errors.MalformedReply),
    ],
)
async def test_a_fault_is_seen_and_survived(
    provider: Any, kind: str, call: Calls, behavior: dict[str, Any], expected: type[EndpointError]
) -> None:
    async with _opened(provider, kind) as endpoint:
        await _script(provider, behavior)
        with pytest.raises(EndpointError) as caught:
            await endpoint.complete(call(model=_MODELS[kind]))
        assert type(caught.value) is expected
        # The journal takes a request when the mock has noticed its end: not in the middle of what comes next.
        await _verdict(provider)
        await _script(provider, {**behavior, "times": 2})
        assert (await _as_a_worker_would(provider, endpoint, call(model=_MODELS[kind]))).text
    verdict = await _verdict(provider)
    assert verdict["passed"], json.dumps(verdict, indent=1)
    assert (verdict["attempts"], verdict["faults_injected"]) == (3, 2)
    assert {finding["code"] for finding in verdict["findings"]} <= _not_ours(behavior)


@pytest.mark.parametrize(("status", "expected"), [(400, errors.BadRequest), (401, errors.CredentialsRefused)])
async def test_what_no_retry_mends_is_asked_once(
    provider: Any, kind: str, call: Calls, status: int, expected: type[EndpointError]
) -> None:
    await _script(provider, {"type": "fail", "status": status})
    async with _opened(provider, kind) as endpoint:
        with pytest.raises(expected):
            await endpoint.complete(call(model=_MODELS[kind]))
    verdict = await _verdict(provider)
    assert (verdict["passed"], verdict["attempts"]) == (True, 1)


async def test_a_stall_is_cut_off(provider: Any, kind: str, call: Calls) -> None:
    await _script(provider, {"type": "stream_fault", "kind": "stall", "after_chunks": 2, "stall_seconds": 20})
    async with _opened(provider, kind) as endpoint:
        with pytest.raises(errors.CallTimeout) as caught:
            await endpoint.complete(call(model=_MODELS[kind], timeout_s=1.0))
    assert caught.value.billed
    assert not [f for f in (await _verdict(provider))["findings"] if f["code"] == "no_read_timeout"]
