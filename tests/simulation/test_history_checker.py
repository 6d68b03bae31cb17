"""The checkers reject histories that were made bad by hand: each kind of wrong by its own name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import pytest
from history_checker import Checker
from programs import AGENTS, Note
from simulate import QUIET, ids
from simulated_mesh import PARTITIONS, SimulatedMesh

from aiosv3.schemas.headers import GRANT, ROUTE, Clearance, Grant, Route
from aiosv3.schemas.records import (
    Decision,
    DecisionOutcome,
    JournalKind,
    JournalRecord,
    Outcome,
    cancel_request_id,
)
from aiosv3.streams.log import Record
from aiosv3.streams.testing import Simulation

PLAN = [
    ("root", "T0", "k", "tidy"),
    ("root", "T1", "k", "seq"),
    ("root", "T2", "j", "send"),
    ("serial", "T3", "k", "seq"),
    ("serial", "T4", "k", "seq"),
    ("root", "T5", "j", "listen"),
    ("root", "T6", "j", "approve"),
]
Logs = dict[tuple[str, int], list[Record]]


@pytest.fixture(scope="module")
def whole() -> Iterator[SimulatedMesh]:
    """A good history: nothing went wrong in it."""
    with Simulation(10, QUIET) as sim:
        mesh = SimulatedMesh(sim, quiet=True)
        mesh.spawn()
        for number, planned in enumerate(PLAN):
            sim.network.later(0.1 * number, partial(mesh.produce, *planned))
        sim.network.later(0.25, lambda: mesh.cancel("root", "T0", "k", before_task=False))
        for message_id in ("m1", "m2"):
            sim.network.later(3.0, partial(mesh.tell, "root", "T5", "j", message_id))
        sim.network.later(1.0, mesh.misread)
        sim.run(until=lambda: sim.now > 4, max_time=5)
        done = [(mesh.topics.tasks(name), mesh.topics.results(name)) for name in AGENTS]
        assert sim.run(until=lambda: all(ids(mesh, tasks) <= ids(mesh, results) for tasks, results in done))
        sim.run(until=lambda: not Checker(mesh).check(), max_time=5, max_steps=2_000)
        assert Checker(mesh).check() == []
        yield mesh


@pytest.fixture
def mesh(whole: SimulatedMesh) -> Iterator[SimulatedMesh]:
    """The good history, to be made bad; it is good again for the next test."""
    broker = whole.sim.broker
    kept = [
        (partition, list(partition._records), list(partition._offsets), partition.end)
        for topic in broker.topics()
        for partition in (broker.partition(topic, number) for number in range(broker.partitions(topic)))
    ]
    calls, wrong, events = list(whole.calls), list(whole.wrong), list(whole.sim.history)
    yield whole
    whole.calls[:], whole.wrong[:], whole.sim.history[:] = calls, wrong, events
    for partition, records, offsets, end in kept:
        partition._records, partition._offsets, partition.end = records, offsets, end


def violated(mesh: SimulatedMesh) -> set[str]:
    """The invariants that it breaks."""
    return {invariant for invariant, _ in Checker(mesh).check()}


def change(mesh: SimulatedMesh, topic: str, made: Callable[[Record], Record | None]) -> int:
    """Replaces records of a topic, or removes them; returns how many."""
    changed = 0
    for number in range(PARTITIONS):
        partition = mesh.sim.broker.partition(topic, number)
        records = [(record, made(record)) for record in partition._records]
        changed += sum(new is not old for old, new in records)
        partition._records = [new for _, new in records if new is not None]
        partition._offsets = [record.offset for record in partition._records]
    return changed


def journaled(mesh: SimulatedMesh, name: str, made: Callable[[JournalRecord], JournalRecord | None]) -> int:
    """The same for the decoded records of a journal."""

    def of(record: Record) -> Record | None:
        if record.value is None:
            return record
        old = mesh.codec.decode_as(JournalRecord, record.value)
        new = made(old)
        return record if new is old else None if new is None else record._replace(value=mesh.codec.encode(new))

    return change(mesh, mesh.topics.journal(name), of)


def of_task(record: Record, task_id: str) -> bool:
    return record.header("ce_id") == task_id.encode() and record.value is not None


def _words(content: object) -> list[str]:
    assert isinstance(content, Note)
    return content.words


def test_a_result_that_is_lost(mesh: SimulatedMesh) -> None:
    assert change(mesh, mesh.topics.results("root"), lambda r: None if of_task(r, "T1") else r) == 1
    assert violated(mesh) >= {"lost"}


def test_two_results_that_differ(mesh: SimulatedMesh) -> None:
    schemas = mesh.schemas["root"]
    topic = mesh.topics.results("root")
    first = next(r for p in range(PARTITIONS) for r in mesh.sim.broker.records(topic, p) if of_task(r, "T1"))
    result = schemas.decode_result(mesh.codec, first.value or b"")
    second = replace(result, content=Note(words=["else"]))
    value = schemas.encode_result(mesh.codec, second)
    partition = mesh.sim.broker.partition(topic, first.partition)
    partition._records = [*partition._records, first._replace(offset=partition.end, value=value)]
    assert violated(mesh) == {"two_results"}


def test_answers_in_another_order(mesh: SimulatedMesh) -> None:
    """What the task saw first now stands second."""

    def swapped(record: JournalRecord) -> JournalRecord:
        step = {"1": "2", "2": "1"}.get(record.step_id or "")
        if record.task_id != "T1" or record.kind is not JournalKind.ANSWER or step is None:
            return record
        return replace(record, step_id=step)

    assert journaled(mesh, "root", swapped) == 2
    assert violated(mesh) & {"replay", "divergence"}


def test_a_second_answer_to_a_step(mesh: SimulatedMesh) -> None:
    topic = mesh.topics.journal("root")
    for number in range(PARTITIONS):
        partition = mesh.sim.broker.partition(topic, number)
        for record in partition._records:
            if record.value is None:
                continue
            old = mesh.codec.decode_as(JournalRecord, record.value)
            if old.task_id == "T1" and old.kind is JournalKind.ANSWER and old.step_id == "1":
                value = mesh.codec.encode(replace(old, content='{"text": "else", "tool_calls": null}'))
                partition._records = [*partition._records, record._replace(offset=partition.end, value=value)]
                break
    assert violated(mesh) == {"two_answers"}


def test_a_call_that_is_made_again(mesh: SimulatedMesh) -> None:
    """A pool marks its partition anew, above an answer, and calls for it all the same."""
    pool = next(process for process in mesh.sim.processes if process.name.startswith("pool-near"))
    topic = mesh.topics.completions("near")
    answered = next(r for p in range(PARTITIONS) for r in mesh.sim.broker.records(topic, p) if r.value is not None)
    partition = mesh.sim.broker.partition(topic, answered.partition)
    mark = next(record for record in partition._records if record.value is None)
    partition._records = [*partition._records, mark._replace(offset=partition.end)]
    mesh.called(pool.name, topic, (answered.header("ce_id") or b"").decode())
    assert "call_again" in violated(mesh)


def test_a_task_that_is_resurrected_after_its_cancel(mesh: SimulatedMesh) -> None:
    schemas = mesh.schemas["root"]

    def well(record: Record) -> Record:
        if not of_task(record, "T0"):
            return record
        result = schemas.decode_result(mesh.codec, record.value or b"")
        result = replace(result, outcome=Outcome.OK, error=None, content=Note(words=["alive"]))
        return record._replace(value=schemas.encode_result(mesh.codec, result))

    assert change(mesh, mesh.topics.results("root"), well) == 1
    assert violated(mesh) >= {"cancel"}


def test_a_child_that_is_not_told(mesh: SimulatedMesh) -> None:
    assert journaled(mesh, "leaf", lambda r: None if r.kind is JournalKind.CANCEL else r) == 1
    assert "orphan" in violated(mesh)


def test_tasks_of_a_key_that_start_in_another_order(mesh: SimulatedMesh) -> None:
    other = {"T5": "T6", "T6": "T5"}

    def swapped(record: JournalRecord) -> JournalRecord:
        if record.kind is not JournalKind.STARTED or record.task_id not in other:
            return record
        return replace(record, task_id=other[record.task_id])

    assert journaled(mesh, "root", swapped) == 2
    assert "order" in violated(mesh)


def test_a_message_that_is_heard_twice(mesh: SimulatedMesh) -> None:
    def said(record: JournalRecord) -> JournalRecord:
        if record.kind is not JournalKind.SIGNAL or record.message_id != "m2":
            return record
        return replace(record, content=str(record.content).replace("m2", "m1"))

    schemas = mesh.schemas["root"]

    def heard(record: Record) -> Record:
        if not of_task(record, "T5"):
            return record
        result = schemas.decode_result(mesh.codec, record.value or b"")
        content = Note(words=[word.replace("m2", "m1") for word in _words(result.content)])
        return record._replace(value=schemas.encode_result(mesh.codec, replace(result, content=content)))

    assert journaled(mesh, "root", said) == 1
    assert change(mesh, mesh.topics.results("root"), heard) == 1
    assert violated(mesh) == {"messages"}


def test_an_older_state_above_a_newer_one(mesh: SimulatedMesh) -> None:
    topic = mesh.topics.state("serial")
    for number in range(PARTITIONS):
        partition = mesh.sim.broker.partition(topic, number)
        if partition._records:
            partition._records = [*partition._records, partition._records[0]._replace(offset=partition.end)]
    assert violated(mesh) == {"state_topic"}


def test_a_settlement_that_is_lost(mesh: SimulatedMesh) -> None:
    first: list[int] = []

    def dropped(record: Record) -> Record | None:
        if record.value is None or first:
            return record
        first.append(record.offset)
        return None

    assert change(mesh, mesh.topics.router_journal(), dropped) == 1
    assert "ledger" in violated(mesh)


def test_a_question_that_is_asked_again(mesh: SimulatedMesh) -> None:
    """The same request, by an owner whose marker stands above the answer."""

    def later(record: Record) -> Record:
        if record.header("ce_id") != b"T1/1":
            return record
        route = replace(Route.decode(record.header(ROUTE) or b""), epoch=1_000)
        return record._replace(headers=[(n, route.encode() if n == ROUTE else v) for n, v in record.headers])

    assert change(mesh, mesh.topics.prompts(), later) == 1
    assert violated(mesh) == {"asked_again"}


def test_a_task_without_its_start(mesh: SimulatedMesh) -> None:
    assert journaled(mesh, "root", lambda r: None if (r.task_id, r.kind.value) == ("T1", "STARTED") else r) == 1
    assert violated(mesh) == {"started_late"}


def test_a_send_that_the_journal_does_not_know(mesh: SimulatedMesh) -> None:
    assert journaled(mesh, "root", lambda r: None if (r.task_id, r.kind.value) == ("T2", "VALUE") else r) == 1
    assert "unjournaled" in violated(mesh)


def test_a_request_of_a_cancelled_tree_that_is_routed(mesh: SimulatedMesh) -> None:
    topic = mesh.topics.decisions()
    cancel = cancel_request_id("T0").encode()
    for number in range(PARTITIONS):
        partition = mesh.sim.broker.partition(topic, number)
        found = next((record for record in partition._records if record.header("ce_id") == cancel), None)
        if found is None:
            continue
        decision = mesh.codec.decode_as(Decision, found.value or b"")
        late = replace(decision, request_id="T0/9", outcome=DecisionOutcome.ROUTED, pool="near", model="near")
        headers = [(name, b"T0/9" if name == "ce_id" else value) for name, value in found.headers]
        record = found._replace(offset=partition.end, value=mesh.codec.encode(late), headers=headers)
        partition._records = [*partition._records, record]
    assert "routed_cancelled" in violated(mesh)


def test_a_yes_of_somebody_who_may_not(mesh: SimulatedMesh) -> None:
    def by_eve(record: JournalRecord) -> JournalRecord:
        if record.task_id != "T6" or "approved" not in str(record.content):
            return record
        return replace(record, content=str(record.content).replace("ann", "eve").replace("bob", "eve"))

    schemas = mesh.schemas["root"]

    def taken(record: Record) -> Record:
        if not of_task(record, "T6"):
            return record
        result = schemas.decode_result(mesh.codec, record.value or b"")
        content = Note(words=["eve", *_words(result.content)[1:]])
        return record._replace(value=schemas.encode_result(mesh.codec, replace(result, content=content)))

    assert journaled(mesh, "root", by_eve) >= 1
    assert change(mesh, mesh.topics.results("root"), taken) == 1
    assert violated(mesh) == {"people"}


def test_a_prompt_in_a_pool_below_its_class(mesh: SimulatedMesh) -> None:
    def raised(record: Record) -> Record:
        grant = replace(Grant.decode(record.header(GRANT) or b""), clearance=Clearance.RESTRICTED)
        return record._replace(headers=[(n, grant.encode() if n == GRANT else v) for n, v in record.headers])

    near, far = mesh.topics.pool_prompts("near"), mesh.topics.pool_prompts("far")
    assert change(mesh, near, raised)
    assert "class" not in violated(mesh)
    for number in range(PARTITIONS):
        here, there = mesh.sim.broker.partition(near, number), mesh.sim.broker.partition(far, number)
        there._records = [record._replace(topic=far) for record in here._records]
    assert "class" in violated(mesh)


def test_an_unreadable_event_that_leaves_no_trace(mesh: SimulatedMesh) -> None:
    assert change(mesh, mesh.topics.dead_letters(), lambda _record: None) >= 2
    assert violated(mesh) == {"dead_letter"}


def test_a_commit_that_has_no_room(mesh: SimulatedMesh) -> None:
    commit = next(event for event in mesh.sim.history if event.what == "commit")
    details = commit.details.rpartition("|")[0] + "|" + "A" * (mesh.pressure.set_room + 1) + "'"
    mesh.sim.history.append(commit._replace(details=details))
    assert violated(mesh) == {"crowded"}


def test_a_function_that_is_run_again(mesh: SimulatedMesh) -> None:
    """Its value stands on the journal below the newest marker of the process that runs it."""
    watch = next(watch for name, watch in mesh.watches.items() if name.startswith("agent-root"))
    watch.mine = dict.fromkeys(range(PARTITIONS), 10_000)
    process = next(process for process in mesh.sim.processes if process.name == watch.process)

    async def run() -> None:
        mesh.ran("T2/1")

    process.deterministic.create_task(run())
    assert isinstance(process.deterministic, asyncio.AbstractEventLoop)
    process.deterministic.run_until_idle()
    assert violated(mesh) == {"run_again"}
