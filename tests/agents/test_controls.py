"""Tasks that are stuck, and what operators do about them: retry, fail, migrate. Every owner repeats it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from aiosv3.agents import Agent, Context, agent
from aiosv3.agents.controls import (
    MIGRATE,
    Migrations,
    control_of,
    fail_record,
    failure_of,
    migrate_record,
    rebuilds,
    retry_record,
)
from aiosv3.agents.facts import JournalEntry
from aiosv3.agents.opentasks import find_tasks, try_task
from aiosv3.agents.testing import NEVER, Handle, MeshTest, TaskFailed, TaskStuck
from aiosv3.agents.testing.world import World
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome

HOUR = timedelta(hours=1)


@agent(name="helper")
async def helper(ctx: Context, word: str) -> str:
    return await ctx.generate(f"help {word}")


@agent(name="clerk", deadline=timedelta(days=90))
async def old(ctx: Context, word: str) -> str:
    first = await ctx.generate(f"first {word}")
    second = await ctx.call(helper, first)
    note = await ctx.receive("note", str)
    await asyncio.sleep(10 * 3600)
    return await ctx.generate(f"last {second} {note}")


async def _changed(ctx: Context, word: str) -> str:
    """Another second step, of the same id."""
    first = await ctx.generate(f"first {word}")
    second = await ctx.generate(f"deuxieme {first}")
    note = await ctx.receive("note", str)
    await asyncio.sleep(10 * 3600)
    return await ctx.generate(f"last {second} {note}")


CHANGED = replace(old, function=_changed, version="v2")


def stuck_mesh(crash: Any = None) -> tuple[MeshTest, Handle[str]]:
    """Old code up to the sleep, then the new one, which asks for something else at its second step."""
    mesh = MeshTest(old, helper, crash=crash)
    mesh.model(lambda prompt: f"<{prompt.text}>")
    task = mesh.start(old, "a")
    task.tell("note", "hello")
    mesh.advance(HOUR)
    mesh.deploy(CHANGED)
    return mesh, task


def control(mesh: MeshTest, task: Handle[str], record: JournalRecord) -> None:
    mesh._act(lambda world: world.journaled(task.handle, record))


def migrate(mesh: MeshTest, task: Handle[Any], message_id: str = "1") -> None:
    """As the command does: from the record on at which today's code gets stuck."""

    def act(world: World) -> None:
        log, setup = world.history.log("clerk"), world.cast.setup(world.agents["clerk"])
        tried = next(try_task(one, log, setup) for one in find_tasks(log, setup) if one.identity.id == task.id)
        assert tried.replayed is not None
        assert tried.replayed.diverged is not None
        world.journaled(task.handle, migrate_record(task.id, tried.replayed.diverged.offset, message_id))

    mesh._act(act)


# -- stuck ------------------------------------------------------------------------------------------------------------


def test_a_stuck_task_sends_nothing_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    mesh, task = stuck_mesh()
    other = mesh.start(old, "b")
    other.tell("note", "ho")
    assert other.result() == "<last <deuxieme <first b>> ho>"
    assert list(mesh.stuck()) == [task.id]
    with pytest.raises(TaskStuck, match="step 2 asks for something else"):
        task.result()
    messages = [r.getMessage() for r in caplog.records if "is stuck" in r.getMessage()]
    assert len(messages) == 1
    assert messages[0].startswith("task clerk:0:clerk-1 is stuck: step 2 asks for something else")
    assert "aiosv3 task migrate|fail|retry" in messages[0]


def test_the_number_of_stuck_tasks_is_a_metric() -> None:
    mesh, _ = stuck_mesh()
    mesh.advance(timedelta(days=2))
    value = mesh._cast.metrics.registry.get_sample_value("aiosv3_tasks_stuck", {"processor": "clerk"})
    assert value == 1.0
    mesh.deploy(old)
    mesh.advance(timedelta(days=2))
    assert mesh._cast.metrics.registry.get_sample_value("aiosv3_tasks_stuck", {"processor": "clerk"}) == 0.0


def test_code_that_fits_goes_on() -> None:
    mesh, task = stuck_mesh()
    mesh.deploy(old)
    assert task.result() == "<last <help <first a>> hello>"
    assert mesh.stuck() == {}


# -- fail -------------------------------------------------------------------------------------------------------------


def test_a_stuck_task_can_be_failed() -> None:
    mesh, task = stuck_mesh(crash="everywhere")
    control(mesh, task, fail_record(task.id, "wrong release", "1"))
    with pytest.raises(TaskFailed, match="FailedByOperator: wrong release"):
        task.result()
    assert mesh.stuck() == {}


def test_a_task_that_is_well_can_be_failed_too() -> None:
    mesh = MeshTest(helper, crash="everywhere")
    mesh.model(NEVER)
    task = mesh.start(helper, "a")
    control(mesh, task, fail_record(task.id, "no longer needed", "1"))
    with pytest.raises(TaskFailed, match="no longer needed"):
        task.result()


# -- retry ------------------------------------------------------------------------------------------------------------


def test_a_retry_builds_the_task_again() -> None:
    """What was wrong lay outside the code: a module's state here, which is right again."""
    word = ["first"]

    async def moody(ctx: Context, value: str) -> str:
        first = await ctx.generate(f"{word[0]} {value}")
        await asyncio.sleep(10 * 3600)
        return await ctx.generate(f"last {first}")

    mesh = MeshTest(replace(old, function=moody))
    mesh.model(lambda prompt: f"<{prompt.text}>")
    task = mesh.start(old, "a")
    mesh.advance(HOUR)
    word[0] = "premier"
    mesh.deploy(replace(old, function=moody))
    assert list(mesh.stuck()) == [task.id]
    control(mesh, task, retry_record(task.id, "1"))
    assert list(mesh.stuck()) == [task.id]
    word[0] = "first"
    control(mesh, task, retry_record(task.id, "2"))
    assert task.result() == "<last <first a>>"
    assert mesh.calls == 2


def test_a_retry_of_a_task_that_is_well_changes_nothing() -> None:
    mesh = MeshTest(old, helper, crash="everywhere")
    mesh.model(lambda prompt: f"<{prompt.text}>")
    task = mesh.start(old, "a")
    task.tell("note", "hello")
    mesh.advance(HOUR)
    control(mesh, task, retry_record(task.id, "1"))
    assert task.result() == "<last <help <first a>> hello>"


# -- migrate ----------------------------------------------------------------------------------------------------------


def test_a_migration_asks_anew_from_where_the_code_differs() -> None:
    mesh, task = stuck_mesh()
    before = mesh.calls
    migrate(mesh, task)
    assert task.result() == "<last <deuxieme <first a>> hello>"
    asked = [(prompt.task_id, prompt.step_id) for prompt in mesh.records("prompts")]
    assert asked[before:] == [("clerk-1", "2@1"), ("clerk-1", "5@1")]
    assert mesh.stuck() == {}


def test_a_migration_is_repeated_by_every_owner() -> None:
    mesh, task = stuck_mesh(crash="everywhere")
    migrate(mesh, task)
    assert task.result() == "<last <deuxieme <first a>> hello>"


def test_a_migrated_task_can_be_parked_and_woken_up() -> None:
    mesh, task = stuck_mesh()
    migrate(mesh, task)
    mesh.model(NEVER)
    mesh.advance(timedelta(hours=2))
    mesh.deploy(replace(CHANGED, version="v3"))
    assert task.result() == "<last <deuxieme <first a>> hello>"


def test_a_parked_task_that_would_be_stuck_can_be_migrated() -> None:
    async def longer(ctx: Context, word: str) -> str:
        first = await ctx.generate(f"first {word}")
        await asyncio.sleep(40 * 86_400)
        return await ctx.generate(f"last {first}")

    async def renamed(ctx: Context, word: str) -> str:
        first = await ctx.generate(f"premier {word}")
        await asyncio.sleep(40 * 86_400)
        return await ctx.generate(f"dernier {first}")

    mesh = MeshTest(replace(old, function=longer))
    mesh.model(lambda prompt: f"<{prompt.text}>")
    task = mesh.start(old, "a")
    mesh.advance(timedelta(days=3))
    mesh.deploy(replace(old, function=renamed, version="v2"))
    mesh.advance(timedelta(days=3))
    assert mesh.stuck() == {}  # it sleeps, and nobody has tried yet
    migrate(mesh, task)
    assert task.result() == "<dernier <premier a>>"


def test_a_late_answer_to_an_old_request_is_nobodys() -> None:
    async def slow(ctx: Context, word: str) -> list[str]:
        return list(await asyncio.gather(ctx.generate("quick"), ctx.generate("slow")))

    async def other(ctx: Context, word: str) -> list[str]:
        return list(await asyncio.gather(ctx.generate("vite"), ctx.generate("lent")))

    first: Agent[str, list[str]] = Agent("pair", slow, str, list[str], version="v1")
    mesh = MeshTest(first)
    mesh.model("SLOW", matching="^slow$", takes=timedelta(minutes=10))
    mesh.model("LENT", matching="^lent$", takes=timedelta(minutes=20))
    mesh.model(lambda prompt: prompt.text.upper())
    task: Handle[Any] = mesh.start(first, "a")
    mesh.advance(timedelta(minutes=1))
    mesh.deploy(replace(first, function=other, version="v2"))
    assert list(mesh.stuck()) == [task.id]
    (answer,) = [record for record in mesh.records("journal.pair") if record.kind is JournalKind.ANSWER]
    assert answer.step_id == "1"
    control(mesh, task, migrate_record(task.id, 0, "1"))
    assert task.result() == ["VITE", "LENT"]


def test_a_second_migration() -> None:
    mesh, task = stuck_mesh()
    migrate(mesh, task)
    mesh.advance(HOUR)

    async def again(ctx: Context, word: str) -> str:
        return await ctx.generate(f"whole {word}")

    mesh.deploy(replace(CHANGED, function=again, version="v3"))
    assert list(mesh.stuck()) == [task.id]
    migrate(mesh, task, "2")
    assert task.result() == "<whole a>"
    assert mesh.records("prompts")[-1].step_id == "1@2"


# -- the records ------------------------------------------------------------------------------------------------------


def entry(record: JournalRecord, offset: int = 0) -> JournalEntry:
    return JournalEntry(offset, 0, record)


def test_controls_are_messages_with_reserved_names() -> None:
    user = JournalRecord("t", -1, None, None, JournalKind.SIGNAL, Outcome.OK, message="note")
    assert control_of(user) is None
    assert not rebuilds(entry(user))
    assert [rebuilds(entry(made)) for made in (retry_record("t", "1"), migrate_record("t", 1, "1"))] == [True, True]
    assert not rebuilds(entry(fail_record("t", "why", "1")))
    assert control_of(replace(user, message="aiosv3.of-tomorrow")) == "aiosv3.of-tomorrow"


@pytest.mark.parametrize("content", [None, "null", "[1]", "{", '{"reason": ""}', '{"from": "x"}'])
def test_controls_of_others_are_read_with_care(content: str | None) -> None:
    record = replace(fail_record("t", "", "1"), content=content)
    assert failure_of(record).message == "an operator ended it"
    migrations = Migrations()
    migrations.recall([entry(replace(record, message=MIGRATE), 5)])
    assert not migrations.reached(entry(record, 5))


def test_what_a_migration_voids() -> None:
    migrations = Migrations()
    assert migrations.named("3") == "3"
    migrations.recall([entry(migrate_record("t", 10, "1"), 20)])
    answer = JournalRecord("t", 0, "3", None, JournalKind.ANSWER, Outcome.OK)
    assert [migrations.void(entry(answer, at)) for at in (9, 10, 19, 20)] == [False, True, True, False]
    kept = [replace(answer, kind=JournalKind.SIGNAL), replace(answer, kind=JournalKind.TIMER, step_id="deadline")]
    assert not any(migrations.void(entry(record, 15)) for record in kept)
    assert migrations.reached(entry(answer, 20))
    assert (migrations.named("3"), migrations.named("=x@1"), migrations.stale("3")) == ("3@1", "=x@1", True)
    assert not migrations.stale("3@1")


def test_a_step_cannot_be_named_like_a_migrated_one(play: Callable[..., Any]) -> None:
    async def program(ctx: Context, word: str) -> str:
        return await ctx.generate(word, name="a@1")

    assert "'@' migrations" in play(program).failed.message
