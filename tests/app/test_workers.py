"""Worker processes: what they refuse, when they count as ready, how they end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from confluent_kafka import KafkaError
from pydantic import SecretStr

from aiosv3.app import workers
from aiosv3.app.projects import agent_named
from aiosv3.app.settings import (
    KafkaSettings,
    MetricsSettings,
    RegistrySettings,
    Settings,
    SettingsError,
    load_settings,
)
from aiosv3.app.workers import (
    connect,
    open_mesh,
    open_store,
    register_released,
    run_agent,
    serve,
    settled,
    spare_collector,
)
from aiosv3.schemas.errors import AiosError, RegistryUnavailable
from aiosv3.schemas.topics import Topics
from aiosv3.streams.errors import BrokerUnavailable, PartitionMismatch
from aiosv3.streams.kafka import AuthenticationFailed, KafkaRefused
from aiosv3.streams.metrics import MetricsCatalogue


def test_no_broker_says_how_to_get_one() -> None:
    with pytest.raises(SettingsError, match="no broker: start the local stack with 'aiosv3 up', or set"):
        connect(Settings(), "c")


def test_properties_reach_the_client_and_no_repr() -> None:
    given = KafkaSettings(bootstrap="h:1", properties={"sasl.password": SecretStr("hidden")})
    connection = connect(Settings(kafka=given), "c")
    assert connection.security == {"sasl.password": "hidden"}
    assert "hidden" not in repr(connection)


async def test_a_broker_that_is_not_there_is_said_in_time() -> None:
    settings = Settings(kafka=KafkaSettings(bootstrap="127.0.0.1:1"))
    async with asyncio.timeout(9):
        with pytest.raises(BrokerUnavailable, match=r"no Kafka broker answered at 127\.0\.0\.1:1"):
            async with open_mesh(settings, "c"):
                raise AssertionError("there is no mesh")


def test_a_registry_needs_the_certificates_that_it_names(tmp_path: Path) -> None:
    given = RegistrySettings(url="https://here:8081", ca="ca.pem")
    with pytest.raises(SettingsError, match=r"registry\.ca: there is no file .*ca\.pem"):
        open_store(Settings(folder=tmp_path, registry=given))


async def test_an_unknown_agent_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    settings = Settings(folder=tmp_path)
    with pytest.raises(SettingsError, match="there is no agent 'x'"):
        await run_agent(settings, "x")


@pytest.mark.parametrize(
    ("error", "patience", "asked"),
    [
        (KafkaRefused(KafkaError.UNKNOWN_TOPIC_OR_PART, "not now"), 60.0, 3),
        (KafkaRefused(KafkaError.UNKNOWN_TOPIC_OR_PART, "not now"), 0.0, 1),
        (KafkaRefused(KafkaError.TOPIC_AUTHORIZATION_FAILED, "not now"), 60.0, 1),
        (BrokerUnavailable("not now"), 60.0, 3),
        (AuthenticationFailed("not now"), 60.0, 1),
    ],
)
async def test_a_broker_that_refuses_is_asked_again_unless_time_cannot_help(
    error: AiosError, patience: float, asked: int
) -> None:
    answers = [error, error, "an answer"]
    count = 0

    async def ask() -> str:
        nonlocal count
        count += 1
        answer = answers[count - 1]
        if isinstance(answer, AiosError):
            raise answer
        return str(answer)

    if asked == 3:
        assert await settled(ask, patience, 0.0) == "an answer"
    else:
        with pytest.raises(type(error), match="not now"):
            await settled(ask, patience, 0.0)
    assert count == asked


class _Processor:
    """What ``serve`` needs of one."""

    def __init__(self) -> None:
        self.drained: float | None = None

    async def start(self) -> None:
        """Joined."""

    async def drain(self, grace: float) -> None:
        self.drained = grace


def mesh_of(port: int = 0) -> Any:
    """What ``serve`` needs of one."""
    return SimpleNamespace(settings=Settings(metrics=MetricsSettings(port=port)), metrics=MetricsCatalogue())


async def served(mesh: Any, processor: Any, *beside: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(10):
        await serve(mesh, processor, beside)


def test_a_worker_of_an_agent_starts_without_the_parts_of_others() -> None:
    code = "import sys, aiosv3.app.commands.worker, aiosv3.app.workers; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    others = (
        "aiosv3.agents.remembering.extraction",
        "aiosv3.app.desks",
        "aiosv3.app.determinism",
        "aiosv3.app.pricing",
    )
    assert [name for name in (*others, "aiosv3.router.prices", "aiosv3.tools", "httpx") if name in loaded] == []


def test_the_collector_is_spared_and_still_finds_cycles() -> None:
    class Cycle:
        def __init__(self) -> None:
            self.itself = self

    before = gc.get_threshold()
    gc.disable()  # as a worker's process starts
    try:
        spare_collector()
        assert gc.get_freeze_count() > 0
        first = weakref.ref(Cycle())
        made = 0
        while first() is not None and made < 1_000_000:
            made += 1
            Cycle()
        assert 700 < made < 1_000_000
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


async def test_sigterm_drains_and_ends_in_peace() -> None:
    async def ask_to_stop() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    processor = _Processor()
    await served(mesh_of(), processor, ask_to_stop)
    assert processor.drained == workers._DRAIN_S


async def test_a_helper_that_fails_ends_the_process_with_70_and_drains_nothing() -> None:
    async def fails() -> None:
        raise LookupError("a defect")

    processor = _Processor()
    with pytest.raises(SystemExit) as ended:
        await served(mesh_of(), processor, fails)
    assert (ended.value.code, processor.drained) == (70, 0.0)


async def test_a_taken_metrics_port_is_logged_and_work_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def ask_to_stop() -> None:
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGTERM)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        await served(mesh_of(port), _Processor(), ask_to_stop)
    assert f"no metrics: 127.0.0.1:{port} cannot be opened" in caplog.text


async def test_a_registry_that_is_away_is_no_obstacle(caplog: pytest.LogCaptureFixture) -> None:
    class Store:
        def released_schema(self, name: str) -> str:
            return name

        async def register(self, _subject: str, _schema: object) -> int:
            raise RegistryUnavailable("it does not answer")

    mesh: Any = SimpleNamespace(store=Store(), topics=Topics())
    await register_released(mesh, {"aios.pools": "aiosv3.PoolStatus", "aios.cards": "aiosv3.AgentCard"})
    assert caplog.text.count("going on with released schema ids: it does not answer") == 1


@pytest.mark.kafka
async def test_nothing_waits_behind_deltas(idle: Any) -> None:
    async with open_mesh(load_settings(idle.file), "c") as mesh:
        assert mesh.log._settings.fleeting == {mesh.topics.deltas()}


@pytest.mark.kafka
async def test_counts_that_differ_from_those_on_the_broker_are_refused(idle: Any) -> None:
    settings = load_settings(idle.file)
    async with open_mesh(settings, "c") as mesh:
        await workers.agent_processor(mesh, agent_named(settings, "desk"))
    other = settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"partitions": 3})})
    with pytest.raises(PartitionMismatch, match=r"tasks\.desk has 2 partitions, not 3"):
        await run_agent(other, "desk")


@pytest.mark.kafka
@pytest.mark.process
@pytest.mark.xdist_group("app-desk")
def test_a_ready_worker_serves_its_metrics(desk: Any) -> None:
    port = desk.start("agent", "desk")
    desk.wait_ready([port])
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False)
    assert answer.status_code == 200
    assert "aiosv3_" in answer.text
