"""Model workers: what they refuse before anything is opened."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from aiosv3.app.modelworkers import endpoint_of, run_pool
from aiosv3.app.settings import PoolSettings, Settings, SettingsError
from aiosv3.router.endpoints import Place
from aiosv3.router.endpoints.weights import WeightsUnavailable
from aiosv3.router.pools import PoolTable
from aiosv3.router.status import read_statuses
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.records import PoolState
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.kafka import Connection, KafkaLog, LogSettings


async def test_an_unknown_pool_is_refused(tmp_path: Path) -> None:
    settings = Settings(folder=tmp_path, pools={"small": PoolSettings(kind="local")})
    with pytest.raises(SettingsError, match="there is no pool 'x'; there is small"):
        await run_pool(settings, "x")


async def test_a_local_model_without_its_file_ends_the_worker_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Path:
        raise WeightsUnavailable("the file is not on this machine")

    monkeypatch.setattr("aiosv3.router.endpoints.weights.find_weights", missing)
    with pytest.raises(WeightsUnavailable, match="not on this machine"):
        await run_pool(Settings(pools={"toy": PoolSettings(kind="local")}), "toy")


async def test_an_endpoint_that_cannot_be_opened_names_its_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_kind: str, _place: object) -> None:
        raise ValueError("the key holds a line break")

    monkeypatch.setattr("aiosv3.router.endpoints.open_endpoint", refuse)
    pool = PoolSettings(kind="vllm", model="m", base_url="http://127.0.0.1:9/v1")
    with pytest.raises(SettingsError, match=r"pools\.gpu: the key holds a line break"):
        await run_pool(Settings(pools={"gpu": pool}), "gpu")


@pytest.mark.parametrize("api", ["chat", "responses"])
def test_an_endpoint_knows_that_its_calls_may_wait(monkeypatch: pytest.MonkeyPatch, api: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    opened: list[Place] = []
    monkeypatch.setattr("aiosv3.router.endpoints.open_endpoint", lambda _kind, place: opened.append(place))
    for tier in ("default", "flex"):
        pool = {"kind": "openai", "model": "m", "api": api, "service_tier": tier}
        endpoint_of("p", PoolSettings.model_validate(pool))
    assert [(place.api, place.flex) for place in opened] == [(api, False), (api, True)]


FAKE = Path(__file__).parents[1] / "router" / "vllm" / "fake_vllm.py"
PROJECT = """
[kafka]
bootstrap = "{bootstrap}"
prefix = "{prefix}"
partitions = 1
[pools.own]
kind = "vllm"
model = "Qwen/Qwen2.5-7B-Instruct"
serve = true
vllm = {{ device = "cpu" }}
"""


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def _until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.05)


@pytest.mark.kafka
@pytest.mark.process
async def test_a_worker_that_serves_says_how_its_server_is_and_leaves_none_behind(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    (tmp_path / "aiosv3.toml").write_text(PROJECT.format(bootstrap=kafka, prefix=topic_prefix), encoding="utf-8")
    program, notes, port = tmp_path / "vllm", tmp_path / "notes", _free_port()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "FAKE_VLLM_LOG": str(notes),
        "AIOSV3_METRICS__PORT": str(port),
    }
    command = [sys.executable, "-m", "aiosv3.app", "worker", "pool", "own", "-p", str(tmp_path / "aiosv3.toml")]
    table = PoolTable()

    def told(name: str) -> bool:
        with suppress(httpx.HTTPError):
            text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
            return f'{name}{{processor="pool.own"}} 0.0' in text
        return False

    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as worker:  # noqa: ASYNC220 -- killed below
        try:
            await _until(lambda: told("aiosv3_pool_circuit") and told("aiosv3_pool_server_running"))
            async with KafkaLog(Connection(kafka, client_id="test"), LogSettings()) as log:
                async with asyncio.timeout(60):
                    while not any(status.server_seen for status in table.replicas.values()):
                        await read_statuses(log, Codec(SchemaStore()), Topics(topic_prefix), table, 0)
        finally:
            worker.kill()
    (status,) = table.replicas.values()
    assert (status.pool, status.state, status.kind) == ("own", PoolState.UP, "vllm")
    assert [json.loads(line).get("stopped") for line in notes.read_text().splitlines()][:1] == [None]
    await _until(lambda: json.loads(notes.read_text().splitlines()[-1]).get("stopped", False))
