"""The checker of memory rejects histories that were made bad by hand: each kind of wrong by its own name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from memory_checker import MemoryChecker
from memory_on_paper import PaperView
from memory_run import JOURNAL, PARTITIONS, QUIET, MemoryRun

from aiosv3.schemas.memory import MemoryAction, MemoryEvent
from aiosv3.schemas.records import JournalRecord
from aiosv3.streams.log import Record
from aiosv3.streams.testing import Faults, Simulation


@pytest.fixture(scope="module")
def whole() -> Iterator[MemoryRun]:
    """A good history, in which something is held, forgotten, in quarantine and recalled."""
    with Simulation(10, QUIET) as sim:
        run = MemoryRun(sim, 10)
        assert run.play(Faults())
        assert run.violations() == []
        yield run


@pytest.fixture
def run(whole: MemoryRun) -> Iterator[MemoryRun]:
    """The good history, to be made bad; it is good again for the next test."""
    broker = whole.sim.broker
    kept = [
        (partition, list(partition._records))
        for topic in broker.topics()
        for partition in (broker.partition(topic, number) for number in range(broker.partitions(topic)))
    ]
    views = [(feed.applier.view, dict(feed.applier.view.entries)) for feed in whole.feeds()]  # type: ignore[attr-defined]
    yield whole
    for partition, records in kept:
        partition._records = records
    for view, entries in views:
        assert isinstance(view, PaperView)
        view.entries = entries


def violated(run: MemoryRun) -> set[str]:
    """The invariants that it breaks."""
    return {invariant for invariant, _ in run.violations()}


def change(run: MemoryRun, topic: str, made: Callable[[Any], Any]) -> int:
    """Replaces the decoded values of a topic, or (None) removes their records; returns how many."""
    kind = JournalRecord if topic == JOURNAL else MemoryEvent
    changed = 0
    for number in range(run.sim.broker.partitions(topic)):
        partition, records = run.sim.broker.partition(topic, number), list[Record]()
        for record in partition._records:
            old: Any = None if record.value is None else run.codec.decode_as(kind, record.value)
            new = old if old is None else made(old)
            changed += new is not old
            if new is old:
                records.append(record)
            elif new is not None:
                records.append(record._replace(value=run.codec.encode(new)))
        partition._records = records
    return changed


def recalled(run: MemoryRun, made: Callable[[dict[str, Any]], dict[str, Any] | None]) -> int:
    """Replaces what recalls were told."""

    def of(said: JournalRecord) -> JournalRecord:
        if run.asked[said.task_id].action is not MemoryAction.RECALL or not isinstance(said.content, str):
            return said
        new = made(json.loads(said.content))
        return said if new is None else replace(said, content=json.dumps(new))

    return change(run, JOURNAL, of)


def test_a_request_that_is_not_answered(run: MemoryRun) -> None:
    assert change(run, JOURNAL, lambda said: None if said.task_id == "r3" else said) >= 1
    assert violated(run) == {"memory_lost"}


def test_a_write_that_is_answered_in_two_ways(run: MemoryRun) -> None:
    name = next(name for name, query in run.asked.items() if query.action is MemoryAction.REMEMBER)
    partition = run.sim.broker.partition(JOURNAL, 0)
    said = next(one for one in partition._records if f"{name}/".encode() in (one.header("ce_id") or b""))
    record = run.codec.decode_as(JournalRecord, said.value or b"")
    other = run.codec.encode(replace(record, content='{"offset":99}'))
    partition._records = [*partition._records, said._replace(value=other)]
    assert violated(run) == {"memory_twice"}


def test_a_state_topic_that_is_behind(run: MemoryRun) -> None:
    for number in range(PARTITIONS):
        partition = run.sim.broker.partition(run.topics.memory_state(), number)
        partition._records = partition._records[:-1]
    assert violated(run) == {"memory_state"}


def test_a_memory_that_is_not_held(run: MemoryRun) -> None:
    held = next(iter(MemoryChecker(run, PARTITIONS).wanted()[0]))
    events = run.topics.memory_events()
    assert change(run, events, lambda told: None if told.memory_id == held else told) >= 1
    assert violated(run) >= {"memory_order", "memory_views"}


def test_a_memory_that_came_back_after_it_was_forgotten(run: MemoryRun) -> None:
    """As a fold would have it that knew nothing of the order of the requests."""
    events = run.topics.memory_events()
    assert change(run, events, lambda told: None if told.action is MemoryAction.FORGET else told) >= 1
    assert violated(run) >= {"memory_order", "memory_state"}


def test_a_view_that_shows_something_else(run: MemoryRun) -> None:
    view = run.feeds()[0].applier.view
    assert isinstance(view, PaperView)
    view.entries.popitem()
    assert "memory_views" in violated(run)


def test_a_quarantine_that_was_not_noted(run: MemoryRun) -> None:
    events = run.topics.memory_events()
    assert change(run, events, lambda told: None if told.action is MemoryAction.QUARANTINE else told) >= 1
    assert "memory_quarantine" in violated(run)


def test_a_recall_that_shows_what_was_over(run: MemoryRun) -> None:
    def more(told: dict[str, Any]) -> dict[str, Any] | None:
        gone = [{**one, "offset": one["offset"] + 1_000} for one in told["memories"]]
        return {**told, "memories": gone} if gone else None

    assert recalled(run, more) >= 1
    assert violated(run) == {"memory_gone"}


def test_a_recall_that_shows_what_is_in_quarantine(run: MemoryRun) -> None:
    """All that is held at its end, whatever it came from."""
    checker = MemoryChecker(run, PARTITIONS)
    folds = {number: checker.fold(number) for number in range(PARTITIONS)}
    sources = {source for fold in folds.values() for source in fold.suspects("acme").sources}
    held = {(number, known.version) for number, fold in folds.items() for known in fold.memories.values()}
    bad = [
        {"id": told.memory_id, "offset": record.offset, "source": min(sources)}
        for number, events in checker.events.items()
        for record, told in events
        if (number, record.offset) in held
    ]
    ends = {str(number): run.sim.broker.partition(run.topics.memory_events(), number).end for number in range(2)}
    assert bad
    assert recalled(run, lambda told: {**told, "memories": bad, "as_of": ends}) >= 1
    assert "memory_quarantine" in violated(run)


def test_a_recall_that_does_not_know_what_its_task_wrote(run: MemoryRun) -> None:
    checker = MemoryChecker(run, PARTITIONS)
    name, asked = next(one for one in checker.asked.items() if one[1].query.action is MemoryAction.RECALL)
    (answer,) = {str(said.content) for said in checker.answers()[name]}
    wrote = replace(asked.query, positions=(type("Place", (), {"partition": 0, "offset": 10_000})(),))
    found = list(checker._recalled(name, asked._replace(query=wrote), json.loads(answer)))
    assert [invariant for invariant, _ in found] == ["memory_unread"]
