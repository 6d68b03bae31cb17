"""The real vLLM, as a pool's worker runs it: ``AIOSV3_TEST_VLLM=MODEL`` (a name or folder), heavy, minutes.

``AIOSV3_TEST_VLLM_DEVICE=cpu`` for a vLLM built for the CPU.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from aiosv3.router.endpoints import Place, open_endpoint
from aiosv3.router.endpoints.endpoint import Call
from aiosv3.router.vllm.command import ServePlan, arguments_of, check_device, environment_of, find_program
from aiosv3.router.vllm.server import VllmServer
from aiosv3.router.vllm.serving import Serving
from aiosv3.schemas.records import Message, Prompt, Role

MODEL = os.environ.get("AIOSV3_TEST_VLLM", "")
pytestmark = [
    pytest.mark.vllm,
    pytest.mark.timeout(1_800),
    pytest.mark.skipif(not MODEL, reason="NO REAL VLLM: set AIOSV3_TEST_VLLM to a model"),
]
_CAPITAL = {"type": "object", "properties": {"capital": {"type": "string", "maxLength": 20}}, "required": ["capital"]}


@pytest.fixture
async def served() -> AsyncIterator[ServePlan]:
    device: Any = os.environ.get("AIOSV3_TEST_VLLM_DEVICE", "gpu")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    plan = ServePlan(MODEL, port, device=device, max_model_len=2_048, tools=True, tool_parser="hermes", priorities=True)
    check_device(plan)
    serving = Serving([find_program(), *arguments_of(plan)], environment_of(plan, os.environ), plan.base_url)
    await serving.start()
    yield plan
    await serving.stop()


async def test_it_is_served_asked_and_looked_at(served: ServePlan) -> None:
    endpoint = open_endpoint("vllm", Place(served.base_url, priorities=True))
    server = VllmServer(served.base_url, lambda: 5)
    prompt = Prompt((Message(Role.USER, "What is the capital of France?"),), None, 32)
    call = Call(prompt, MODEL, "id-1", 600.0, tenant="acme", priority=1)
    said = await endpoint.complete(call)
    assert said.text
    assert not said.usage_estimated
    schema = replace(prompt, output_schema=json.dumps(_CAPITAL), max_tokens=64)
    shaped = await endpoint.complete(replace(call, prompt=schema, idempotency_key="id-2"))
    assert isinstance(json.loads(shaped.text)["capital"], str)
    responses = open_endpoint("openai", Place(served.base_url, api="responses"))
    assert (await responses.complete(replace(call, idempotency_key="id-3"))).text
    assert await server.look()
    load = server.load()
    assert load is not None
    assert load.cache_usage is not None
    for each in (endpoint, responses, server):
        await each.aclose()
