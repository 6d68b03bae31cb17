"""A server that behaves like vLLM is started, killed, and started again: real processes, real HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiosv3.router.endpoints import Place, open_endpoint
from aiosv3.router.endpoints.endpoint import Call
from aiosv3.router.vllm.command import ServePlan, arguments_of, environment_of, find_program
from aiosv3.router.vllm.errors import ServerFailed
from aiosv3.router.vllm.server import VllmServer
from aiosv3.router.vllm.serving import Serving, ServingPolicy
from aiosv3.schemas.records import Message, Prompt, Role

pytestmark = pytest.mark.process
QUICK = ServingPolicy(start=30.0, drain=5.0, again=0.02, check=0.02, poll=0.02, progress=0.05)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def serving(policy: ServingPolicy = QUICK, **environment: str) -> tuple[Serving, ServePlan]:
    plan = ServePlan("Qwen/Qwen2.5-7B-Instruct", free_port(), device="cpu")
    command = [find_program(), *arguments_of(plan)]
    return Serving(command, environment_of(plan, {**os.environ, **environment}), plan.base_url, policy), plan


@pytest.fixture
async def kept(on_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Starts a server, and ends all that were started."""
    started: list[Serving] = []

    async def start(policy: ServingPolicy = QUICK, **environment: str) -> tuple[Serving, ServePlan]:
        made, plan = serving(policy, **environment)
        started.append(made)
        await made.start()
        return made, plan

    yield start
    for each in started:
        await each.stop()


def notes(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.01)


async def test_it_is_started_waited_for_asked_and_drained(
    kept: Callable[..., Any], on_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    made, plan = await kept(FAKE_VLLM_START_S="0.5")
    assert made.gate() is None
    assert "not well yet after" in caplog.text
    assert "Loading weights" in caplog.text
    assert notes(on_path)[0]["started"] == arguments_of(plan)
    endpoint = open_endpoint("vllm", Place(plan.base_url))
    done = await endpoint.complete(Call(Prompt((Message(Role.USER, "?"),), None, 5), "m", "id", 30.0))
    assert (done.text, done.usage_estimated) == ("Paris", False)
    await endpoint.aclose()
    server = VllmServer(plan.base_url, lambda: 0, gate=made.gate)
    assert await server.look()
    await made.stop()
    assert "vLLM" in str(server.blocked())
    await server.aclose()
    assert notes(on_path)[-1].get("stopped"), "it got SIGTERM and ended by itself"


async def test_one_that_dies_is_started_again(kept: Callable[..., Any], on_path: Path) -> None:
    made, plan = await kept()
    keeping = asyncio.ensure_future(made.keep())
    async with httpx.AsyncClient(trust_env=False) as client:
        for starts in (2, 3):
            with pytest.raises(httpx.HTTPError):
                await client.post(f"http://127.0.0.1:{plan.port}/die")
            await until(lambda: made.starts == starts and made.gate() is None)  # noqa: B023
    keeping.cancel()
    assert len([note for note in notes(on_path) if "started" in note]) == 3


async def test_one_that_cannot_start_says_what_it_said(on_path: Path) -> None:
    made, _ = serving(FAKE_VLLM_FAILS="1")
    with pytest.raises(ServerFailed, match="ended with code 1 before it was well") as caught:
        await made.start()
    assert "ValueError: the model's config cannot be read" in str(caught.value)
    assert "serve Qwen/Qwen2.5-7B-Instruct" in str(caught.value)
    assert len(notes(on_path)) == 1


async def test_one_that_makes_progress_may_take_longer_and_what_it_repeats_is_none(
    kept: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Its bar ends its lines with CR, and its time stamps differ."""
    caplog.set_level(logging.INFO)
    short = replace(QUICK, start=1.5)
    await kept(short, FAKE_VLLM_START_S="4", FAKE_VLLM_TALKS="progress")
    assert "% Completed" in caplog.text
    made, _ = serving(short, FAKE_VLLM_START_S="12", FAKE_VLLM_TALKS="again")
    with pytest.raises(ServerFailed, match=r"after its start, and said nothing new for 1\.5 s"):
        await made.start()


async def test_one_that_takes_too_long_is_ended(on_path: Path) -> None:
    made, plan = serving(ServingPolicy(start=1.0, drain=5.0, poll=0.02), FAKE_VLLM_START_S="300")
    with pytest.raises(ServerFailed, match=r"was not well \d+ s after its start, and said nothing new for 1 s"):
        await made.start()
    assert made.gate() is not None
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", plan.port)
