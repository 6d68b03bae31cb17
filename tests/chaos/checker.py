"""Says of what is on the topics, and of what clients saw, whether anything was lost, duplicated, reordered or repeated.

Knows no Kafka and no platform: :mod:`tests.chaos.evidence` reads this one's topics, :mod:`tests.chaos.peers` another's.
Times are the wall clock of the one machine on which all of it runs, in milliseconds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["lost", "duplicated", "reordered", "repeated", "wrong"]
KINDS: Final[tuple[Kind, ...]] = ("lost", "duplicated", "reordered", "repeated", "wrong")
OVERLAP_MS: Final = 20_000
"""How long two owners of a partition may both be at work: one session, one fetch, and a slow machine."""


class Violation(NamedTuple):
    """What must not be, in words."""

    kind: Kind
    words: str


class Place(NamedTuple):
    """Where a record is."""

    partition: int
    offset: int


class Task(NamedTuple):
    """The first event of an id on a task topic. ``input``: what its result must name; None: not said."""

    id: str
    key: str
    place: Place
    at: int
    input: int | None = None


class Result(NamedTuple):
    """One record of a result topic. ``said``: outcome and value, comparable. ``input``: what it names as its task's."""

    id: str
    place: Place
    at: int
    said: str
    fine: bool = True
    input: int | None = None
    nth: int | None = None
    """The state of the task's key after it, where it counts."""


class Start(NamedTuple):
    """The first record of a task in the journal."""

    id: str
    place: Place
    at: int


class Mark(NamedTuple):
    """Somebody took a partition: a record on its log."""

    place: Place
    at: int


class Act(NamedTuple):
    """Something that was done outside. ``by``: the process. ``failed``: nobody got an answer out of it that counts."""

    key: str
    at: int
    by: str
    failed: bool = False


class Answer(NamedTuple):
    """What an act gave, on the log of whoever does it. ``epoch``: the offset of its writer's marker; -1: not said."""

    key: str
    place: Place
    at: int
    epoch: int = -1


@dataclass
class Lane:
    """One agent: everything that its topics hold. ``serial``: the next task of a key starts after the result before."""

    name: str
    tasks: Sequence[Task]
    results: Sequence[Result]
    starts: Sequence[Start] = ()
    marks: Sequence[Mark] = ()
    serial: bool = False
    counted: bool = False


@dataclass
class Acts:
    """One kind of thing that is not to be done again: model calls, tool calls, functions."""

    name: str
    acts: Sequence[Act]
    answers: Sequence[Answer]
    marks: Sequence[Mark] = ()


@dataclass
class Evidence:
    """All of a run. ``acked``: lane -> id -> where the broker said it was. ``seen``: lane -> what a reader saw live.

    ``ended``: process -> when it was killed.
    """

    lanes: Sequence[Lane]
    acts: Sequence[Acts] = ()
    acked: Mapping[str, Mapping[str, Place]] = field(default_factory=dict)
    seen: Mapping[str, Sequence[tuple[str, Place, str]]] = field(default_factory=dict)
    ended: Mapping[str, int] = field(default_factory=dict)


def check(evidence: Evidence) -> list[Violation]:
    """Everything that is wrong, in words."""
    found: list[Violation] = []
    for lane in evidence.lanes:
        found += _lost(lane, evidence)
        found += _duplicated(lane)
        found += _reordered(lane)
        found += _wrong(lane)
    for acts in evidence.acts:
        found += _repeated(acts, evidence.ended)
    return found


def in_flight(evidence: Evidence) -> int:
    """Acts that were done again although none failed: each is excused by a change of owner, or is a violation."""
    again = 0
    for acts in evidence.acts:
        again += sum(max(0, sum(not act.failed for act in chain) - 1) for chain in _chains(acts))
    return again


# -- lost -------------------------------------------------------------------------------------------------------------


def _lost(lane: Lane, evidence: Evidence) -> Iterator[Violation]:
    tasks = {task.id for task in lane.tasks}
    for task_id in sorted(set(evidence.acked.get(lane.name, {})) - tasks):
        yield Violation("lost", f"{lane.name}: {task_id} was acknowledged and is not on the log")
    results = {result.id for result in lane.results}
    for task_id in sorted(tasks - results):
        yield Violation("lost", f"{lane.name}: {task_id} has no result")
    there = {(result.id, result.place, result.said) for result in lane.results}
    for task_id, place, said in evidence.seen.get(lane.name, ()):
        if (task_id, place, said) not in there:
            yield Violation("lost", f"{lane.name}: the result of {task_id} was read at {place} and is gone")


# -- duplicated -------------------------------------------------------------------------------------------------------


def _duplicated(lane: Lane) -> Iterator[Violation]:
    begun = {task.id: task.at for task in lane.tasks}
    for task_id, copies in _by_id(lane.results).items():
        if len({copy.said for copy in copies}) > 1:
            yield Violation("duplicated", f"{lane.name}: {task_id} has results that differ: {sorted(copies)}")
        partition = copies[0].place.partition
        owners = sum(mark.place.partition == partition and mark.at >= begun.get(task_id, 0) for mark in lane.marks)
        if len(copies) - 1 > owners:
            yield Violation(
                "duplicated", f"{lane.name}: {task_id} has {len(copies)} results, owners changed {owners} times"
            )


# -- reordered --------------------------------------------------------------------------------------------------------


def _reordered(lane: Lane) -> Iterator[Violation]:
    starts = {start.id: start for start in reversed(lane.starts)}
    first = {task_id: copies[0] for task_id, copies in _by_id(lane.results).items()}
    for key, tasks in _keys(lane.tasks).items():
        begun = [starts[task.id] for task in tasks if task.id in starts]
        for before, after in pairwise(begun):
            if before.place.offset > after.place.offset:
                yield Violation("reordered", f"{lane.name}: of {key}, {after.id} started before {before.id}")
            ended = first.get(before.id)
            if lane.serial and ended is not None and ended.at > after.at:
                yield Violation("reordered", f"{lane.name}: of {key}, {after.id} started before {before.id} ended")
        if lane.counted:
            counts = [first[task.id].nth for task in tasks if task.id in first and first[task.id].fine]
            if counts != list(range(1, len(counts) + 1)):
                yield Violation("reordered", f"{lane.name}: of {key}, the counts are {counts}")


# -- wrong ------------------------------------------------------------------------------------------------------------


def _wrong(lane: Lane) -> Iterator[Violation]:
    inputs = {task.id: task.input for task in lane.tasks}
    for result in lane.results:
        if not result.fine:
            yield Violation("wrong", f"{lane.name}: {result.id} ended with {result.said[:300]}")
        expected = inputs.get(result.id)
        if result.fine and expected is not None and result.input != expected:
            yield Violation("wrong", f"{lane.name}: {result.id} brought {expected}, its result says {result.input}")


# -- repeated ---------------------------------------------------------------------------------------------------------


def _repeated(acts: Acts, ended: Mapping[str, int]) -> Iterator[Violation]:
    answered: dict[str, Answer] = {}
    for answer in sorted(acts.answers, key=lambda one: (one.at, one.place)):
        answered.setdefault(answer.key, answer)
    for chain in _chains(acts):
        answer_of = answered.get(chain[0].key)
        if answer_of is not None:
            yield from _after_answer(acts, chain, answer_of)
            yield from _again(acts, chain, answer_of.place.partition, ended)


def _after_answer(acts: Acts, chain: Sequence[Act], answer: Answer) -> Iterator[Violation]:
    """No act began after its answer was on the log, unless another owner's answer came behind the actor's marker."""
    for act in chain:
        late = act.at - answer.at
        if late > 0 and not (late <= OVERLAP_MS and _overtaken(acts.marks, answer)):
            words = f"{act.key} by {act.by}, {late} ms after its answer was on the log at {answer.place}"
            yield Violation("repeated", f"{acts.name}: {words}")


def _overtaken(marks: Sequence[Mark], answer: Answer) -> bool:
    """Whether somebody else had taken the partition before this answer got there."""
    return any(
        mark.place.partition == answer.place.partition and answer.epoch < mark.place.offset < answer.place.offset
        for mark in marks
        if answer.epoch >= 0
    )


def _again(acts: Acts, chain: Sequence[Act], partition: int, ended: Mapping[str, int]) -> Iterator[Violation]:
    """An act in flight is done again only when its partition has changed hands."""
    for before, after in pairwise(chain):
        if before.failed:
            continue
        gone = before.by == after.by or ended.get(before.by, after.at + 1) <= after.at
        since = before.at if gone else before.at - OVERLAP_MS
        if not any(mark.place.partition == partition and since <= mark.at <= after.at for mark in acts.marks):
            words = f"{after.key} by {after.by}, after {before.by} did it {after.at - before.at} ms before"
            yield Violation("repeated", f"{acts.name}: {words}, and nobody else took its partition")


# -- by what ----------------------------------------------------------------------------------------------------------


def _by_id(results: Iterable[Result]) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = defaultdict(list)
    for result in sorted(results, key=lambda one: one.place):
        found[result.id].append(result)
    return found


def _keys(tasks: Iterable[Task]) -> dict[str, list[Task]]:
    found: dict[str, list[Task]] = defaultdict(list)
    for task in sorted(tasks, key=lambda one: one.place):
        found[task.key].append(task)
    return found


def _chains(acts: Acts) -> list[list[Act]]:
    found: dict[str, list[Act]] = defaultdict(list)
    for act in sorted(acts.acts, key=lambda one: one.at):
        found[act.key].append(act)
    return list(found.values())
