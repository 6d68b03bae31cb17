from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aiosv3.app.doctor import Level, localstack
from aiosv3.app.localstack import KafkaDistribution, Phase, ProcessState, ProcessStatus, StackStatus
from aiosv3.app.localstack.java import Java
from aiosv3.app.localstack.processes import identify
from aiosv3.app.localstack.status import write_status

_ONE = ProcessStatus("kafka", ProcessState.RUNNING, None, 0, 0.0, None, "kafka.log")
_UP = StackStatus(Phase.READY, identify(os.getpid()), {"kafka": "k:1", "registry": "http://r:1"}, (_ONE,))


def test_processes_that_end_are_told() -> None:
    (fine,) = localstack.judged(_UP)
    assert (fine.level, fine.message) == (Level.OK, "ready, 1 processes")
    (again,) = localstack.judged(replace(_UP, processes=(replace(_ONE, restarts=3),)))
    assert (again.level, "kafka 3 times" in again.message) == (Level.WARNING, True)
    down = replace(_ONE, state=ProcessState.BACKOFF, exit_code=-9)
    (ended,) = localstack.judged(replace(_UP, processes=(down,)))
    assert (ended.level, ended.message, ended.action) == (Level.FAILED, "kafka ended: -9", "see kafka.log")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A machine with a Java that ends with a code, with or without Kafka's files."""

    def make(code: int = 0, complete: bool = True) -> None:
        done = subprocess.CompletedProcess([], code, "", "no such library\n")
        monkeypatch.setattr(subprocess, "run", lambda *_args, **_options: done)
        monkeypatch.setattr(KafkaDistribution, "java", lambda _self: Java(Path("java"), 25))
        monkeypatch.setattr(KafkaDistribution, "is_complete", lambda _self: complete)

    return make


async def test_what_up_needs(case_of: Any, machine: Any) -> None:
    machine()
    (found,) = await localstack.check(case_of())
    assert (found.level, "'aiosv3 up' can start" in found.message) == (Level.OK, True)
    machine(complete=False)
    (found,) = await localstack.check(case_of())
    assert (found.level, "fetches it once" in (found.action or "")) == (Level.WARNING, True)
    machine(code=1)
    (found,) = await localstack.check(case_of())
    assert (found.level, found.message) == (Level.FAILED, "java does not run: no such library")


async def test_a_stack_that_is_up_or_lost_and_one_that_is_not_needed(
    case_of: Any, machine: Any, tmp_path: Path
) -> None:
    machine()
    state = tmp_path / ".aiosv3"
    write_status(state, _UP)
    assert (await localstack.check(case_of()))[0].message == "ready, 1 processes"
    write_status(state, replace(_UP, supervisor=None))
    assert [one.level for one in await localstack.check(case_of())] == [Level.WARNING, Level.OK]
    (found,) = await localstack.check(case_of('[kafka]\nbootstrap = "there:9092"'))
    assert (found.level, "not needed" in found.message) == (Level.OK, True)
