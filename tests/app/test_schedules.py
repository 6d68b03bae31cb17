"""Schedules as tasks: fired once each, also when every worker dies after any record; missed, cancelled, long ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

import pytest

from aiosv3.agents import Context, agent
from aiosv3.agents.testing import MeshTest, TaskFailed
from aiosv3.agents.testing.world import World
from aiosv3.app.cron import next_time
from aiosv3.app.schedules import PLACE, Ended, Part, Schedule, next_firing, schedule, time_text

FRIDAY = datetime(2026, 11, 27, 6, 30, tzinfo=UTC)
DAILY: dict[str, Any] = {"agent": "digest", "input": "all", "cron": "0 7 * * 1-5", "timezone": "Europe/Berlin"}


@agent
async def digest(ctx: Context, words: str) -> str:
    """Says when it was asked."""
    return f"{words} {time_text(ctx.now())}"


def fired(mesh: MeshTest) -> list[str]:
    """Ids of the tasks that ended, in order."""
    return [result.task_id for result in mesh.records("results.digest")]


def test_it_is_an_agent_of_the_project_by_name() -> None:
    module, _, name = PLACE.partition(":")
    assert getattr(import_module(module), name) is schedule


def test_once_and_later() -> None:
    mesh = MeshTest(schedule, digest, crash="everywhere", begins=FRIDAY)
    ended = mesh.run(schedule, Schedule(agent="digest", input="all", after_seconds=7_200, key="ann"))
    assert ended == Ended(started="digest:0:schedule-1/2026-11-27T08:30Z")
    (result,) = mesh.records("results.digest")
    assert (result.task_key, result.content) == ("ann", "all 2026-11-27T08:30Z")


def test_again_and_again_in_a_time_zone_until_it_is_cancelled() -> None:
    mesh = MeshTest(schedule, digest, crash="everywhere", begins=FRIDAY)
    task = mesh.start(schedule, Schedule(**DAILY))
    mesh.advance(timedelta(days=4))
    task.cancel()
    with pytest.raises(TaskFailed, match="cancelled"):
        task.result()
    mesh.advance(timedelta(days=7))
    assert fired(mesh) == ["schedule-1/2026-11-30T06:00Z", "schedule-1/2026-12-01T06:00Z"]


def test_a_workday_at_seven_stays_at_seven_when_clocks_change() -> None:
    mesh = MeshTest(schedule, digest, begins=datetime(2026, 3, 27, 7, tzinfo=UTC))
    mesh.start(schedule, Schedule(**{**DAILY, "cron": "0 7 * * *"}))
    mesh.advance(timedelta(days=3))
    assert fired(mesh) == [f"schedule-1/2026-03-{day}" for day in ("28T06:00Z", "29T05:00Z", "30T05:00Z")]


def test_of_the_times_that_were_missed_only_the_latest_is_fired() -> None:
    mesh = MeshTest(schedule, digest, begins=FRIDAY)
    mesh.start(schedule, Schedule(**{**DAILY, "cron": "0 * * * *"}))
    mesh.advance(timedelta(hours=1))
    mesh._act(_stop)
    mesh.advance(timedelta(hours=5, minutes=10))
    mesh._act(_start)
    mesh.advance(timedelta(hours=1))
    assert fired(mesh) == [f"schedule-1/2026-11-27T{hour}:00Z" for hour in ("07", "12", "13")]


def _stop(world: World) -> None:
    for process in world.processes:
        process.kill()


def _start(world: World) -> None:
    world.loop.call_soon(world._replace, list(world.processes))
    world.settle()


def test_no_journal_grows_with_the_number_of_firings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiosv3.app.schedules._SPAN", 5)
    mesh = MeshTest(schedule, digest, begins=FRIDAY)
    task = mesh.start(schedule, Schedule(**{**DAILY, "cron": "*/10 * * * * *"}))
    mesh.advance(timedelta(seconds=10 * 27))
    journals: dict[str, int] = {}
    for record in mesh.records("journal.schedule"):
        journals[record.task_id] = journals.get(record.task_id, 0) + 1
    assert len(fired(mesh)) == len(set(fired(mesh))) == 27
    assert journals[task.id] == 3, "started, its first time, and one child that is over"
    assert max(journals.values()) <= 3 * 5 + 2


def test_who_set_it_up_and_what_it_may_cost_go_on() -> None:
    mesh = MeshTest(schedule, digest, begins=FRIDAY)
    given = Schedule(agent="digest", input="all", after_seconds=5, cost_limit_usd=Decimal("0.25"))
    mesh.run(schedule, given, ce_authid="zoe", ce_tenant="acme", ce_dataclassification="confidential")
    mesh.advance(timedelta(seconds=1))
    raw = mesh._world.history.of("tasks.digest")[0]
    headers = {name: value.decode() for name, value in raw.headers}
    assert (headers["ce_authid"], headers["ce_tenant"]) == ("zoe", "acme")
    assert (headers["ce_dataclassification"], headers["ce_costlimitusd"]) == ("confidential", "0.25")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "either cron or after_seconds"),
        ({"cron": "* * * * *", "after_seconds": 1}, "either cron or after_seconds"),
        ({"after_seconds": -1}, "greater than or equal to 0"),
        ({"cron": "daily"}, "no cron expression"),
        ({"cron": "0 0 */31 * MON#5"}, "never comes"),
        ({"cron": "* * * * *", "timezone": "Atlantis"}, "no time zone 'Atlantis'"),
        ({"after_seconds": 1, "cost_limit_usd": -1}, "amount of money"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Schedule(agent="digest", input=1, **fields)


def test_when_it_fires_next() -> None:
    once = Schedule(agent="digest", input=1, after_seconds=60)
    assert next_firing(once, FRIDAY, FRIDAY + timedelta(days=1)) == FRIDAY + timedelta(minutes=1)
    assert next_firing(Schedule(**DAILY), FRIDAY, FRIDAY) == datetime(2026, 11, 30, 6, tzinfo=UTC)


def test_a_part_is_a_child_and_knows_whose() -> None:
    mesh = MeshTest(schedule, digest, begins=FRIDAY)
    mesh.start(schedule, Schedule(**DAILY))
    mesh.advance(timedelta(days=3))
    _, chapter, part = mesh.records("tasks.schedule")
    assert [Part(**one["part"]).levels for one in (chapter, part)] == [1, 0]
    assert {one["part"]["schedule"] for one in (chapter, part)} == {"schedule-1"}


def test_rules_that_change_do_not_strand_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an expression meant is in the journal: a worker whose machine has other rules goes on from there."""
    mesh = MeshTest(schedule, digest, begins=FRIDAY)
    mesh.start(schedule, Schedule(**{**DAILY, "cron": "0 7 * * *"}))
    mesh.advance(timedelta(days=2))
    rules = next_time

    def an_hour_later(cron: str, timezone: str, after: datetime) -> datetime | None:
        found = rules(cron, timezone, after - timedelta(hours=1))
        return None if found is None else found + timedelta(hours=1)

    monkeypatch.setattr("aiosv3.app.cron.next_time", an_hour_later)
    monkeypatch.setattr("aiosv3.app.schedules.next_time", an_hour_later)
    mesh._act(World.crash)
    mesh.advance(timedelta(days=2))
    assert mesh.stuck() == {}
    assert [name.partition("/")[2] for name in fired(mesh)] == [
        "2026-11-28T06:00Z",
        "2026-11-29T06:00Z",
        "2026-11-30T06:00Z",
        "2026-11-30T07:00Z",
    ]
