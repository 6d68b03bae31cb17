from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from prometheus_client import start_http_server

from aiosv3.app.localstack import Phase, ProcessState, ProcessStatus, StackStatus
from aiosv3.app.localstack.processes import identify
from aiosv3.app.settings import KafkaSettings, Settings
from aiosv3.app.standing import Standing, gauges_in, standings
from aiosv3.streams.metrics import MetricsCatalogue


@pytest.fixture
def metrics_port() -> Iterator[int]:
    """The metrics of a worker of agent desk with two stuck tasks."""
    catalogue = MetricsCatalogue()
    desk = catalogue.processor("agent.desk")
    desk.stuck.set(2)
    desk.parked.set(1)
    catalogue.processor("router").stuck.set(9)
    server, thread = start_http_server(0, "127.0.0.1", catalogue.registry)
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def stack(*addresses: str) -> StackStatus:
    me = identify(os.getpid())
    workers = [
        ProcessStatus(f"agent-desk-{n}", ProcessState.RUNNING, me, 0, 0.0, None, "log", address)
        for n, address in enumerate(addresses, 1)
    ]
    router = ProcessStatus("router-1", ProcessState.RUNNING, me, 0, 0.0, None, "log", "tcp://127.0.0.1:1")
    return StackStatus(Phase.READY, me, {}, (router, *workers))


async def test_gauges_are_summed_over_workers_and_silent_ones_hold_nothing_up(metrics_port: int) -> None:
    address = f"tcp://127.0.0.1:{metrics_port}"
    settings = Settings(kafka=KafkaSettings(bootstrap="127.0.0.1:1"))
    found = await standings(settings, stack(address, address, "tcp://127.0.0.1:1"))
    assert found == [Standing("desk", None, 2, 4)]


async def test_a_stack_without_agents_asks_nobody() -> None:
    assert await standings(Settings(), stack()) == []


def test_other_processors_and_other_gauges_are_passed_over() -> None:
    text = '# TYPE aiosv3_tasks_stuck gauge\naiosv3_tasks_stuck{processor="router"} 3\n# TYPE x gauge\nx 1\n'
    assert gauges_in(text) == {}
    assert gauges_in("") == {}


def test_only_what_there_is_to_do_is_worth_a_line() -> None:
    assert Standing("desk", 0, 0, 0).words() is None
    assert Standing("desk", None, 0, 0).words() is None
    assert Standing("desk", 3, 1, 2).words() == (
        "agent desk: 3 unfinished, 1 parked, 2 stuck ('aiosv3 task stuck desk' says which, and why)"
    )
