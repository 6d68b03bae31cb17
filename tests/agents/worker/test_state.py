"""State of a key: in the result first, then on its topic, then for the next task; whoever dies or wakes meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from pydantic import BaseModel, Field

from aiosv3.agents import Context, Limits
from aiosv3.agents.agent import Order
from aiosv3.agents.worker.state import StateTable
from aiosv3.schemas.headers import CE_ID, GRANT, REPLY, ROUTE, Clearance, Grant, Reply, Route
from aiosv3.schemas.records import Outcome
from aiosv3.schemas.state import StateChange
from aiosv3.streams.log import Headers, Outgoing, Record
from aiosv3.streams.tenure import Phase
from aiosv3.streams.testing import TopicSettings

if TYPE_CHECKING:
    from tests.agents.conftest import Held, Stage, Worker

TOPIC = "aios.state.worker"
RESULTS = "aios.results.worker"
CHECK_S = 60
LAG_S = 120


@dataclass
class Tally:
    """The words of a key so far."""

    seen: list[str] = field(default_factory=list)


class Kept(NamedTuple):
    """A record of the state topic, decoded."""

    key: str
    input_offset: int
    seen: list[str] | None


def reply_headers(step: str = "4") -> Headers:
    """What a task has that another agent gave."""
    route = Route("parent", "auto", 0, 0, hash="cafe", first_sent=1)
    reply = Reply("aios.journal.child", 0, 11, "parent-task", step, "token")
    grant = Grant("acme", "root", Clearance.INTERNAL, depth=2)
    return [(GRANT, grant.encode()), (ROUTE, route.encode()), (REPLY, reply.encode())]


async def tells(ctx: Context[Tally], value: str) -> str:
    """No step: its result follows from its task and its state."""
    ctx.state.seen.append(value)
    return ",".join(ctx.state.seen)


async def asks(ctx: Context[Tally], value: str) -> str:
    """What it asks for depends on the state: with another one a replay would diverge."""
    before = ",".join(ctx.state.seen)
    answer = await ctx.generate(f"{value} after {before}")
    ctx.state.seen.append(value)
    return f"{before}|{answer}"


def made(stage: Stage, program: Any, process: str = "a", **settings: Any) -> Worker:
    short = TopicSettings(cleanup="compact", compaction_lag_ms=LAG_S * 1000)
    stage.broker.create_topic(TOPIC, 1, short)  # a day is a long time for a simulated heart
    settings = {"order": Order.SERIAL, "state_type": Tally, **settings}
    return stage.worker(program, process, **settings)


def start(stage: Stage, program: Any, process: str = "a", **settings: Any) -> Worker:
    return made(stage, program, process, **settings).start()


def table(worker: Worker) -> StateTable:
    states = worker.tenure.states
    assert states is not None
    return states


def kept(stage: Stage, worker: Worker) -> list[Kept]:
    schemas = worker.setup.schemas.state
    assert schemas is not None
    found = []
    for record in stage.broker.records(TOPIC, 0):
        key, offset = (record.key or b"").decode(), int((record.header("ce_source") or b"").rpartition(b"/")[2])
        if record.value is None:
            found.append(Kept(key, offset, None))
            continue
        state = schemas.decode(worker.setup.codec, record.value)
        assert (state.task_key, state.input_offset) == (key, offset)
        found.append(Kept(key, offset, state.state.content.seen))
    return found


def contents(stage: Stage, worker: Worker) -> list[Any]:
    return [result.content for result in stage.results(worker)]


def changes(stage: Stage, worker: Worker) -> list[StateChange | None]:
    """What each result says of its key's state."""
    schemas, codec = worker.setup.schemas, worker.setup.codec
    return [schemas.change(codec, record.value or b"") for record in stage.broker.records(RESULTS, 0)]


def seen_next(stage: Stage, worker: Worker, task_id: str = "probe", key: str = "k") -> str:
    """What the next task of the key finds."""
    stage.task(task_id, "?", key)
    stage.settle()
    return str(stage.results(worker)[-1].content)


# -- the ordinary way -------------------------------------------------------------------------------------------------


def test_each_key_has_its_own_and_a_key_without_one_gets_a_fresh_one(stage: Stage) -> None:
    worker = start(stage, tells)
    for number, (value, key) in enumerate([("a", "k"), ("b", "j"), ("c", "k")]):
        stage.task(f"t{number}", value, key)
    stage.settle()
    assert contents(stage, worker) == ["a", "b", "a,c"]
    assert [change.content.seen for change in changes(stage, worker) if change] == [["a"], ["b"], ["a", "c"]]
    assert kept(stage, worker) == [Kept("k", 0, ["a"]), Kept("j", 1, ["b"]), Kept("k", 2, ["a", "c"])]
    schemas = worker.setup.schemas.state
    assert schemas is not None
    last = schemas.decode(worker.setup.codec, stage.broker.records(TOPIC, 0)[-1].value or b"")
    assert last.result_offset == 2
    assert worker.tenure.offsets.base == 3


def test_it_outlives_its_worker(stage: Stage) -> None:
    worker = start(stage, tells)
    stage.task("t1", "a")
    stage.settle()
    worker.kill()
    assert seen_next(stage, start(stage, tells, "b")) == "a,?"


def test_only_a_task_that_ends_well_leaves_one(stage: Stage) -> None:
    async def moody(ctx: Context[Tally], value: str) -> Any:
        ctx.state.seen.append(value)
        if value == "ill":
            raise ValueError(value)
        if value == "odd":
            return 7
        if value == "slow":
            await ctx.generate("?")
        return ",".join(ctx.state.seen)

    worker = start(stage, moody)
    for value in ("a", "ill", "odd", "slow", "b"):
        stage.task(value, value)
    stage.settle()
    stage.cancel("slow")
    stage.settle()
    found = zip(stage.results(worker), changes(stage, worker), strict=True)
    assert [(result.task_id, result.outcome, change is not None) for result, change in found] == [
        ("a", Outcome.OK, True),
        ("ill", Outcome.FAILED, False),
        ("odd", Outcome.FAILED, False),
        ("slow", Outcome.CANCELLED, False),
        ("b", Outcome.OK, True),
    ]
    assert contents(stage, worker)[-1] == "a,b"
    assert [entry.input_offset for entry in kept(stage, worker)] == [0, 4]


def test_it_can_be_replaced_and_deleted(stage: Stage) -> None:
    async def swaps(ctx: Context[Tally], value: str) -> str:
        if value == "forget":
            del ctx.state
            return "gone"
        ctx.state = Tally([*ctx.state.seen, value])
        return ",".join(ctx.state.seen)

    worker = start(stage, swaps)
    for number, value in enumerate(("a", "b", "forget", "c")):
        stage.task(f"t{number}", value)
    stage.settle()
    assert contents(stage, worker) == ["a", "a,b", "gone", "c"]
    assert [entry.seen for entry in kept(stage, worker)] == [["a"], ["a", "b"], None, ["c"]]
    stage.task("t4", "forget")
    stage.settle()
    worker.kill()
    assert seen_next(stage, start(stage, swaps, "b")) == "?", "the tombstone is what the next owner reads"


def test_what_is_only_read_or_left_alone_is_not_written_again(stage: Stage) -> None:
    async def looks(ctx: Context[Tally], value: str) -> str:
        if value == "aside":
            return "-"
        if value == "forget":
            del ctx.state
        if value == "a":
            ctx.state.seen.append(value)
        return ",".join(ctx.state.seen) if value != "forget" else "-"

    worker = start(stage, looks)
    for number, value in enumerate(("look", "forget", "a", "look", "aside")):
        stage.task(f"t{number}", value)
    stage.settle()
    assert contents(stage, worker) == ["", "-", "a", "a", "-"]
    assert [entry.input_offset for entry in kept(stage, worker)] == [2]
    assert [change is None for change in changes(stage, worker)] == [True, True, False, True, True]
    assert worker.tenure.offsets.base == 5


@pytest.mark.parametrize("key", [None, b"\xff"])
def test_a_task_without_a_key_to_keep_it_for_is_refused(stage: Stage, key: bytes | None) -> None:
    worker = start(stage, tells)
    stage.broker.append(Outgoing("aios.tasks.worker", 0, key, b'"a"', [(CE_ID, b"t1")]))
    stage.task("t2", "b")
    stage.settle()
    refused, done = stage.results(worker)
    assert (refused.outcome, refused.error.type) == (Outcome.FAILED, "WireError")
    assert "key" in refused.error.message
    assert done.content == "b"
    assert [record.header(CE_ID) for record in stage.dead()] == [b"t1"]
    assert worker.tenure.offsets.base == 2


def test_a_task_is_of_the_class_of_the_state_that_it_begins_with(stage: Stage) -> None:
    """Words of a confidential task, kept in the state, must not leave with a public one."""
    worker = start(stage, asks)
    classes = ("public", "confidential", "public", "internal")
    for number, label in enumerate(classes):
        stage.task(f"t{number}", "a", headers=[("ce_dataclassification", label.encode())])
    stage.task("other", "a", "j", headers=[("ce_dataclassification", b"public")])
    stage.settle()
    for number in range(len(classes)):
        stage.answer(next(r for r in stage.prompts() if r.header(CE_ID) == b"t%d/1" % number))
        stage.settle()
    asked = {(r.header(CE_ID) or b"").decode(): Grant.decode(r.header(GRANT) or b"") for r in stage.prompts()}
    assert {name: grant.clearance.label for name, grant in asked.items()} == {
        "t0/1": "public",
        "t1/1": "confidential",
        "t2/1": "confidential",
        "t3/1": "confidential",
        "other/1": "public",
    }
    assert [change.clearance.label for change in changes(stage, worker) if change] == ["public", *["confidential"] * 3]


def test_expired_tasks_leave_it_alone(stage: Stage) -> None:
    worker = start(stage, asks, limits=Limits(deadline=replace(Limits()).deadline / 360))
    stage.task("t1", "a")
    stage.task("t2", "b")
    stage.settle()
    stage.advance(30)
    assert [result.outcome for result in stage.results(worker)] == [Outcome.FAILED, Outcome.FAILED]
    assert kept(stage, worker) == []


# -- result, then state, then all the rest ----------------------------------------------------------------------------


def test_the_state_is_not_written_before_the_result_is_acknowledged(stage: Stage) -> None:
    worker = start(stage, tells)
    result = stage.wire.hold("ack", RESULTS)
    stage.task("t1", "a")
    stage.settle()
    assert len(contents(stage, worker)) == 1
    assert kept(stage, worker) == []
    result.release()
    stage.settle()
    assert len(kept(stage, worker)) == 1


@pytest.mark.parametrize("lane", ["append", "ack"])
def test_nobody_hears_of_a_result_and_no_task_begins_before_its_state_is_acknowledged(stage: Stage, lane: str) -> None:
    worker = start(stage, asks)
    stage.task("t1", "a", headers=reply_headers())
    stage.task("t2", "b")
    stage.task("t3", "c", "other")
    stage.settle()
    state = stage.wire.hold(lane, TOPIC)
    stage.answer(stage.prompts()[0], "one")
    stage.settle()
    assert contents(stage, worker) == ["|one"], "the result is there"
    assert stage.asked() == ["t1/1", "t3/1"], "the next task of the key has not begun"
    assert stage.journal("child") == [], "nor has the asker heard"
    assert not worker.tenure.offsets.finished(0)
    assert not worker.tenure.idle(), "a worker that is drained waits for it"
    state.release()
    stage.settle()
    assert stage.asked() == ["t1/1", "t3/1", "t2/1"]
    assert [answer.content for answer in stage.journal("child")] == ['"|one"']
    assert worker.tenure.offsets.finished(0)


# -- kills ------------------------------------------------------------------------------------------------------------


def appends(stage: Stage, worker: Worker) -> int:
    return sum(1 for who, what, _ in stage.seen if (who, what) == (worker.name, "append"))


def play(stage: Stage, worker: Worker, until: Callable[[], bool]) -> None:
    """Runs until the predicate holds or nothing moves any more; each prompt is answered once."""
    answered = len([r for r in stage.journal() if r.kind.value == "ANSWER"])
    while not until():
        if stage.loop.run_one():
            continue
        if answered < len(stage.prompts()):
            stage.answer(stage.prompts()[answered], f"w{answered}")
            answered += 1
        else:
            return


WORDS = [("a", "k"), ("b", "j"), ("c", "k")]


@pytest.mark.parametrize("program", [tells, asks])
def test_a_kill_after_any_append_changes_nothing(stage: Stage, program: Any) -> None:
    def story(cut: int) -> tuple[int, list[Any]]:
        """Killed after ``cut`` appends of its own, then another worker finishes. How far it came, and the results."""
        fresh = type(stage)()
        worker = start(fresh, program)
        for number, (value, key) in enumerate(WORDS):
            fresh.task(f"t{number}", value, key, headers=reply_headers(str(number)))
        play(fresh, worker, lambda: appends(fresh, worker) >= cut)
        reached = appends(fresh, worker)
        worker.kill()
        second = start(fresh, program, "b")
        play(fresh, second, lambda: False)
        firsts: dict[str, Any] = {}
        for result in fresh.results(second):
            firsts.setdefault(result.task_id, (result.outcome, str(result.content).partition("|")[0]))
        states = {entry.key: entry.seen for entry in kept(fresh, second)}
        heard = {answer.step_id for answer in fresh.journal("child")}
        assert heard == {"0", "1", "2"}, f"after {cut} appends an asker heard nothing"
        assert second.tenure.offsets.base == len(WORDS)
        assert not any(live.run.stuck for live in second.tenure.live.values())
        fresh.loop.close()
        return reached, [sorted(firsts.items()), states]

    reached, expected = story(10_000)
    assert reached >= 3 * len(WORDS) + 1, "a marker, and of each task its result, its state, its answer"
    for cut in range(1, reached + 1):
        assert story(cut) == (cut, expected), f"killed after {cut} appends"


@pytest.mark.parametrize("lane", ["append", "ack"])
def test_a_state_that_its_writer_died_over_is_projected_by_the_next_owner(stage: Stage, lane: str) -> None:
    first = start(stage, tells)
    state = stage.wire.hold(lane, TOPIC)
    stage.task("t1", "a", headers=reply_headers())
    stage.task("t2", "b")
    stage.settle()
    assert contents(stage, first) == ["a"]
    first.kill()
    state.messages.clear()
    state.release()
    second = start(stage, tells, "b")
    assert contents(stage, second) == ["a", "a,b"], "the task behind it began with its state"
    assert [answer.content for answer in stage.journal("child")] == ['"a"']
    assert second.tenure.offsets.base == 2


def test_no_task_is_admitted_before_the_states_are_read(stage: Stage) -> None:
    first = start(stage, tells)
    stage.task("t1", "a")
    stage.settle()
    first.kill()
    second = made(stage, tells, "b")
    stage.task("t2", "b")
    state = stage.wire.hold("append", TOPIC)
    stage.finish(second.processor.start())
    stage.advance(1)
    assert contents(stage, second)[-1] == "a,b"
    state.release()


def test_the_state_of_a_task_that_was_parked_and_finished_is_not_forgotten(stage: Stage) -> None:
    """Its input is completed when it is parked: nothing would make the next owner look at it again."""
    first = made(stage, asks).squeezed(after=1.0).start()
    stage.task("t1", "a")
    stage.settle()
    stage.advance(30)
    assert first.tenure.offsets.finished(0), "it is parked"
    state = stage.wire.hold("append", TOPIC)
    stage.answer(stage.prompts()[0], "one")
    stage.settle()
    stage.advance(3)
    assert contents(stage, first) == ["|one"]
    first.kill()
    state.messages.clear()
    state.release()
    second = start(stage, tells, "b")
    assert kept(stage, second) == [Kept("k", 0, ["a"])]
    assert seen_next(stage, second) == "a,?"


def test_a_parked_task_keeps_its_keys_place_and_its_state(stage: Stage) -> None:
    first = made(stage, asks).squeezed(after=1.0).start()
    for task_id, value in (("t1", "a"), ("t2", "b"), ("t3", "c")):
        stage.task(task_id, value)
    stage.settle()
    stage.answer(stage.prompts()[0], "one")
    stage.settle()
    stage.advance(30)
    first.kill()
    second = start(stage, asks, "b")
    stage.answer(stage.prompts()[1], "two")
    stage.settle()
    assert stage.asked()[-1] == "t3/1"
    stage.answer(stage.prompts()[-1], "three")
    stage.settle()
    assert contents(stage, second) == ["|one", "a|two", "a,b|three"]


def test_a_duplicate_of_an_old_task_does_not_bring_its_state_back(stage: Stage) -> None:
    worker = start(stage, tells)
    for number, value in enumerate("abc"):
        stage.task(f"t{number}", value)
    stage.settle()
    stage.task("t0", "a")
    stage.settle()
    assert seen_next(stage, worker) == "a,b,c,?"
    worker.kill()
    stage.task("t1", "b")
    second = start(stage, tells, "b")
    assert seen_next(stage, second, "probe2") == "a,b,c,?,?"
    assert [entry.input_offset for entry in kept(stage, second)] == [0, 1, 2, 4, 6]


# -- workers that do not know that they lost the partition ------------------------------------------------------------


def zombie(stage: Stage, *, program: Any = tells) -> tuple[Held, Worker, Worker]:
    """The result of ``t0`` is on the log; its state is on its way when another owner takes over. It, the two owners."""
    old = start(stage, program)
    late = stage.wire.hold("append", TOPIC)
    stage.task("t0", "a")
    stage.settle()
    assert len(late.messages) == 1
    stage.broker.group("agent.worker", "aios.tasks.worker").remove("a", "did not answer")
    stage.wire.holding.remove(late)
    return late, old, start(stage, program, "b")


def test_a_late_state_above_a_newer_one_is_healed_within_a_minute(stage: Stage) -> None:
    late, old, owner = zombie(stage)
    stage.task("t1", "b")
    stage.settle()
    stage.wire.holding.append(late)
    late.release()
    stage.settle()
    assert [entry.input_offset for entry in kept(stage, owner)] == [0, 1, 0], "the last record is not the newest state"
    stage.broker.clean()
    stage.advance(CHECK_S + 1)
    assert [entry.input_offset for entry in kept(stage, owner)] == [0, 1, 0, 1]
    assert table(owner).healed == 1
    stage.advance(LAG_S + CHECK_S + 1)
    stage.broker.clean()
    assert kept(stage, owner) == [Kept("k", 1, ["a", "b"])], "compaction keeps the last record of a key"
    assert table(owner).healed == 1, "once"
    old.kill()
    owner.kill()
    assert seen_next(stage, start(stage, tells, "c")) == "a,b,?"


def test_a_late_state_is_seen_at_the_next_write_too(stage: Stage) -> None:
    late, _, owner = zombie(stage)
    stage.task("t1", "b")
    stage.settle()
    stage.wire.holding.append(late)
    late.release()
    stage.task("t2", "c", "other")
    stage.settle()
    assert [(e.key, e.input_offset) for e in kept(stage, owner)] == [
        ("k", 0),
        ("k", 1),
        ("k", 0),
        ("other", 2),
        ("k", 1),
    ]


def test_the_highest_input_offset_decides_not_the_last_record(stage: Stage) -> None:
    late, old, owner = zombie(stage)
    stage.task("t1", "b")
    stage.settle()
    stage.advance(3)  # the own log below its commit is not read again: only the topic knows the state
    owner.kill()
    stage.wire.holding.append(late)
    late.release()
    stage.run(lambda: len(kept(stage, owner)) == 3)
    old.kill()
    assert [entry.input_offset for entry in kept(stage, owner)] == [0, 1, 0]
    third = start(stage, tells, "c")
    assert [entry.input_offset for entry in kept(stage, third)] == [0, 1, 0, 1], "healed at the restore"
    assert seen_next(stage, third) == "a,b,?"


def test_a_late_tombstone_and_a_late_state_above_one_are_healed_alike(stage: Stage) -> None:
    async def swaps(ctx: Context[Tally], value: str) -> str:
        if value == "forget":
            del ctx.state
            return "-"
        ctx.state.seen.append(value)
        return ",".join(ctx.state.seen)

    late, old, owner = zombie(stage, program=swaps)
    stage.task("t1", "forget")
    stage.settle()
    stage.wire.holding.append(late)
    late.release()
    stage.advance(CHECK_S + 1)
    assert [entry.seen for entry in kept(stage, owner)] == [["a"], None, ["a"], None]
    stage.advance(LAG_S + CHECK_S + 1)
    stage.broker.clean()
    old.kill()
    owner.kill()
    assert seen_next(stage, start(stage, swaps, "c")) == "?"


def test_a_result_of_somebody_else_is_projected_before_the_key_goes_on(stage: Stage) -> None:
    """A worker that was replaced writes the result of a task that the owner has not admitted yet, and dies."""
    owner = start(stage, tells)
    admitted = stage.wire.hold("fetch", "aios.tasks.worker")
    stage.task("t1", "a")
    stage.task("t2", "b")
    stage.task("x", "elsewhere", "j")
    twin = type(stage)()
    other = start(twin, tells, "z")
    twin.task("t1", "a")
    twin.settle()
    theirs = twin.broker.records(RESULTS, 0)[0]
    stage.broker.append(Outgoing(RESULTS, 0, theirs.key, theirs.value, theirs.headers))
    twin.loop.close()
    assert other.name == "z"
    _learn(stage, owner)
    admitted.release()
    stage.settle()
    assert contents(stage, owner)[0] == "a"
    assert "a,b" in contents(stage, owner), "the state of their result, without running the task again"
    assert [(e.key, e.input_offset) for e in kept(stage, owner)] == [("k", 0), ("k", 1), ("j", 2)]


def _learn(stage: Stage, owner: Worker) -> None:
    """The owner reads its own log up to its end, as it does when it finds a gap."""
    stage.finish(owner.tenure.own._read_to(stage.broker.partition(RESULTS, 0).end))


def test_a_state_that_is_ahead_of_the_own_log_as_read_is_not_begun_with(stage: Stage) -> None:
    """A worker that was replaced is faster: its state of a task is there, its result not yet read by the owner."""
    owner = start(stage, asks)
    stage.task("t1", "a")
    stage.settle()
    twin = type(stage)()
    other = start(twin, asks, "z")
    twin.task("t1", "a")
    twin.settle()
    twin.answer(twin.prompts()[0], "one")
    twin.settle()
    record = twin.broker.records(TOPIC, 0)[0]
    stage.broker.append(Outgoing(TOPIC, 0, record.key, record.value, record.headers))
    assert other.name == "z"
    stage.advance(CHECK_S + 1)
    stage.loop.call_soon(owner.tenure._running.rebuild, owner.tenure.live["t1"])
    stage.settle()
    live = owner.tenure.live["t1"]
    assert live.run.stuck is None, "it runs with the state that it had"
    stage.answer(stage.prompts()[0], "one")
    stage.settle()
    assert contents(stage, owner) == ["|one"]
    assert len(kept(stage, owner)) == 1, "and what the topic has is not written again"
    stage.task("t2", "b")
    stage.settle()
    assert stage.asked()[-1] == "t2/1"
    stage.answer(stage.prompts()[-1], "two")
    stage.settle()
    assert contents(stage, owner)[-1] == "a|two"
    twin.loop.close()


def test_every_state_that_a_restore_finds_has_its_result_below_what_it_reads(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody finishes a task while its new owner restores: its state must not be found without its result."""
    start(stage, asks).kill()
    twin = type(stage)()
    start(twin, asks, "z")
    twin.task("t1", "a")
    twin.settle()
    twin.answer(twin.prompts()[0], "one")
    twin.settle()
    for record in twin.broker.records("aios.journal.worker", 0):
        stage.broker.append(Outgoing(record.topic, 0, record.key, record.value, record.headers))
    stage.task("t1", "a")
    restore = StateTable.restore

    async def late(table: StateTable) -> None:
        for topic in (RESULTS, TOPIC):
            found = twin.broker.records(topic, 0)[0]
            stage.broker.append(Outgoing(topic, 0, found.key, found.value, found.headers))
        await restore(table)

    monkeypatch.setattr(StateTable, "restore", late)
    owner = start(stage, asks, "b")
    assert owner.tenure.live == {}, "it is finished, not begun with the state that it left itself"
    assert owner.tenure.offsets.base == 1
    twin.loop.close()


def test_an_append_without_an_answer_is_made_again(stage: Stage) -> None:
    worker = start(stage, tells)
    lost = stage.wire.hold("append", TOPIC)
    stage.task("t1", "a")
    stage.settle()
    lost.messages.clear()
    stage.wire.holding.remove(lost)
    stage.run(lambda: worker.tenure.offsets.base == 1)
    assert kept(stage, worker) == [Kept("k", 0, ["a"])]


# -- what stops -------------------------------------------------------------------------------------------------------


class Strict(BaseModel):
    """Named as the state before it, and it wants more."""

    seen: list[str] = Field(default=[], max_length=1)


Strict.__name__ = "Tally"


def test_a_state_that_the_code_cannot_read_holds_its_key_until_code_that_can_comes(stage: Stage) -> None:
    worker = start(stage, tells)
    for number, value in enumerate("ab"):
        stage.task(f"t{number}", value)
    stage.settle()
    worker.kill()

    async def narrow(ctx: Context[Any], _value: str) -> str:
        return ",".join(ctx.state.seen)

    second = start(stage, narrow, "b", state_type=Strict)
    stage.task("t2", "c")
    stage.task("other", "d", "j")
    stage.settle()
    assert [result.task_id for result in stage.results(second)] == ["t0", "t1", "other"], "other keys go on"
    stuck = second.tenure.live["t2"].run.stuck
    assert stuck is not None
    assert "cannot read the state of key k" in stuck
    second.kill()
    assert contents(stage, start(stage, tells, "c"))[-1] == "a,b,c"


def test_a_task_topic_made_anew_is_noticed(stage: Stage) -> None:
    worker = start(stage, tells)
    for number in range(3):
        stage.task(f"t{number}", "a")
    stage.settle()
    worker.kill()
    for topic in ("aios.tasks.worker", "aios.results.worker", "aios.journal.worker"):
        del stage.broker._topics[topic]
        stage.broker.create_topic(topic, 1)
    stage.broker.forget_commits("agent.worker", "aios.tasks.worker")
    second = made(stage, tells, "b")
    stage.finish(second.processor.start())
    stage.run(lambda: 0 in second.processor.tenures and second.processor.tenures[0].phase is Phase.STOPPED)
    assert "StateAhead" in second.processor.tenures[0].reason


def test_records_that_are_no_states_are_passed_over(stage: Stage) -> None:
    nobodys, task = b"\0\x3b\x9a\xca\0of a schema that nobody has", b"aios.tasks.worker/0/7"
    worker = made(stage, tells)
    for value, source in ((b"?", None), (b"?", b"nowhere"), (nobodys, task)):
        headers = [] if source is None else [("ce_id", b"x"), ("ce_source", source)]
        stage.broker.append(Outgoing(TOPIC, 0, b"k", value, headers))
    assert seen_next(stage, worker.start()) == "?"


@pytest.mark.parametrize("garbage", [b'{"number": "many"}', b"", b"\0\x3b\x9a\xca\0of a schema that nobody has"])
def test_garbage_among_the_results_holds_up_no_key(stage: Stage, garbage: bytes) -> None:
    """As long as it does not say that it is a result, whatever it names as its task."""
    first = start(stage, tells)
    stage.task("t1", "a")
    stage.settle()
    first.kill()
    headers = [("ce_id", b"x"), ("ce_source", b"aios.tasks.worker/0/7")]
    stage.broker.append(Outgoing("aios.results.worker", 0, b"k", garbage, headers))
    second = start(stage, tells, "b")
    stage.task("t2", "b")
    stage.settle()
    assert second.tenure.phase is Phase.RUNNING
    assert second.tenure.offsets.base == 2


def test_its_records_name_where_they_come_from(stage: Stage) -> None:
    start(stage, tells)
    stage.task("t1", "a")
    stage.settle()
    record: Record = stage.broker.records(TOPIC, 0)[0]
    assert record.header("ce_source") == b"aios.tasks.worker/0/0"
    assert record.header("ce_type") == b"aiosv3.state"
    assert record.key == b"k"
