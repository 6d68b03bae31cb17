"""What ``up`` and ``status`` print about a stack."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from aiosv3.app.commands.stackview import lost, next_steps, print_stack, summary, troubles
from aiosv3.app.localstack.processes import identify
from aiosv3.app.localstack.status import Phase, ProcessState, ProcessStatus, StackStatus

KEPT = {"phase", "bootstrap", "registry", "processes"}
KEPT_OF_A_PROCESS = {"name", "pid", "state", "restarts", "uptime_s", "log", "exit_code", "reason"}


@pytest.fixture
def found() -> StackStatus:
    me = identify(os.getpid())
    one = ProcessStatus("kafka", ProcessState.RUNNING, me, 0, 0.0, None, "/logs/kafka.log")
    down = replace(one, name="agent-a-1", process=None, exit_code=1, reason="no [key]", restarts=9)
    processes = (one, replace(down, state=ProcessState.FAILED), replace(down, name="b", state=ProcessState.BACKOFF))
    return StackStatus(Phase.READY, me, {"kafka": "127.0.0.1:29999"}, processes)


def test_json_keeps_its_shape(found: StackStatus) -> None:
    content = summary(found)
    assert set(content) == KEPT
    assert (content["bootstrap"], content["registry"]) == ("127.0.0.1:29999", None)
    assert all(set(one) == KEPT_OF_A_PROCESS for one in content["processes"])
    assert (content["processes"][1]["exit_code"], content["processes"][1]["reason"]) == (1, "no [key]")


def test_who_does_not_come_up_is_named_with_the_reason_and_what_to_do(found: StackStatus) -> None:
    gave_up, again = troubles(found)
    assert gave_up.startswith("agent-a-1 has given up after 9 restarts: no [key]. See 'aiosv3 logs agent-a-1'")
    assert again == "b ended and is started again: no [key]. See 'aiosv3 logs b'."


def test_without_a_terminal_there_are_columns_that_a_script_can_cut(
    found: StackStatus, capsys: pytest.CaptureFixture[str]
) -> None:
    print_stack(found)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["process", "pid", "state", "restarts", "up"]
    assert lines[1].split()[:4] == ["kafka", str(os.getpid()), "running", "0"]
    assert lines[2].split() == ["agent-a-1", "failed", "9", "0", "s"]
    assert lines[4] == "ready: kafka 127.0.0.1:29999; logs in /logs"
    assert "no [key]" in lines[5]


@pytest.mark.parametrize(("columns", "boxed"), [("100", True), ("30", False)])
def test_a_table_is_for_a_terminal_with_room_for_it(
    found: StackStatus,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    columns: str,
    boxed: bool,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", columns)
    print_stack(found)
    out = capsys.readouterr().out
    assert ("━" in out) == boxed
    assert "agent-a-1" in out


def test_what_is_left_of_a_lost_stack_is_named(found: StackStatus) -> None:
    assert "; kafka still run: 'aiosv3 up' starts it again" in lost(found)
    assert "still run" not in lost(replace(found, processes=()))


def test_the_next_steps_can_be_typed() -> None:
    assert next_steps(["desk"], ("-p", "my folder")) == [
        "aiosv3 task send desk --json '{…}' -p 'my folder'",
        "aiosv3 status -p 'my folder'",
        "aiosv3 logs -f -p 'my folder'",
        "aiosv3 down -p 'my folder'",
    ]
    assert next_steps([], ())[0] == "aiosv3 status"
