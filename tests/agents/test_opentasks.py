"""The tasks of a partition out of its records: open, finished, parked, unreadable."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from aiosv3.agents import Agent, Context, agent
from aiosv3.agents.opentasks import PartitionLog, claims_of, find_tasks, try_task
from aiosv3.agents.testing import NEVER, Handle, MeshTest
from aiosv3.agents.worker.carry import carry_in, claimed, journal_record
from aiosv3.agents.worker.setup import AgentSetup
from aiosv3.schemas.envelope import AgentSchemas
from aiosv3.schemas.records import JournalKind
from aiosv3.streams.commit import Commit
from aiosv3.streams.log import Outgoing

DAY = timedelta(days=1)


@agent(deadline=60 * DAY)
async def clerk(ctx: Context, word: str) -> str:
    first = await ctx.generate(f"first {word}")
    if word == "long":
        await asyncio.sleep(20 * 86_400)
    return await ctx.generate(f"second {first}")


class Tally(BaseModel):
    count: int = 0


@agent(name="counter", state=Tally, order="serial")
async def counter(ctx: Context[Tally], word: str) -> str:
    ctx.state = Tally(count=ctx.state.count + 1)
    return await ctx.generate(f"{word} {ctx.state.count}")


def logged(mesh: MeshTest, of: Agent[Any, Any]) -> tuple[PartitionLog, AgentSetup]:
    """What is on the log now, carries and all."""
    world, name = mesh._world, of.name
    topics, broker = mesh._cast.topics, mesh._world.broker
    log = PartitionLog(
        tasks=broker.records(topics.tasks(name)),
        journal=broker.records(topics.journal(name)),
        results=broker.records(topics.results(name)),
        states=broker.records(topics.state(name)) if of.state_type is not None else (),
    )
    return log, mesh._cast.setup(world.agents[name])


def states(mesh: MeshTest, of: Agent[Any, Any] = clerk) -> dict[str, str]:
    log, setup = logged(mesh, of)
    found = {}
    for one in find_tasks(log, setup):
        tried = try_task(one, log, setup)
        words = tried.replayed.words() if tried.replayed is not None else f"unreadable: {tried.unreadable}"
        found[one.identity.id] = words if one.result is None else f"finished, {words}"
    return found


@pytest.fixture
def mesh() -> MeshTest:
    made = MeshTest(clerk)
    made.model(NEVER, matching="second FIRST open")
    made.model(lambda prompt: prompt.text.upper())
    return made


def test_open_and_finished_tasks(mesh: MeshTest) -> None:
    mesh.run(clerk, "done")
    mesh.model(NEVER)
    mesh.start(clerk, "long")
    mesh.advance(DAY / 24)
    assert states(mesh) == {
        "clerk-1": "finished, ended OK",
        "clerk-2": "waits for step 2 (timer: until 2030-01-21T09:00:00+00:00)",
    }


def parked(mesh: MeshTest) -> Handle[str]:
    task = mesh.start(clerk, "long")
    mesh.advance(3 * DAY)
    assert JournalKind.CARRY in {record.kind for record in mesh.records("journal.clerk")}
    return task


def test_a_parked_task_is_found_by_its_carry_alone(mesh: MeshTest) -> None:
    parked(mesh)
    log, setup = logged(mesh, clerk)
    carry = [record for record in log.journal if (record.header("ce_id") or b"").endswith(b"/carry")]
    alone = replace(log, tasks=(), journal=carry)
    (found,) = find_tasks(alone, setup)
    tried = try_task(found, alone, setup)
    assert tried.fits
    assert tried.replayed is not None
    assert tried.replayed.words() == "waits for step 2 (timer: until 2030-01-21T09:00:00+00:00)"
    assert states(mesh)["clerk-1"] == tried.replayed.words()


def test_what_came_after_the_carry_counts_too(mesh: MeshTest) -> None:
    task = parked(mesh)
    mesh.advance(20 * DAY)
    assert task.result() == "SECOND FIRST LONG"
    log, setup = logged(mesh, clerk)
    (found,) = find_tasks(replace(log, results=()), setup)
    tried = try_task(found, log, setup)
    assert tried.replayed is not None
    assert tried.replayed.words() == "ended OK"
    offsets = [entry.offset for entry in found.entries]
    assert offsets == sorted(set(offsets))


def test_what_a_commit_calls_finished_is_not_open(mesh: MeshTest) -> None:
    for word in ("a", "b", "c"):
        mesh.run(clerk, word)
    log, setup = logged(mesh, clerk)
    without = replace(log, results=())
    assert [one.identity.id for one in find_tasks(without, setup)] == ["clerk-1", "clerk-2", "clerk-3"]
    committed = replace(without, commit=Commit(base=1, completed=(2,)))
    assert [one.identity.id for one in find_tasks(committed, setup)] == ["clerk-2"]


def test_claims_are_named_and_their_content_is_used(mesh: MeshTest) -> None:
    parked(mesh)
    log, setup = logged(mesh, clerk)
    record = [one for one in log.journal if (one.header("ce_id") or b"").endswith(b"/carry")][-1]
    whole = record.value or b""
    body = setup.codec.encode(journal_record("clerk-1", 0, claimed(carry_in(setup.codec, whole), "sha256:x")))
    small = replace(log, journal=[record._replace(value=body)], wholes={"sha256:x": whole})
    assert claims_of(small.journal, setup) == {"sha256:x"}
    (found,) = find_tasks(small, setup)
    assert len(found.entries) == 2


def test_events_that_nobody_can_read(mesh: MeshTest) -> None:
    parked(mesh)
    mesh._world.broker.append(Outgoing("aios.tasks.clerk", 0, b"k", b"{", [("ce_id", b"bad")]))
    found = states(mesh)
    assert found["bad"].startswith("unreadable: the JSON is no input of clerk")
    log, setup = logged(mesh, clerk)
    assert not [try_task(one, log, setup) for one in find_tasks(log, setup)][-1].fits


def test_another_input_type_is_told(mesh: MeshTest) -> None:
    @agent(name="clerk")
    async def wants_more(ctx: Context, tally: Tally) -> str:
        return str(tally)

    parked(mesh)
    log, setup = logged(mesh, clerk)
    schemas = AgentSchemas("clerk", Tally, str, setup.topics)
    setup = replace(setup, agent=wants_more, schemas=schemas)
    (found,) = find_tasks(log, setup)
    tried = try_task(found, log, setup)
    assert (tried.fits, tried.replayed) == (False, None)
    assert "Clerk" in str(tried.unreadable)


def test_a_divergence_does_not_fit(mesh: MeshTest) -> None:
    async def other(ctx: Context, word: str) -> str:
        return await ctx.generate(f"premier {word}")

    parked(mesh)
    log, _ = logged(mesh, clerk)
    changed = mesh._cast.setup(replace(clerk, function=other))
    (found,) = find_tasks(log, changed)
    tried = try_task(found, log, changed)
    assert not tried.fits
    assert tried.replayed is not None
    assert tried.replayed.words().startswith("stuck: step 1 asks for something else")


def test_tasks_begin_with_the_state_that_they_began_with() -> None:
    mesh = MeshTest(counter)
    mesh.model(lambda prompt: prompt.text)
    for word in ("a", "b", "c"):
        mesh.run(counter, word, key="k")
    log, setup = logged(mesh, counter)
    values = []
    for one in find_tasks(log, setup):
        tried = try_task(one, log, setup)
        assert tried.replayed is not None
        assert tried.replayed.finish is not None
        values.append(tried.replayed.finish.value)
    assert values == ["a 1", "b 2", "c 3"]
