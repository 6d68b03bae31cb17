"""``ctx.patched``: a change of code that open tasks take, or do not take, once and for all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiosv3.agents import Agent, AgentDefinitionError, Context, agent
from aiosv3.agents.facts import JournalEntry
from aiosv3.agents.opentasks import find_tasks, try_task
from aiosv3.agents.patches import Patches
from aiosv3.agents.testing import MeshTest, TaskFailed, TaskStuck
from aiosv3.agents.testing.cast import Cast
from aiosv3.agents.testing.world import World
from aiosv3.agents.worker.ownership import Ownership
from aiosv3.schemas.records import JournalKind, JournalRecord, Outcome
from aiosv3.schemas.topics import TaskHandle
from aiosv3.streams.commit import Commit

if TYPE_CHECKING:
    from tests.agents.conftest import Stage

DAYS = timedelta(days=1)


# -- two versions of one agent ----------------------------------------------------------------------------------------


@agent(name="clerk", deadline=30 * DAYS)
async def old(ctx: Context, word: str) -> list[str]:
    first = await ctx.generate(f"first {word}")
    await asyncio.sleep(86_400)
    return [first, await ctx.generate(f"old {word}")]


@agent(name="clerk", deadline=30 * DAYS, patches=["new-words"])
async def new(ctx: Context, word: str) -> list[str]:
    first = await ctx.generate(f"first {word}")
    await asyncio.sleep(86_400)
    words = "new" if ctx.patched("new-words") else "old"
    return [first, await ctx.generate(f"{words} {word}")]


def mesh_of(first: Agent[str, list[str]]) -> MeshTest:
    mesh = MeshTest(first)
    mesh.model(lambda prompt: prompt.text.upper())
    return mesh


def test_new_tasks_take_the_change() -> None:
    mesh = MeshTest(new, crash="everywhere")
    mesh.model(lambda prompt: prompt.text.upper())
    assert mesh.run(new, "a") == ["FIRST A", "NEW A"]
    steps = [record.step_id for record in mesh.records("journal.clerk") if record.kind is JournalKind.VALUE]
    assert steps == ["=patch:new-words"]


def test_a_task_that_comes_to_the_place_later_takes_it() -> None:
    mesh = mesh_of(old)
    task = mesh.start(old, "a")
    mesh.advance(DAYS / 2)
    mesh.deploy(new)
    assert task.result() == ["FIRST A", "NEW A"]
    assert mesh.calls == 2


def test_a_task_that_is_past_the_place_does_not() -> None:
    """The request of the old code is on its way and leaves no trace in the journal: its answer is used all the same."""
    mesh = MeshTest(old)
    mesh.model("FIRST", matching="^first")
    slow = mesh.model("OLD", matching="^old", takes=3 * DAYS)
    never = mesh.model("NEW", matching="^new")
    task = mesh.start(old, "a")
    mesh.advance(2 * DAYS)
    mesh.deploy(new)
    assert task.result() == ["FIRST", "OLD"]
    assert (slow.calls, never.calls) == (1, 0)


def test_a_parked_task_takes_it_when_it_wakes_up() -> None:
    mesh = mesh_of(old)
    weeks = replace(old, function=_waits("old"), limits=replace(old.limits, deadline=30 * DAYS))
    mesh = MeshTest(weeks)
    mesh.model(lambda prompt: prompt.text.upper())
    task = mesh.start(weeks, "a")
    mesh.advance(10 * DAYS)
    assert JournalKind.CARRY in {record.kind for record in mesh.records("journal.clerk")}
    mesh.deploy(replace(new, function=_waits("old", "new")))
    assert task.result() == ["NEW A"]


def _waits(*words: str) -> Callable[[Context, str], Awaitable[list[str]]]:
    async def program(ctx: Context, word: str) -> list[str]:
        await asyncio.sleep(20 * 86_400)
        chosen = words[1] if len(words) > 1 and ctx.patched("new-words") else words[0]
        return [await ctx.generate(f"{chosen} {word}")]

    return program


def test_what_the_journal_says_outlives_the_markers() -> None:
    """A task that decided, was parked, and is opened when nobody remembers who owned its partition then."""
    said = JournalRecord("t", 0, "=patch:new-words", None, JournalKind.VALUE, Outcome.OK, content="true")
    patches = Patches(new.patches, Ownership())
    patches.recall([JournalEntry(7, 0, said)])
    assert patches._decide("new-words", 5)


def test_what_began_the_task_counts_at_its_start() -> None:
    def started(content: str | None) -> Patches:
        record = JournalRecord("t", 0, None, None, JournalKind.STARTED, Outcome.OK, content=content)
        later = replace(record, content='["new-words"]')
        patches = Patches(new.patches, Ownership())
        patches.recall([JournalEntry(7, 0, record), JournalEntry(8, 0, later)])
        return patches

    assert started('["new-words"]')._decide("new-words", -1)
    assert not started('["other"]')._decide("new-words", -1)
    assert not started(None)._decide("new-words", -1)


def test_the_journal_base_keeps_the_marker_in_force_and_follows_the_newest() -> None:
    """Else a restore would not know who had the partition when a record landed that is still to be used."""
    mesh = MeshTest(new)
    mesh.model("x" * 400_000)
    mesh.run(new, "a")
    mesh.advance(DAYS)
    assert _bases(mesh)[0] == 0
    for _ in range(2):
        mesh.run(new, "a")
        mesh.advance(DAYS)
    base, markers = _bases(mesh)
    assert base in markers[1:]


def _bases(mesh: MeshTest) -> tuple[int, list[int]]:
    """The committed journal base, and where the markers lie."""
    broker = mesh._world.broker
    topic = "aios.tasks.clerk"
    commit = Commit.decode(broker.group("aios.agent.clerk", topic).committed[topic, 0])
    assert commit is not None
    everything = [landed.record for landed in mesh._world.history.landed]
    return commit.journal, [r.offset for r in everything if r.topic == "aios.journal.clerk" and r.value is None]


def test_the_old_code_does_not_go_on_with_what_the_new_one_began() -> None:
    mesh = mesh_of(new)
    task = mesh.start(new, "a")
    mesh.advance(DAYS / 2)
    mesh.advance(DAYS / 2)
    second = mesh.start(new, "b")
    mesh.deploy(old)
    assert second.result() == ["FIRST B", "OLD B"]
    assert task.result()[0] == "FIRST A"


def test_a_roll_back_of_a_task_that_took_the_change_is_stuck() -> None:
    mesh = MeshTest(new)
    mesh.model("FIRST", matching="^first")
    mesh.model("NEW", matching="^new", takes=3 * DAYS)
    task = mesh.start(new, "a")
    mesh.advance(2 * DAYS)
    mesh.deploy(old)
    with pytest.raises(TaskStuck, match="=patch:new-words, which this code has not asked for"):
        task.result()


def test_a_change_without_a_guard_is_stuck() -> None:
    async def unguarded(ctx: Context, word: str) -> list[str]:
        first = await ctx.generate(f"premier {word}")
        await asyncio.sleep(86_400)
        return [first]

    mesh = mesh_of(old)
    task = mesh.start(old, "a")
    mesh.advance(DAYS / 2)
    mesh.deploy(replace(old, function=unguarded, version="v2"))
    with pytest.raises(TaskStuck, match="step 1 asks for something else"):
        task.result()


def test_an_undeclared_change_is_an_error_that_names_the_cure() -> None:
    @agent(name="clerk", patches=["other"])
    async def forgetful(ctx: Context, word: str) -> bool:
        return ctx.patched("new-words")

    with pytest.raises(TaskFailed, match=r"@agent\(patches=\['new-words'\]\)"):
        MeshTest(forgetful).run(forgetful, "a")


@pytest.mark.parametrize("name", ["", "A", "a b", "a,b"])
def test_names_of_changes_are_plain(name: str) -> None:
    async def program(ctx: Context, word: str) -> str:
        return word

    with pytest.raises(AgentDefinitionError, match="no name for a patch"):
        agent(patches=[name])(program)
    assert agent(patches="one")(program).patches == {"one"}


def test_it_is_asked_inside_the_task_only() -> None:
    @agent(name="clerk", patches=["new-words"])
    async def outside(ctx: Context, word: str) -> bool:
        return await ctx.run(lambda: ctx.patched("new-words"), attempts=1, output_type=bool)

    with pytest.raises(Exception, match="steps can only be called from inside their own task"):
        MeshTest(outside).run(outside, "a")


def test_nothing_is_known_below_the_first_marker() -> None:
    ownership = Ownership()
    patches = Patches(frozenset({"a"}), ownership)
    assert patches._decide("a", -1)
    assert not patches._decide("a", 5)
    ownership.owned(5, frozenset({"a"}))
    assert not patches._decide("a", 5)
    assert patches._decide("a", 6)


def test_nothing_of_the_change_is_sent_before_the_journal_has_it(stage: Stage) -> None:
    async def program(ctx: Context, word: str) -> str:
        await ctx.generate("first")
        return await ctx.generate("new" if ctx.patched("new-words") else "old")

    stage.worker(program, patches=new.patches).start()
    stage.task("t")
    stage.settle()
    held = stage.wire.hold("ack", stage.topics.journal("worker"))
    stage.answer(stage.prompts()[0])
    stage.settle()
    assert stage.noted()[-1] == ("VALUE", "=patch:new-words")
    assert stage.asked() == ["t/1"]
    held.release()
    stage.settle()
    assert stage.asked() == ["t/1", "t/2"]


# -- the property -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Piece:
    """A piece of a program. ``change``: what the new code makes of it: nothing, other words, one step more or less."""

    kind: str
    change: str


async def _play(ctx: Context, kind: str, name: str) -> list[str]:
    if kind == "model":
        return [await ctx.generate(name)]
    if kind == "pair":
        return list(await asyncio.gather(ctx.generate(f"{name}a"), ctx.generate(f"{name}b")))
    if kind == "run":
        return [await ctx.run(lambda: name, output_type=str)]
    await asyncio.sleep(600)
    return [ctx.now().isoformat()]


async def _changed(ctx: Context, piece: Piece, name: str) -> list[str]:
    if piece.change == "less":
        return []
    words = await _play(ctx, piece.kind, f"{name} new")
    return words + (await _play(ctx, "model", f"{name} more") if piece.change == "more" else [])


def versions(pieces: list[Piece], *, beside: bool) -> tuple[Agent[Any, Any], Agent[Any, Any]]:
    """The same program before and after its changes; ``beside``: a branch runs beside it, and draws step ids too."""
    guarded = [f"p{number}" for number, piece in enumerate(pieces) if piece.change != "none"]

    def program(patched: bool) -> Callable[[Context, str], Awaitable[list[str]]]:
        async def branch(ctx: Context) -> list[str]:
            return [await ctx.generate(f"beside {turn}") for turn in range(3)]

        async def run(ctx: Context, word: str) -> list[str]:
            other = asyncio.ensure_future(branch(ctx)) if beside else None
            words: list[str] = []
            for number, piece in enumerate(pieces):
                if patched and piece.change != "none" and ctx.patched(f"p{number}"):
                    words += await _changed(ctx, piece, f"{number}")
                else:
                    words += await _play(ctx, piece.kind, f"{number} of {len(words)}")
            return words + (await other if other is not None else [])

        return run

    settings: dict[str, Any] = {"name": "clerk", "input_type": str, "output_type": list[str]}
    first: Agent[Any, Any] = Agent(function=program(False), version="v1", **settings)
    return first, Agent(function=program(True), version="v2", patches=frozenset(guarded), **settings)


PIECES = st.builds(
    Piece,
    st.sampled_from(["model", "pair", "run", "sleep"]),
    st.sampled_from(["none", "words", "more", "less"]),
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    pieces=st.lists(PIECES, min_size=1, max_size=4),
    beside=st.booleans(),
    upgrade=st.integers(1, 25),
    crash=st.integers(1, 10),
)
def test_no_upgrade_ever_diverges(pieces: list[Piece], beside: bool, upgrade: int, crash: int) -> None:
    """Old code up to any record, then new code, killed once more later: never stuck, and every replay agrees."""
    first, second = versions(pieces, beside=beside)
    cast = Cast([first])
    cast.scripts.add_model(lambda prompt: f"<{prompt.text}>", None, None, None, (timedelta(), 0))
    world = World(cast, {upgrade: lambda world: world.deploy(second), upgrade + crash: World.crash})
    handle = TaskHandle("clerk", 0, "t")
    try:
        world.start(handle, "a", None, {})
        result = world.result(handle)
        assert result is not None
        assert result.outcome is Outcome.OK
        log = world.history.log("clerk")
        setup = cast.setup(world.agents["clerk"])
        (found,) = find_tasks(log, setup)
        for cut in range(len(found.entries) + 1):
            tried = try_task(replace(found, entries=found.entries[:cut]), log, setup)
            assert tried.replayed is not None
            assert tried.replayed.stuck is None, f"{tried.replayed.stuck} after {cut} records"
            replayed = tried.replayed
        assert replayed.finish is not None
        assert replayed.finish.value == result.content
    finally:
        world.close()
