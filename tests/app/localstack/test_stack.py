from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from aiosv3.app.localstack.distribution import KafkaDistribution
from aiosv3.app.localstack.kafka import kafka_answers
from aiosv3.app.localstack.specs import ProcessSpec
from aiosv3.app.localstack.stack import Stack
from aiosv3.app.localstack.status import Phase, StackStatus

# Several JVM starts: on a busy machine each takes a quarter of a minute.
pytestmark = [pytest.mark.kafka, pytest.mark.process, pytest.mark.timeout(400)]


@pytest.fixture
def stack(tmp_path: Path, kafka_distribution: KafkaDistribution) -> Iterator[Stack]:
    stack = Stack(tmp_path / "state", distribution=kafka_distribution)
    yield stack
    stack.down()


def _wait(stack: Stack, done: Callable[[StackStatus], bool]) -> StackStatus:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        status = stack.status()
        if status is not None and done(status):
            return status
    raise AssertionError(f"not reached: {stack.status()}")


def _agent(folder: Path, code: str = "import signal; signal.pause()") -> ProcessSpec:
    return ProcessSpec("agent", (sys.executable, "-c", code), folder / "agent.log")


def test_up_crash_lost_supervisor_down(stack: Stack, tmp_path: Path) -> None:
    assert stack.status() is None
    assert not stack.down()
    addresses = stack.prepare()
    status = stack.up([_agent(tmp_path)], detach=True)
    assert status.phase is Phase.READY
    assert dict(status.addresses) == addresses.to_json()
    assert kafka_answers(addresses.kafka)
    schema = {"schema": '{"type": "record", "name": "A", "fields": []}'}
    assert httpx.post(addresses.registry + "/subjects/a/versions", json=schema, trust_env=False).json()["id"] == 1
    assert stack.up(detach=True).supervisor == status.supervisor
    shown: list[StackStatus] = []
    assert [stack.up(detach=False, on_ready=shown.append)] == shown

    broker = status.processes[0]
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGKILL)
    again = _wait(stack, lambda now: now.processes[0].restarts == 1 and now.processes[0].state == "running")
    assert kafka_answers(addresses.kafka)
    assert again.phase is Phase.READY

    assert status.supervisor is not None
    os.kill(status.supervisor.pid, signal.SIGKILL)
    lost = _wait(stack, lambda now: now.phase is Phase.LOST)
    orphans = [one.process for one in lost.processes]
    assert None not in orphans
    fresh = stack.up([_agent(tmp_path)], detach=True)
    assert dict(fresh.addresses) == addresses.to_json()
    assert not set(orphans) & {one.process for one in fresh.processes}
    assert httpx.get(addresses.registry + "/subjects", trust_env=False).json() == ["a"]

    assert stack.down()
    assert not stack.down()
    stopped = stack.status()
    assert stopped is not None
    assert (stopped.phase, [one.pid for one in stopped.processes]) == (Phase.STOPPED, [None] * 3)
    assert not kafka_answers(addresses.kafka)
