"""The invariants of protocol section 10, read off the topics after a simulation."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from delta_checker import DeltaChecker
from ledger_checker import LedgerChecker
from memory_checker import MemoryChecker
from programs import AGENTS, EDITED
from promise_checker import PromiseChecker
from simulated_mesh import FORGED, PARTITIONS, POOLS, SECRET, Planned, SimulatedMesh
from state_checker import StateChecker
from watching import is_marker

from aiosv3.agents.facts import JournalEntry
from aiosv3.agents.task import TaskRun
from aiosv3.agents.worker.admission import Defaults, admitted, grant_of, identify
from aiosv3.agents.worker.ownership import Ownership, patches_in
from aiosv3.agents.worker.tenure import StaleTask
from aiosv3.schemas.records import Completion, JournalKind, JournalRecord, Outcome, StepFailure
from aiosv3.streams.effector import StaleRequest
from aiosv3.streams.log import Record

_AGED_OUT = frozenset({StaleTask.__name__, StaleRequest.__name__})
"""How what was over ends once more, where its result was deleted before anybody came who wants to know."""


def _cancelled_once(one: Any, other: Any) -> bool:
    """Of two owners at once, one has read of the cancel."""
    return (one.outcome is Outcome.CANCELLED) is not (other.outcome is Outcome.CANCELLED)


class Checker:
    """Collects violations as ``(invariant, words)``."""

    def __init__(self, mesh: SimulatedMesh) -> None:
        self.mesh = mesh
        self.states = StateChecker(mesh)
        self.violations: list[tuple[str, str]] = []

    def bad(self, invariant: str, words: str) -> None:
        self.violations.append((invariant, words))

    def check(self) -> list[tuple[str, str]]:
        for name in AGENTS:
            self._agent(name)
        self._calls()
        self._order()
        self.violations += self.states.violations()
        self.violations += DeltaChecker(self.mesh).violations()
        self.violations += LedgerChecker(self.mesh).violations()
        self.violations += PromiseChecker(self.mesh).violations()
        if self.mesh.remembers:
            self.violations += MemoryChecker(self.mesh, PARTITIONS).violations()
        return self.violations

    # -- one agent ------------------------------------------------------------------------------------------------

    def results(self, name: str) -> dict[str, list[Any]]:
        """Task id -> its results, in log order."""
        found: dict[str, list[Any]] = defaultdict(list)
        for partition in range(PARTITIONS):
            for record in self.mesh.sim.broker.records(self.mesh.topics.results(name), partition):
                if record.value is not None:
                    result = self.mesh.schemas[name].decode_result(self.mesh.codec, record.value)
                    found[result.task_id].append(result)
        return found

    def _agent(self, name: str) -> None:
        results = self.results(name)
        tasks = self._tasks(name)
        journals = self._journals(name)
        for task_id, record in tasks.items():
            copies = results.get(task_id, [])
            if not copies:
                self.bad("lost", f"{name} {task_id} has no result")
                continue
            self._one_result(task_id, copies)
            if self.mesh.once and len(copies) > 1:
                self.bad("copies", f"{name} {task_id} has {len(copies)} committed results")
            self._replay(name, task_id, record, journals.get(task_id, []), copies[0])
            self._cancelled(task_id, copies[0], journals.get(task_id, []))
            self._heard(task_id, copies[0])
            if copies[0].outcome is Outcome.CANCELLED:
                self._children(task_id, journals.get(task_id, []))
        for task_id, entries in journals.items():
            self._one_answer(task_id, entries)

    def _tasks(self, name: str) -> dict[str, Record]:
        tasks: dict[str, Record] = {}
        for partition in range(PARTITIONS):
            for record in self.mesh.sim.broker.records(self.mesh.topics.tasks(name), partition):
                if all(record.header("ce_id") != dict(event.headers)["ce_id"] for event in self.mesh.unreadable):
                    tasks.setdefault(identify(record, name).id, record)
        return tasks

    def _journals(self, name: str) -> dict[str, list[JournalEntry]]:
        journals: dict[str, list[JournalEntry]] = defaultdict(list)
        for partition in range(PARTITIONS):
            for record in self.mesh.sim.broker.records(self.mesh.topics.journal(name), partition):
                if record.value is not None:
                    entry = self.mesh.codec.decode_as(JournalRecord, record.value)
                    journals[entry.task_id].append(JournalEntry(record.offset, record.timestamp, entry))
        return journals

    def _one_result(self, task_id: str, copies: list[Any]) -> None:
        """All copies say the same; what may differ, and why, is in docs/guarantees.md."""
        counting = [copies[0], *(copy for copy in copies[1:] if not self._stale(copy.error))]
        if any(copy.journal_offset < 0 and copy.outcome is Outcome.OK for copy in copies):  # it ended without any step
            counting = [copies[0], *(copy for copy in counting[1:] if not _cancelled_once(copies[0], copy))]
        seen = {(copy.outcome, str(copy.content), str(copy.error)) for copy in counting}
        if len(seen) > 1:
            self.bad("two_results", f"{task_id}: {sorted(map(str, seen))}")

    def _stale(self, error: StepFailure | None) -> bool:
        """What was over before its answer was deleted may be refused, and is not done again (rule 13)."""
        return self.mesh.lapsed and error is not None and error.type in _AGED_OUT

    def _replay(self, name: str, task_id: str, record: Record, journal: list[JournalEntry], result: Any) -> None:
        """J: the journal up to the record that finished it gives the same result again."""
        agent = EDITED if result.code_version == EDITED.version else AGENTS[name]
        identity = identify(record, name)
        value = self.mesh.schemas[name].parse_json_task(record.value or b"")
        task = admitted(record, identity, grant_of(record, identity, agent, Defaults()), value)
        ownership = self._ownership(name, record.partition)
        run = TaskRun(agent, task, SECRET, self.states.load(name, task_id), ownership)
        entries = [entry for entry in journal if entry.offset <= result.journal_offset]
        run.recall(entries)
        if not (entries and entries[0].record.kind is JournalKind.CANCEL):
            run.start()
        for entry in entries:
            run.feed(entry)
        if run.stuck is not None:
            self.bad("divergence", f"{task_id}: {run.stuck}")
        elif run.finish is None or run.finish.outcome is not result.outcome:
            self.bad("replay", f"{task_id}: replay gives {run.finish}, the log says {result}")
        elif run.finish.value is not None and run.finish.value != result.content:
            self.bad("replay", f"{task_id}: replay gives {run.finish.value}, the log says {result.content}")
        run.close()

    def _ownership(self, name: str, partition: int) -> Ownership:
        """Which code owned the journal when."""
        ownership = Ownership()
        for record in self.mesh.sim.broker.records(self.mesh.topics.journal(name), partition):
            if is_marker(record):
                ownership.owned(record.offset, patches_in(record))
        return ownership

    def _cancelled(self, task_id: str, result: Any, journal: list[JournalEntry]) -> None:
        """X: a cancel wins over whatever would have finished the task behind it."""
        first = next((entry.offset for entry in journal if entry.record.kind is JournalKind.CANCEL), None)
        if first is not None and result.outcome is not Outcome.CANCELLED and result.journal_offset > first:
            self.bad("cancel", f"{task_id} ended {result.outcome} by {result.journal_offset}, its cancel is at {first}")
        if result.journal_offset < 0 and result.outcome is Outcome.OK:
            return  # it ended without any step: not promised (docs/guarantees.md)
        if self.mesh.cancelled.get(task_id) and result.outcome is not Outcome.CANCELLED:
            self.bad("cancel", f"{task_id} was cancelled before it arrived, yet it ended {result.outcome}")

    def _children(self, task_id: str, journal: list[JournalEntry]) -> None:
        """X: each child that was being waited for is told, and ends so unless it had finished before."""
        told = next((entry.offset for entry in journal if entry.record.kind is JournalKind.CANCEL), -1)
        answered = {
            entry.record.step_id for entry in journal if entry.offset < told and entry.record.kind is JournalKind.ANSWER
        }
        journals, results = self._journals("leaf"), self.results("leaf")
        for child_id, record in self._tasks("leaf").items():
            parent, _, step_id = child_id.rpartition("/")
            if parent != task_id or step_id in answered or record.header("aios-reply") is None:
                continue
            heard = [entry.offset for entry in journals.get(child_id, []) if entry.record.kind is JournalKind.CANCEL]
            if not heard:
                self.bad("orphan", f"{child_id} was not told that {task_id} was cancelled")
            elif heard and not self._told_in_time(task_id, child_id):
                self.bad("orphan", f"{task_id} has its result, and {child_id} was told only after that")
            for result in results.get(child_id, [])[:1]:
                if heard and result.outcome is not Outcome.CANCELLED and result.journal_offset > heard[0]:
                    self.bad("orphan", f"{child_id} ended {result.outcome} after it was cancelled")

    def _told_in_time(self, task_id: str, child_id: str) -> bool:
        """The cancel of the child landed before the parent's first result did."""
        broker, topics = self.mesh.sim.broker, self.mesh.topics
        times = {event.details: event.time for event in self.mesh.sim.history if event.what == "append"}
        told = [
            times[f"{record.topic}[{record.partition}]@{record.offset}"]
            for partition in range(PARTITIONS)
            for record in broker.records(topics.journal("leaf"), partition)
            if record.header("ce_id") == f"{child_id}/cancel".encode()
        ]
        over = [
            times[f"{record.topic}[{record.partition}]@{record.offset}"]
            for name in AGENTS
            for partition in range(PARTITIONS)
            for record in broker.records(topics.results(name), partition)
            if record.header("ce_id") == task_id.encode()
        ]
        return bool(told) and min(told) < min(over)

    def _heard(self, task_id: str, result: Any) -> None:
        """Messages are received once for each id."""
        program = next((planned.program for planned in self.mesh.plan if planned.id == task_id), "")
        if program == "listen" and result.outcome is Outcome.OK and sorted(result.content.words[-2:]) != ["m1", "m2"]:
            self.bad("messages", f"{task_id} heard {result.content.words}")
        if program == "memo" and result.outcome is Outcome.OK and "missing" in result.content.words:
            self.bad("memory_unread", f"{task_id} does not find what it has remembered itself")

    def _one_answer(self, task_id: str, entries: list[JournalEntry]) -> None:
        """But for recalls: they are looked up again, and the first one in the journal counts."""
        answers: dict[str, set[str]] = defaultdict(set)
        for entry in entries:
            forged = entry.record.token == FORGED
            recalled = '{"memories":' in str(entry.record.content)
            aside = forged or recalled or self._stale(entry.record.error)
            if entry.record.kind is JournalKind.ANSWER and entry.record.step_id and not aside:
                answers[entry.record.step_id].add(f"{entry.record.outcome} {entry.record.content!r}")
        for step, values in answers.items():
            if len(values) > 1:
                self.bad("two_answers", f"{task_id}/{step}: {sorted(values)}")

    # -- the rest -------------------------------------------------------------------------------------------------

    def _calls(self) -> None:
        for call in self.mesh.calls:
            if call.answered_before:
                self.bad("call_again", f"{call.process} called for {call.key} at {call.time:.3f}, answered before")

    def completions(self) -> list[Completion]:
        """Every completion of every pool."""
        return [
            self.mesh.codec.decode_as(Completion, record.value)
            for pool in POOLS
            for partition in range(PARTITIONS)
            for record in self.mesh.sim.broker.records(self.mesh.topics.completions(pool), partition)
            if record.value is not None
        ]

    def _order(self) -> None:
        """O: starts of a key stand in the journal in task order; what it was in life shows in the state of serial ones.

        Not where an append got lost on its way: the one behind it stands before its second copy.
        """
        lost = {event.details for event in self.mesh.sim.history if event.what == "lost"}
        for name in AGENTS:
            first: dict[str, int] = {}
            ended = {task_id: copies[0].journal_offset for task_id, copies in self.results(name).items()}
            for entries in self._journals(name).values():
                for entry in entries:
                    task_id = entry.record.task_id
                    late = entry.offset > ended.get(task_id, entry.offset)  # of an owner that was gone: it was over
                    if entry.record.kind is JournalKind.STARTED and not late:
                        first.setdefault(entry.record.task_id, entry.offset)
            by_key: dict[str, list[Planned]] = defaultdict(list)
            for planned in self.mesh.plan:
                place = f"an append to {self.mesh.topics.journal(name)}/{planned.partition}"
                if planned.agent == name and planned.id in first and place not in lost:
                    by_key[planned.key].append(planned)
            for key, planned_tasks in by_key.items():
                starts = [first[planned.id] for planned in sorted(planned_tasks, key=lambda p: p.offset)]
                if starts != sorted(starts):
                    self.bad("order", f"{name}: tasks of key {key} started in the order {starts}")
