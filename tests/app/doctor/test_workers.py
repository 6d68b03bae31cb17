"""Work that waits for nobody; on a real broker: tests/app/commands/test_doctor.py."""

from __future__ import annotations

from typing import Any

from aiosv3.app.backlog import Backlog
from aiosv3.app.doctor import Level, workers
from aiosv3.streams.kafka import Group, GroupMember

_INPUTS = {"router": ("prompts", "router"), "memory": ("memory.queries", "memory")}
_NOBODY = Group("dead", "", ())
_SOMEBODY = Group("stable", "consumer", (GroupMember("a", "host", ()),))


def test_work_without_a_worker_is_a_warning_for_each_processor() -> None:
    found = workers.judged(_INPUTS, {"router": Backlog(_NOBODY, 1), "memory": Backlog(_NOBODY, 7)})
    assert [one.level for one in found] == [Level.WARNING, Level.WARNING]
    assert found[0].message == "1 record waits on prompts, and nobody works on it"
    assert found[1].message == "7 records wait on memory.queries, and nobody works on it"
    assert found[1].action == "start it: aiosv3 worker memory"


def test_a_backlog_that_is_worked_on_and_an_idle_group_are_fine() -> None:
    (found,) = workers.judged(_INPUTS, {"router": Backlog(_SOMEBODY, 70), "memory": Backlog(_NOBODY, 0)})
    assert (found.level, found.message) == (Level.OK, "whatever waits has a worker")


async def test_without_a_broker_it_says_nothing(case_of: Any) -> None:
    assert await workers.check(case_of('[kafka]\nbootstrap = "127.0.0.1:1"', patience=0.3)) == ()
