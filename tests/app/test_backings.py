from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from aiosv3.app.backings import behind, plan_of, serving_of
from aiosv3.app.settings import PoolSettings, SettingsError
from aiosv3.router.vllm.errors import ServerFailed

FAKE = Path(__file__).parents[1] / "router" / "vllm" / "fake_vllm.py"
MODEL = "Qwen/Qwen2.5-7B-Instruct"


def pool(**fields: Any) -> PoolSettings:
    return PoolSettings(**{"kind": "vllm", "model": MODEL, "serve": True, "vllm": {"device": "cpu"}, **fields})


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ``vllm`` on the path that behaves like the real one; where it notes its starts and stops."""
    script = tmp_path / "vllm"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("FAKE_VLLM_LOG", str(tmp_path / "notes"))
    return tmp_path / "notes"


def notes(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.process
async def test_a_pool_that_serves_has_its_server_up_and_ends_it(program: Path, tmp_path: Path) -> None:
    async with behind("own", pool(), tmp_path, lambda: 5) as made:
        assert made.pool.base_url.startswith("http://127.0.0.1:")
        assert made.backing is not None
        assert made.backing.blocked() is None
        assert len(made.helpers) == 2
        assert await made.backing.look()  # type: ignore[attr-defined]
        load = made.backing.load()
        assert load is not None
        assert load.seen == 5
    assert notes(program)[-1].get("stopped")


@pytest.mark.process
async def test_a_server_that_does_not_come_up_ends_the_worker_in_words(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_VLLM_FAILS", "1")
    with pytest.raises(ServerFailed, match="ended with code 1"):
        async with behind("own", pool(), tmp_path, lambda: 5):
            raise AssertionError("it is not up")
    assert len(notes(program)) == 1


@pytest.mark.process
async def test_advice_is_logged_once_however_often_it_is_started(
    program: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deepseek = pool(model="deepseek-ai/DeepSeek-V3-0324", capabilities=["json", "tools"])
    async with behind("own", deepseek, tmp_path, lambda: 5) as made:
        keeping = asyncio.ensure_future(made.helpers[1]())
        port = made.pool.base_url.rsplit(":", 1)[1].removesuffix("/v1")
        async with httpx.AsyncClient(trust_env=False) as client:
            with pytest.raises(httpx.HTTPError):
                await client.post(f"http://127.0.0.1:{port}/die")
        async with asyncio.timeout(30):
            while len([note for note in notes(program) if "started" in note]) < 2:
                await asyncio.sleep(0.01)
        keeping.cancel()
    said = [one.getMessage() for one in caplog.records if "chat_template" in one.getMessage()]
    assert len(said) == 1
    assert "pool own: DeepSeek V3 calls tools reliably only with vLLM's template" in said[0]


async def test_a_server_elsewhere_is_looked_at_and_left_alone(tmp_path: Path) -> None:
    elsewhere = PoolSettings(kind="vllm", model="m", base_url="http://127.0.0.1:1/v1")
    async with behind("own", elsewhere, tmp_path, lambda: 5) as made:
        assert made.pool is elsewhere
        assert len(made.helpers) == 1
        assert made.backing is not None
        assert made.backing.load() is None


async def test_behind_a_cloud_stands_nothing_that_is_known(tmp_path: Path) -> None:
    cloud = PoolSettings(kind="openai", model="m")
    async with behind("cloud", cloud, tmp_path, lambda: 5) as made:
        assert (made.pool, made.backing, list(made.helpers)) == (cloud, None, [])


@contextmanager
def _no_vllm(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[None]:
    monkeypatch.setenv("PATH", str(folder))
    yield


async def test_where_vllm_is_missing_it_says_so_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _no_vllm(monkeypatch, tmp_path), pytest.raises(SettingsError, match=r"pools\.own: vllm is not installed here"):
        async with behind("own", pool(), tmp_path, lambda: 5):
            raise AssertionError("it is not up")


def test_what_should_be_known_before_it_is_served_is_logged(
    program: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    del program
    deep = pool(model="deepseek-ai/DeepSeek-V3", capabilities=["json", "tools"])
    serving_of("own", deep, tmp_path)
    assert "pool own: " in caplog.text
    assert "give its path as chat_template" in caplog.text


def test_the_plan_is_that_of_the_settings(tmp_path: Path) -> None:
    given = {"port": 8000, "tensor_parallel": 2, "chat_template": "t.jinja", "arguments": ["--seed", "1"]}
    plan = plan_of(pool(scheduling="priority", wake=True, capabilities=["json", "tools"], vllm=given), tmp_path)
    assert (plan.model, plan.base_url, plan.tensor_parallel) == (MODEL, "http://127.0.0.1:8000/v1", 2)
    assert (plan.tools, plan.priorities, plan.sleeps) == (True, True, True)
    assert (plan.chat_template, plan.arguments) == (str(tmp_path / "t.jinja"), ("--seed", "1"))


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "vllm", "model": "m"},
        {"kind": "vllm", "model": "m", "serve": True, "base_url": "http://h:1/v1"},
        {"kind": "openai", "model": "m", "serve": True},
        {"kind": "openai", "model": "m", "vllm": {"gpus": "0"}},
        {"kind": "openai", "model": "m", "scheduling": "priority"},
        {"kind": "anthropic", "model": "m", "api": "responses"},
    ],
)
def test_settings_that_do_not_go_together(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PoolSettings(**fields)
