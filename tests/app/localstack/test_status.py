from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from aiosv3.app.localstack.errors import StateDamaged
from aiosv3.app.localstack.processes import ProcessId, identify
from aiosv3.app.localstack.status import (
    Phase,
    ProcessState,
    ProcessStatus,
    StackStatus,
    read_status,
    write_status,
)


@pytest.fixture
def status() -> StackStatus:
    me = identify(os.getpid())
    one = ProcessStatus("a", ProcessState.RUNNING, me, 2, 100.0, -9, "a.log", "tcp://127.0.0.1:1", "no [disk]")
    return StackStatus(Phase.READY, me, {"kafka": "k"}, (one,))


def test_what_is_written_is_read(tmp_path: Path, status: StackStatus) -> None:
    assert read_status(tmp_path) is None
    write_status(tmp_path, status)
    assert read_status(tmp_path) == status


def test_a_supervisor_that_is_gone_is_lost_and_dead_processes_have_no_id(tmp_path: Path, status: StackStatus) -> None:
    gone = ProcessId(os.getpid(), "before")
    dead = replace(status.processes[0], process=gone)
    write_status(tmp_path, replace(status, supervisor=gone, processes=(dead,)))
    read = read_status(tmp_path)
    assert read is not None
    assert (read.phase, read.is_up, read.processes[0].process) == (Phase.LOST, False, None)


def test_a_stack_that_was_stopped_is_not_lost(tmp_path: Path, status: StackStatus) -> None:
    write_status(tmp_path, replace(status, phase=Phase.STOPPED, supervisor=None))
    read = read_status(tmp_path)
    assert read is not None
    assert read.phase is Phase.STOPPED


def test_another_version_of_the_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"v": 2}')
    assert read_status(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "7", "[]", '{"v": 1}', '{"v": 1, "phase": "asleep"}'])
def test_a_damaged_file_is_said_and_is_not_a_defect(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(StateDamaged, match=r"state\.json is damaged"):
        read_status(tmp_path)


def test_uptime_counts_from_the_last_change(status: StackStatus) -> None:
    one = status.processes[0]
    assert one.uptime_s(now=160.0) == 60.0
    assert one.uptime_s(now=50.0) == 0.0
    assert replace(one, process=None).uptime_s(now=160.0) == 0.0
    assert status.to_json()["processes"][0]["uptime_s"] > 0
